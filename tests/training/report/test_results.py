"""README's results table: generated from the manifest, and found out when it is stale."""

import json

import pytest

from mel_demo.errors import ManifestError
from mel_demo.manifest import load_manifest
from training.errors import TrainingError
from training.report.results import BEGIN, END, results_table, write_results

README = f"# Title\n\nBefore.\n{BEGIN}\nold numbers\n{END}\nAfter.\n"


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(README, encoding="utf-8")
    return path


def test_the_table_holds_what_was_measured_on_holdout(tiny_weights):
    table = results_table(load_manifest(tiny_weights))
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert rows[2].startswith(
        "| teacher, linear | 0.850 (0.810 to 0.890) | not measured | not measured "
        "| 90.0 % (86.0 to 94.0) | 64.0 % (60.0 to 68.0) "
        "| 0.050 (0.010 to 0.090) | 0.0 MB | 0.1 ms |"
    )
    assert rows[3].startswith("| student, linear |")
    assert "120 images (20 melanomas) of 90 lesions" in table
    assert "decide alike for 90.0 % (86.0 to 94.0) of the images" in table
    assert "python -m training results" in table


@pytest.mark.parametrize(
    ("split", "cells"), [("external", "{} | not measured"), ("archive", "not measured | {}")]
)
def test_images_from_elsewhere_have_their_column(tiny_weights, tmp_path, split, cells):
    manifest = json.loads((tiny_weights / "manifest.json").read_text())
    student = manifest["models"]["student"]
    student["metrics"][split] = {
        "roc_auc": {"value": 0.712, "low": 0.66, "high": 0.76},
        "specificity_at_95": {"value": 0.175, "low": 0.06, "high": 0.3},
    }
    aside = {"name": "ISIC 2017", "images": 400, "melanomas": 75, "sha256": "0" * 64}
    manifest["models"]["teacher"]["data"][split] = student["data"][split] = aside
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    table = results_table(load_manifest(tmp_path))
    assert f"| {cells.format('0.712 (0.660 to 0.760)')} |" in table
    assert "thresholds: student 17.5 % (6.0 to 30.0)." in table
    assert "400 images of ISIC 2017 (75 melanomas), which no training saw either" in table


def test_only_what_stands_between_the_marks_is_replaced(tiny_weights, readme):
    assert write_results(tiny_weights, readme) is False, "it was stale"
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\nBefore.\n{BEGIN}\n")
    assert text.endswith(f"\n{END}\nAfter.\n")
    assert "old numbers" not in text
    assert results_table(load_manifest(tiny_weights)) in text
    assert write_results(tiny_weights, readme) is True, "and is not any more"
    assert readme.read_text(encoding="utf-8") == text


def test_a_check_finds_a_stale_table_and_writes_nothing(tiny_weights, readme, tmp_path):
    assert write_results(tiny_weights, readme, check=True) is False
    assert readme.read_text(encoding="utf-8") == README
    write_results(tiny_weights, readme)
    assert write_results(tiny_weights, readme, check=True) is True
    manifest = json.loads((tiny_weights / "manifest.json").read_text())
    manifest["models"]["student"]["metrics"]["holdout"]["ece"]["value"] = 0.051
    newer = tmp_path / "weights"
    newer.mkdir()
    (newer / "manifest.json").write_text(json.dumps(manifest))
    assert write_results(newer, readme, check=True) is False


@pytest.mark.parametrize(
    "text",
    ["", BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}"],
)
def test_marks_that_are_missing_or_doubled(tiny_weights, readme, text):
    readme.write_text(text)
    with pytest.raises(TrainingError, match="must hold <!-- results:begin --> once"):
        write_results(tiny_weights, readme)
    assert readme.read_text() == text


def test_what_is_missing_is_named(tiny_weights, tmp_path, readme):
    with pytest.raises(TrainingError, match=r"nowhere\.md cannot be read"):
        write_results(tiny_weights, tmp_path / "nowhere.md")
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        write_results(tmp_path, readme)
