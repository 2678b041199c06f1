"""`calibrate`: the released temperatures again, errors before and after, a figure of both."""

import json
from dataclasses import replace

import pytest

from mel_demo.manifest import load_manifest
from tests.support.tiny_export import export_tiny
from training.measure.evaluate import score_run
from training.measure.metrics import brier, ece
from training.report.calibration import write_calibration


def test_released_models_are_calibrated_as_the_manifest_says(tiny_training, tmp_path):
    weights = export_tiny(tiny_training)
    output = tmp_path / "calibration.svg"
    found = write_calibration(tiny_training.given, output, weights)
    written = json.loads(output.with_suffix(".json").read_text())
    assert written["measured_on"] == "validation"
    for key, spec in load_manifest(weights).models.items():
        assert found[key].temperature == pytest.approx(spec.temperature)
        assert found[key].after.ece.value == pytest.approx(
            spec.metrics["validation"]["ece"].value, abs=1e-5
        )
        # What is fitted cannot get worse on what it is fitted to.
        assert found[key].after.log_loss <= found[key].before.log_loss + 1e-9
        assert written["models"][key]["temperature"] == found[key].temperature
    picture = output.read_text()
    assert picture.count("before") >= 2
    assert "ECE" in picture


def test_runs_are_calibrated_before_they_are_released(tiny_training, tmp_path):
    runs = {"student": tiny_training.student}
    found = write_calibration(tiny_training.given, tmp_path / "c.svg", runs=runs)["student"]
    scores = score_run(tiny_training.student, tiny_training.given, "validation").scores
    plain = replace(scores, temperature=1.0).judged()
    assert found.before.ece.value == pytest.approx(ece(plain))
    assert found.before.brier.value == pytest.approx(brier(plain))
    assert scores.temperature == pytest.approx(found.temperature)
