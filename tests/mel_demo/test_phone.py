"""`python -m mel_demo phone`: what is laid out is whole, and says what the manifest says."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mel_demo.decision.operating_point import choose
from mel_demo.errors import SettingError, WeightsError
from mel_demo.hub import DEFAULT
from mel_demo.manifest import load_manifest
from mel_demo.phone import build, serve
from mel_demo.phone.config import config, locales
from mel_demo.texts import LANGUAGES

STATIC = Path(build.HERE, "static")


@pytest.fixture(autouse=True)
def no_npm(tmp_path_factory, monkeypatch):
    """A runtime of empty files: what it does is tested in Chromium."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in build._RUNTIME:
        (folder / name).write_text(name)
    monkeypatch.setattr(build, "runtime", lambda: folder)


def test_the_folder_names_every_file_with_its_hash(refusing_weights, tmp_path):
    spec = build.lay_out(tmp_path / "page", refusing_weights)
    listed = json.loads((tmp_path / "page/files.json").read_text())
    there = {
        path.relative_to(tmp_path / "page").as_posix() for path in (tmp_path / "page").rglob("*.*")
    }
    assert listed["files"].keys() == there - {"files.json", "sw.js"}
    for name, entry in listed["files"].items():
        content = (tmp_path / "page" / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert listed["files"][spec.file]["sha256"] == spec.sha256
    assert f'"{listed["release"]}"' in (tmp_path / "page/sw.js").read_text()
    assert "Apache License" in (tmp_path / "page/licences/mel_demo.txt").read_text()
    assert "Microsoft" in (tmp_path / "page/licences/onnxruntime-LICENSE.txt").read_text()


def test_a_release_changes_with_any_of_its_files(refusing_weights, tiny_weights, tmp_path):
    releases = set()
    for name, weights in (("a", refusing_weights), ("b", tiny_weights), ("c", refusing_weights)):
        build.lay_out(tmp_path / name, weights)
        releases.add(json.loads((tmp_path / name / "files.json").read_text())["release"])
    assert len(releases) == 2, "the same files are the same release"


def test_the_page_gets_the_manifests_numbers(refusing_weights):
    manifest = load_manifest(refusing_weights)
    spec = manifest.models["student"]
    written = json.loads(json.dumps(config(manifest, spec)))
    table = spec.operating_table
    assert len(written["table"]["rows"]) == len(table.rows)
    for target in (0.8, 0.95, 0.995):
        point = choose(table, target)
        row = written["table"]["rows"][point.index]
        assert row["threshold"] == point.threshold
        assert (row["tp"], row["fp"]) == (point.row.holdout.tp, point.row.holdout.fp)
        assert row["sensitivity"] == [
            point.row.holdout_rates.sensitivity.low,
            point.row.holdout_rates.sensitivity.high,
        ]
    assert written["temperature"] == spec.temperature
    assert written["ood"]["threshold"] == spec.ood.threshold


def test_the_pages_words_exist_in_every_language():
    used = set()
    for path in STATIC.glob("*.*"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r'data-t(?:-label)?="(\w+)"', text))
        used |= set(re.findall(r'\bt\("(\w+)"', text))
        used |= {f"error_{code}" for code in re.findall(r'ScreenError\("(\w+)"', text)}
    for language in LANGUAGES:
        words = locales()[language]
        missing = {key for key in used if key not in words and f"phone_{key}" not in words}
        assert missing == set(), language


def test_the_model_that_refuses_other_pictures_is_the_first_choice(refusing_weights, tmp_path):
    assert build.lay_out(tmp_path / "page", refusing_weights).key == "student"
    real = load_manifest(DEFAULT)
    chosen = build._choose(real, None)
    assert chosen.ood or not any(real.models[key].ood for key in build.PHONE_MODELS)
    with pytest.raises(SettingError, match="no 'teacher' for a phone: choose student"):
        build.lay_out(tmp_path / "page", refusing_weights, "teacher")


def test_another_folder_is_not_replaced(refusing_weights, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SettingError, match=r"holds something else.*--output"):
        build.lay_out(tmp_path, refusing_weights)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    build.lay_out(tmp_path / "page", refusing_weights)
    (tmp_path / "page/stale.js").touch()
    build.lay_out(tmp_path / "page", refusing_weights)
    assert not (tmp_path / "page/stale.js").exists()


def test_a_damaged_model_is_not_laid_out(refusing_weights, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    for path in refusing_weights.iterdir():
        (weights / path.name).write_bytes(
            path.read_bytes()[: 10 if path.name == "student.onnx" else None]
        )
    with pytest.raises(WeightsError, match=r"student\.onnx"):
        build.lay_out(tmp_path / "page", weights)
    assert not (tmp_path / "page").exists()


def test_without_npm_it_says_what_to_install(tmp_path):
    code = "import sys; from mel_demo.cli import app; app(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "phone", "--output", str(tmp_path / "page")],
        env={"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        cwd=STATIC.parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "no `npm` on the PATH. Install Node.js" in done.stderr
    assert not (tmp_path / "page").exists()


def test_the_file_for_onnx_runtime_mobile_answers_alike(refusing_weights, tmp_path):
    build.lay_out(tmp_path / "page", refusing_weights, ort=True)
    image = np.random.default_rng(0).normal(size=(1, 3, 160, 160)).astype(np.float32)
    answers = [
        onnxruntime.InferenceSession(path).run(["logits", "cam", "distance"], {"image": image})
        for path in (refusing_weights / "student.onnx", tmp_path / "page/mobile/student.ort")
    ]
    for onnx_answer, ort_answer in zip(*answers, strict=True):
        np.testing.assert_allclose(ort_answer, onnx_answer, rtol=1e-5, atol=1e-6)


@pytest.fixture
def client(refusing_weights, tmp_path, monkeypatch):
    """The routes of /phone in an application of their own."""
    build.lay_out(tmp_path / "page", refusing_weights)
    monkeypatch.setenv("MEL_PHONE", str(tmp_path / "page"))
    return TestClient(Starlette(routes=serve.routes()))


def test_the_server_hands_out_the_page_compressed_and_isolated(client, tmp_path):
    answer = client.get("/phone/")
    assert "<title>Melanoma screening" in answer.text
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
    assert client.get("/phone", follow_redirects=False).headers["location"] == "phone/"
    for accepted, encoding in (("gzip, deflate, br", "br"), ("gzip", "gzip")):
        model = client.get("/phone/student.onnx", headers={"accept-encoding": accepted})
        assert model.headers["content-encoding"] == encoding
        assert model.content == (tmp_path / "page/student.onnx").read_bytes()
    plain = client.get("/phone/student.onnx", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == model.content
    again = client.get("/phone/student.onnx", headers={"if-none-match": model.headers["etag"]})
    assert again.status_code == 304
    for outside in ("/phone/none.js", "/phone/%2e%2e/secret", "/phone/..%2fpage.txt"):
        assert client.get(outside).status_code == 404, outside


def test_without_a_page_the_server_has_no_such_path(monkeypatch, tmp_path):
    monkeypatch.setenv("MEL_PHONE", str(tmp_path))
    assert serve.routes() == []
