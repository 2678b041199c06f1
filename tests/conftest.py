"""Fixtures that several test modules share."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import constants
from PIL import Image

from mel_demo.manifest import Manifest, load_manifest
from mel_demo.screening import Screener
from tests.support.apart import write_weights_apart
from tests.support.browsing import browser, missing
from tests.support.hub_stand_in import Hub, hub_stand_in
from tests.support.running import Running, running_app
from tests.support.tiny_training import TinyTraining, train_tiny
from tests.support.tiny_weights import write_tiny_weights

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TRAINING = Path(__file__).with_name("training")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the trained pair: it trains, whatever else it does. Skip what no browser can
    be had for; in CI it runs, and fails. Of several processes one trains, once for all of its
    tests, and the others have a file at a time."""
    needed = None if os.environ.get("CI") else missing()
    for item in items:
        trains = item.path.is_relative_to(TRAINING)
        item.add_marker(pytest.mark.xdist_group("training" if trains else item.path.stem))
        if needed and item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(needed))
        if "tiny_training" in getattr(item, "fixturenames", ()):
            item.add_marker("train")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with two linear models (see tiny_weights). Do not write into it."""
    return write_tiny_weights(tmp_path_factory.mktemp("tiny_weights"))


@pytest.fixture(scope="session")
def tiny_screener(tiny_weights: Path) -> Screener:
    """The two linear models, loaded."""
    return Screener(tiny_weights, threads=1)


@pytest.fixture(scope="session")
def refusing_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like tiny_weights, with a student that refuses blue images. Do not write into it."""
    return write_tiny_weights(tmp_path_factory.mktemp("refusing_weights"), refusing=True)


@pytest.fixture
def manifest_json(tiny_weights: Path) -> dict[str, Any]:
    """A fresh copy of the tiny manifest's JSON, for a test to break."""
    return json.loads((tiny_weights / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def tiny_training(tmp_path_factory: pytest.TempPathFactory) -> TinyTraining:
    """Both models trained for two epochs on a tiny drawn set (see tiny_training)."""
    return train_tiny(tmp_path_factory.mktemp("tiny_training"))


@pytest.fixture(scope="module")
def chrome() -> "Iterator[Browser]":
    """A headless Chromium."""
    with browser() as started:
        yield started


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub on loopback that the client in this process talks to, signed in, with its own cache."""
    with hub_stand_in() as started:
        home = tmp_path / "huggingface"
        template = started.url + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in {
            "ENDPOINT": started.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_ASSETS_CACHE": str(home / "assets"),
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", started.token)
        yield started


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Manifest]]:
    """The page of models that were measured for everything, and refuse what is blue."""
    folder = tmp_path_factory.mktemp("measured")
    weights = write_weights_apart(folder / "weights", evidence=True, refusing=True, elsewhere=True)
    with running_app(weights, folder / "cache") as running:
        yield running, load_manifest(weights)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one colour: nearly black is referred by both, red by the student alone."""
    folder = tmp_path_factory.mktemp("plain")
    colours = {"black": (40, 20, 20), "red": (255, 0, 0)}
    colours |= {"blue": (0, 0, 255), "also blue": (1, 0, 255)}
    for name, colour in colours.items():
        Image.new("RGB", (200, 150), colour).save(folder / f"{name}.png")
    (folder / "bad.jpg").write_bytes(b"not an image")
    return folder
