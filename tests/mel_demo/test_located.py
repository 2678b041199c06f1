"""Which weights are served: a folder that is named, the default one, or what its hub.txt names."""

from pathlib import Path

import pytest

from mel_demo import hub
from mel_demo.errors import WeightsError
from mel_demo.hub import locate
from mel_demo.manifest import load_manifest
from mel_demo.screening import Screener

ROOT = Path(__file__).resolve().parents[2]


def test_the_environment_names_a_folder_and_an_empty_one_the_default(tiny_weights, monkeypatch):
    monkeypatch.delenv("MEL_WEIGHTS", raising=False)
    assert locate().folder == ROOT / "weights"
    monkeypatch.setenv("MEL_WEIGHTS", "")
    assert locate().folder == ROOT / "weights"
    monkeypatch.setenv("MEL_WEIGHTS", str(tiny_weights))
    assert locate().folder == tiny_weights
    assert Screener(threads=1).manifest == load_manifest(tiny_weights)


@pytest.mark.parametrize(
    "named",
    [
        "nowhere",
        "/no/such/folder",
        "me/model",
        "@v1",
        "me/a@v1,me/b@v1,me/c@v1",
        "a/b/c@v",
        "me/model@../../x",
    ],
)
def test_what_is_neither_folder_nor_revision_is_named_with_both_forms(named):
    with pytest.raises(WeightsError) as caught:
        locate(named)
    for word in (named, "USER/REPO@REVISION", "MEL_WEIGHTS", "--weights"):
        assert word in str(caught.value)


def test_a_file_in_place_of_the_models_names_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.delenv("MEL_WEIGHTS", raising=False)
    monkeypatch.setattr(hub, "DEFAULT", tmp_path)
    (tmp_path / "hub.txt").write_text("not a revision\n")
    with pytest.raises(WeightsError, match="'not a revision'"):
        locate()
    (tmp_path / "manifest.json").write_text("{}")
    assert locate().folder == tmp_path, "models that are there are served"
