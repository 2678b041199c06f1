"""The page on the phone for tests: weights that a colour steers, and the page in Chromium."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mel_demo.errors import SettingError
from mel_demo.phone.build import runtime
from tests.support.browsing import PATIENCE, browser
from tests.support.tiny_weights import write_tiny_weights

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

READY = "#status:is([data-status=ready], [data-status=offline])"
OFFLINE = "#status[data-status=offline]"
PICTURES = {
    "refer": (100, 50, 50),
    "no_referral": (200, 255, 25),
    "other": (200, 255, 115),
    "refused": (60, 60, 180),
}
"""Colours of plain pictures, and what ``write_coloured_weights`` make of them at 95 %."""


def write_coloured_weights(folder: Path) -> Path:
    """Tiny weights whose student calls what is dark melanoma, the rest nevus, or with blue bcc.

    Much blue it refuses. Logits: mel 4 - 8 green, bcc 8 blue - 2, nv 1, others 0.
    """
    write_tiny_weights(folder, refusing=True, evidence=True, elsewhere=True)
    path = folder / "student.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if tensor.name == "logit_weight":
            values[2, 1] = 8
        elif tensor.name == "bias":
            values[1], values[5] = -2, 1
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    onnx.save(model, path)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    content = path.read_bytes()
    manifest["models"]["student"] |= {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def need_runtime() -> None:
    """Skip where ONNX Runtime Web is neither kept nor to be had; in CI fail."""
    try:
        runtime()
    except SettingError as error:
        if os.environ.get("CI") or shutil.which("npm"):
            raise
        pytest.skip(f"needs npm: {error}")


@contextmanager
def phone_browser() -> "Iterator[Browser]":
    """Chromium with a drawn camera that needs no permission."""
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with browser(*camera) as started:
        yield started


def open_phone(browser: "Browser", url: str, width: int, height: int, **options) -> "Page":
    """The page at this size in a context of its own, before its model is there."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=width < 800, **options
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    return page


def judge(page: "Page", path: Path, state: str = "result") -> None:
    """Hand a file to the page and wait for what it says."""
    page.evaluate("document.body.dataset.state = 'waiting for the next'")
    page.set_input_files("#file", path)
    page.wait_for_selector(f"body[data-state={state}]")
