"""Weights from the Hub by the real client: those of the folder, and refused when they are not."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from mel_demo import hub as fetching
from mel_demo.doctor import examine
from mel_demo.errors import ManifestError, MelDemoError, WeightsError
from mel_demo.screening import Screener

ROOT = Path(__file__).resolve().parents[2]
TEACHER, STUDENT = "me/teacher", "me/student"
PICTURE = np.random.default_rng(0).integers(0, 255, (150, 200, 3), np.uint8)


@pytest.fixture
def files(tiny_weights) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tiny_weights.iterdir()}


@pytest.fixture
def pair(hub, files):
    """The two repositories' latest commits."""
    one = {name: files[name] for name in ("manifest.json", "teacher.onnx")}
    other = {name: data for name, data in files.items() if name != "teacher.onnx"}
    return hub.put(TEACHER, one), hub.put(STUDENT, other)


def named(commits) -> str:
    return f"{TEACHER}@{commits[0]},{STUDENT}@{commits[1]}"


def scores(screener: Screener) -> list[np.ndarray]:
    found = screener.screen(PICTURE).predictions.values()
    return [prediction.probabilities for prediction in found]


def test_two_pinned_repositories_screen_like_the_folder_bit_by_bit(hub, pair, tiny_weights):
    fetched, local = Screener(named(pair), threads=1), Screener(tiny_weights, threads=1)
    for one, other in zip(scores(fetched), scores(local), strict=True):
        np.testing.assert_array_equal(one, other)
    assert fetched.manifest == local.manifest
    assert [origin.commit for origin in fetched.origins] == list(pair)


def test_one_repository_may_hold_both(hub, files, tiny_weights):
    commit = hub.put("me/pair", files)
    assert Screener(f"me/pair@{commit}", threads=1).manifest == Screener(tiny_weights).manifest


def test_a_commit_that_was_fetched_needs_no_network(hub, pair):
    Screener(named(pair), threads=1)
    hub.stop()
    Screener(named(pair), threads=1)


def test_a_branch_is_resolved_to_what_it_is_now_and_starts_without_network(hub, pair, caplog):
    moving = f"{TEACHER}@main,{STUDENT}@main"
    fetched = Screener(moving, threads=1)
    assert [(origin.revision, origin.commit) for origin in fetched.origins] == [
        ("main", pair[0]),
        ("main", pair[1]),
    ]
    assert f"{TEACHER}@{pair[0][:12]} (main)" in caplog.text
    hub.stop()
    assert Screener(moving, threads=1).origins == fetched.origins


def test_the_page_and_the_doctor_say_what_is_served(hub, pair):
    from mel_demo.ui.page import Page

    page = Page(Screener(named(pair), threads=1))
    footer = page.on_load("en", 95, 2)["footer"]
    assert f"{TEACHER}@{pair[0][:12]}, {STUDENT}@{pair[1][:12]}" in footer
    said = [check.text for check in examine(named(pair)) if check.name == "fetched"]
    assert said == [f"{TEACHER}@{pair[0][:12]}", f"{STUDENT}@{pair[1][:12]}"]


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-1] + b"x", lambda data: data[: len(data) // 2]]
)
def test_a_file_that_is_not_the_manifests_is_refused_and_fetched_anew(hub, pair, files, spoil):
    hub.tamper(STUDENT, "student.onnx", spoil(files["student.onnx"]))
    with pytest.raises(WeightsError, match=rf"{STUDENT}@{pair[1][:12]}.*student\.onnx") as caught:
        Screener(named(pair))
    assert "try again" in str(caught.value)
    hub.tamper(STUDENT, "student.onnx", files["student.onnx"])
    Screener(named(pair), threads=1)


def test_a_damaged_cache_is_repaired(hub, pair):
    folder, _ = fetching.fetch(named(pair))
    for kept in (folder / "teacher.onnx", *Path(constants.HF_HUB_CACHE).rglob("teacher.onnx")):
        kept.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"teacher\.onnx"):
        Screener(named(pair))
    Screener(named(pair), threads=1)


def test_a_newer_manifest_is_refused(hub, files):
    manifest = json.loads(files["manifest.json"]) | {"format": 99}
    commit = hub.put("me/pair", files | {"manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(ManifestError, match=r"me/pair@\w+.*99 is newer.*[Uu]pdate mel_demo"):
        Screener(f"me/pair@{commit}")


def test_two_exports_do_not_mix(hub, pair, files):
    other = json.loads(files["manifest.json"]) | {"created": "2020-01-01T00:00:00+00:00"}
    commit = hub.put(
        STUDENT,
        {"student.onnx": files["student.onnx"], "manifest.json": json.dumps(other).encode()},
    )
    with pytest.raises(WeightsError, match="different exports"):
        Screener(named((pair[0], commit)))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (f"{STUDENT}@main", r"has no teacher\.onnx.*USER/TEACHER@REVISION,USER/STUDENT@REVISION"),
        ("me/nothing@main", "me/nothing is not on the Hub, or is private.*hf auth login"),
        (f"{STUDENT}@v9", "has no revision 'v9'"),
        ("a--b/c@main", "cannot be a repository"),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, pair, source, says):
    with pytest.raises(WeightsError, match=says):
        Screener(source)


def test_a_hub_that_refuses_is_quoted(hub, pair):
    hub.fail("resolve", 500, times=50)
    with pytest.raises(MelDemoError, match=TEACHER):
        Screener(named(pair))


def test_a_download_that_is_cut_goes_on(hub, pair):
    hub.fail(r"resolve/.*teacher\.onnx", None, method="GET")
    Screener(named(pair), threads=1)


def test_a_private_repository_wants_a_token(hub, pair, monkeypatch):
    hub.repos[f"models/{TEACHER}"].created["visibility"] = "private"
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(WeightsError, match="HF_TOKEN"):
        Screener(named(pair))
    monkeypatch.setenv("HF_TOKEN", hub.token)
    Screener(named(pair), threads=1)


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never answers"])
def test_without_network_and_cache_it_says_so_in_seconds(tmp_path, silent):
    """In a process of its own: what a person sees, and how long it takes with all imports."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        environment = os.environ | {
            "HF_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "HF_HOME": str(tmp_path),
            "MEL_WEIGHTS": f"{TEACHER}@v1,{STUDENT}@v1",
        }
        start = time.monotonic()
        command = [sys.executable, "-m", "mel_demo", "screen", str(ROOT / "docs")]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 20, "10 s on a quiet machine"
