"""A release replaces the files of a folder together, or leaves every one as it was."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mel_demo.errors import ManifestError, WeightsError
from mel_demo.manifest import Manifest, load_manifest, verify_weights
from training.release import folder as folder_module
from training.release.cards import model_card
from training.release.folder import Release, warn_unclean


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def output(tiny_weights: Path, tmp_path: Path) -> Path:
    """A released folder, with a file in it that is not the release's."""
    folder = shutil.copytree(tiny_weights, tmp_path / "weights")
    (folder / "notes.txt").write_text("mine")
    return folder


def renewed(manifest: Manifest) -> Manifest:
    """The same models, exported another day."""
    return replace(manifest, created="2027-01-01T00:00:00+00:00")


def test_what_is_published_is_whole_and_leaves_the_rest(output: Path) -> None:
    manifest = load_manifest(output)
    before = contents(output)
    with Release(output) as release:
        written = release.publish(renewed(manifest))
    assert load_manifest(output) == written
    assert written.created.startswith("2027")
    assert written.version != manifest.version
    for key, spec in written.models.items():
        verify_weights(spec, output)
        assert (output / f"{key}.md").read_text(encoding="utf-8") == model_card(spec)
        assert (output / spec.file).read_bytes() == before[spec.file]
    assert (output / "notes.txt").read_text() == "mine"
    assert [path.name for path in output.parent.iterdir()] == ["weights"], "nothing is left beside"


@pytest.mark.parametrize("name", ["teacher.md", "student.md", "manifest.json"])
@pytest.mark.parametrize("step", ["kept", "moved"])
def test_a_failure_in_the_middle_leaves_everything_as_it_was(
    output: Path, name: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(output)
    with Release(output) as release:
        release.publish(manifest)  # so that cards stand there as well
    before, move, failed = contents(output), os.replace, False

    def fails_once(source: Path, target: Path) -> None:
        nonlocal failed
        place = Path(source) if step == "kept" else Path(target)
        if place == output / name and not failed:
            failed = True
            raise OSError("No space left on device")
        move(source, target)

    monkeypatch.setattr(os, "replace", fails_once)
    with pytest.raises(OSError, match="No space"), Release(output) as release:
        release.publish(renewed(manifest))
    assert failed
    assert contents(output) == before
    assert [path.name for path in output.parent.iterdir()] == ["weights"]


def test_a_first_release_that_fails_makes_no_folder(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, output, move = load_manifest(tiny_weights), tmp_path / "new" / "weights", os.replace

    def fails(source: Path, target: Path) -> None:
        if Path(target) == output / "teacher.onnx":
            raise OSError("No space left on device")
        move(source, target)

    with Release(output) as release:
        for spec in manifest.models.values():
            shutil.copy(tiny_weights / spec.file, release.folder)
        monkeypatch.setattr(os, "replace", fails)
        with pytest.raises(OSError, match="No space"):
            release.publish(manifest)
    assert list(output.parent.iterdir()) == []


def test_what_would_not_be_read_back_is_not_released(output: Path) -> None:
    manifest, before = load_manifest(output), contents(output)
    spec = manifest.models["student"]
    object.__setattr__(spec, "temperature", -1.0)
    with (
        Release(output) as release,
        pytest.raises(ManifestError, match=r"temperature: -1\.0"),
    ):
        release.publish(manifest)
    assert contents(output) == before


def test_a_file_that_is_not_the_one_described_is_not_released(output: Path) -> None:
    before = contents(output)
    with Release(output) as release:
        (release.folder / "student.onnx").write_bytes(b"another")
        with pytest.raises(WeightsError, match=r"student\.onnx has 7 bytes"):
            release.publish(load_manifest(output))
    assert contents(output) == before
    assert json.loads((output / "manifest.json").read_text())["created"].startswith("2025")


@pytest.mark.parametrize(
    ("commit", "says"), [("0" * 40 + "-dirty", True), ("unknown", True), ("0" * 40, False)]
)
def test_a_commit_that_nobody_can_check_out_is_said_loudly(
    commit: str, says: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folder_module, "git_commit", lambda: commit)
    warn_unclean()
    assert ("not a clean commit" in capsys.readouterr().err) is says
