"""Evaluation: threshold from validation, numbers from the split asked for, no other splits."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mel_demo.decision.operating_point import choose
from mel_demo.manifest import METRIC_NAMES, load_manifest
from tests.support.tiny_export import export_tiny
from training.data.measurable import Measurable
from training.errors import DataError, RunError
from training.learn.run_folder import load_run
from training.measure.evaluate import evaluate_run, evaluate_weights, measure
from training.measure.scores import score_network, score_onnx
from training.provenance import sha256


@pytest.fixture(scope="module")
def weights(tiny_training) -> Path:
    return export_tiny(tiny_training)


def test_torch_and_the_exported_file_give_the_same_scores(weights, tiny_training):
    network, record = load_run(tiny_training.student)
    pixels = tiny_training.given.pixels("validation")
    prepared = pixels.prepared(record.preprocessing)
    assert prepared is pixels.prepared(record.preprocessing), "decoded once"
    by_torch = score_network(network, pixels.images, prepared, record.preprocessing)
    by_file = score_onnx(weights / "student.onnx", pixels.images, prepared, record.preprocessing)
    np.testing.assert_allclose(by_torch.logits, by_file.logits, atol=1e-4)
    assert by_torch.image_ids == by_file.image_ids
    assert by_file.probabilities().shape == (len(pixels.images), 7)
    np.testing.assert_allclose(by_file.probabilities().sum(1), 1)


def test_a_temperature_softens_and_keeps_the_order(weights, tiny_training):
    _, record = load_run(tiny_training.student)
    pixels = tiny_training.given.pixels("validation")
    arguments = pixels.images, pixels.prepared(record.preprocessing), record.preprocessing
    plain = score_onnx(weights / "student.onnx", *arguments)
    soft = score_onnx(weights / "student.onnx", *arguments, temperature=3.0)
    np.testing.assert_array_equal(plain.logits, soft.logits)
    assert soft.probabilities().max() < plain.probabilities().max()
    order = [x.probabilities().argmax(1).tolist() for x in (plain, soft)]
    assert order[0] == order[1]


@pytest.mark.parametrize("split", ["validation", "holdout"])
def test_weights_are_measured_as_the_manifest_says(weights, tiny_training, split, tmp_path):
    output = tmp_path / "evaluation.json"
    found = evaluate_weights(weights, tiny_training.given, split, output)
    manifest = load_manifest(weights)
    for key, spec in manifest.models.items():
        assert found.thresholds[key] == choose(spec.operating_table, 0.95).threshold
        for name in METRIC_NAMES:
            measured, written = found.metrics[key][name], spec.metrics[split][name]
            assert measured.value == pytest.approx(written.value, abs=1e-6), name
            assert measured.low == pytest.approx(written.low, abs=1e-6), name
    assert found.agreement["spearman"].value == pytest.approx(
        manifest.agreement[split]["spearman"].value, abs=1e-6
    )
    written = json.loads(output.read_text())
    assert written["split"] == split
    assert written["splits_sha256"] == sha256(tiny_training.splits)
    assert written["command"].startswith("python ")
    assert written["written"].endswith("+00:00")
    assert written["git_commit"]
    assert written["metrics"]["teacher"]["roc_auc"].keys() == {"value", "low", "high"}


def test_a_run_is_measured_at_the_threshold_of_validation(weights, tiny_training, capsys):
    arguments = tiny_training.teacher, tiny_training.given
    validation, holdout = evaluate_run(*arguments), evaluate_run(*arguments, "holdout")
    assert validation.split == "validation", "holdout only on request"
    assert validation.thresholds == holdout.thresholds
    released = load_manifest(weights).models["teacher"]
    for found in (validation, holdout):
        written = released.metrics[found.split]["roc_auc"].value
        assert found.metrics["teacher"]["roc_auc"].value == pytest.approx(written, abs=1e-6)
    printed = capsys.readouterr().out
    assert "sensitivity_at_95" in printed
    assert printed.count("look at them once") == 1


def test_models_scored_on_different_images_are_not_compared(weights, tiny_training):
    _, record = load_run(tiny_training.student)
    pixels = tiny_training.given.pixels("validation")
    scores = score_onnx(
        weights / "student.onnx",
        pixels.images,
        pixels.prepared(record.preprocessing),
        record.preprocessing,
    )
    other = replace(scores, image_ids=scores.image_ids[::-1])
    with pytest.raises(DataError, match="different images, or in different order"):
        measure("validation", {"teacher": other, "student": scores}, {})


@pytest.mark.parametrize("what", ["weights", "run"])
def test_other_splits_are_refused(weights, tiny_training, tmp_path, what):
    other = shutil.copy(tiny_training.splits, tmp_path)
    with Path(other).open("a") as file:
        file.write("\n")
    evaluate, folder = {
        "weights": (evaluate_weights, weights),
        "run": (evaluate_run, tiny_training.teacher),
    }[what]
    with pytest.raises(DataError, match="its holdout may hold training images"):
        evaluate(folder, Measurable(tiny_training.data, Path(other)))
    with pytest.raises(DataError, match=r"There is no splits file .*absent\.csv"):
        evaluate(folder, Measurable(tiny_training.data, tmp_path / "absent.csv"))


def test_training_images_are_not_measured(weights, tiny_training):
    with pytest.raises(DataError, match="Split 'train' cannot be measured"):
        evaluate_weights(weights, tiny_training.given, "train")


def test_a_folder_that_is_no_run(tiny_training, tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        evaluate_run(tmp_path, tiny_training.given)
