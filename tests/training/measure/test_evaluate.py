"""Evaluation: threshold from validation, numbers from the split asked for, no other splits."""

import functools
import json
import operator
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mel_demo.decision.operating_point import choose
from mel_demo.manifest import FILE_NAME, MELANOMA, METRIC_NAMES, load_manifest
from tests.support.tiny_export import export_tiny
from tests.support.tiny_isic import write_isic2017
from training.__main__ import app
from training.data.external import divide, write_external
from training.data.isic import read_extra
from training.data.measurable import Measurable
from training.errors import DataError, ExportError, RunError
from training.learn.run_folder import load_run
from training.measure.evaluate import Scored, evaluate_run, evaluate_scores, evaluate_weights
from training.measure.scores import score_network, score_onnx
from training.provenance import sha256

RUNNER = CliRunner()


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
        evaluate_scores("validation", {"teacher": Scored(other, {}), "student": Scored(scores, {})})


def test_a_manifest_of_another_size_than_its_files_is_named(weights, tiny_training, tmp_path):
    edited = changed(weights, tmp_path / "w", "models", "teacher", "preprocessing", "size", by=32)
    with pytest.raises(DataError, match=r"teacher\.onnx takes images of \[64, 64\] pixels .* 96"):
        evaluate_weights(edited, tiny_training.given)


def test_any_skin_cancer_is_measured_beside_melanoma(weights, tiny_training, capsys):
    found = evaluate_weights(weights, tiny_training.given)
    printed = capsys.readouterr().out
    assert "any skin cancer" in printed
    assert "balanced_accuracy" in printed
    for key, spec in load_manifest(weights).models.items():
        written = spec.skin_cancer.metrics["validation"]["roc_auc"].value
        assert found.skin_cancer.metrics[key]["roc_auc"].value == pytest.approx(written, abs=1e-6)
    by_run = evaluate_run(tiny_training.student, tiny_training.given)
    assert by_run.skin_cancer.thresholds["student"] == pytest.approx(
        found.skin_cancer.thresholds["student"], abs=1e-5
    )


def changed(weights: Path, folder: Path, *path: str, by: float) -> Path:
    """The weights with one number of their manifest another."""
    shutil.copytree(weights, folder)
    manifest = json.loads((folder / FILE_NAME).read_text())
    *parts, last = path
    place = functools.reduce(operator.getitem, parts, manifest)
    place[last] += by
    (folder / FILE_NAME).write_text(json.dumps(manifest))
    return folder


OF_TEACHER = ("models", "teacher", "metrics", "validation")
OF_CANCER = ("models", "student", "skin_cancer", "metrics", "validation")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ((*OF_TEACHER, "roc_auc", "value"), "teacher, melanoma, roc_auc: "),
        ((*OF_TEACHER, "sensitivity_at_95", "value"), "teacher, melanoma, sensitivity_at_95: "),
        ((*OF_TEACHER, "balanced_accuracy", "high"), "teacher, melanoma, balanced_accuracy: "),
        ((*OF_CANCER, "ece", "value"), "student, skin_cancer, ece: "),
        (("agreement", "validation", "spearman", "value"), "teacher and student, spearman: "),
    ],
)
def test_figures_that_are_not_the_manifests_end_the_command(
    weights, tiny_training, tmp_path, path, named
):
    arguments = ["evaluate", "--data", str(tiny_training.data), "--splits"]
    arguments += [str(tiny_training.splits), "--weights"]
    near = changed(weights, tmp_path / "near", *path, by=-0.0015)
    assert RUNNER.invoke(app, [*arguments, str(near)], catch_exceptions=False).exit_code == 0
    far = changed(weights, tmp_path / "far", *path, by=-0.0025)
    with pytest.raises(ExportError, match=f"does not do what its manifest says.*\n- {named}") as e:
        evaluate_weights(far, tiny_training.given)
    assert str(e.value).count("\n- ") == 1
    assert RUNNER.invoke(app, [*arguments, str(far)]).exit_code == 1


def test_a_threshold_missed_by_the_last_bit_is_no_other_figure(weights, tiny_training, monkeypatch):
    """On another processor the melanoma that sets a threshold may score just below it."""

    def elsewhere(*arguments, **options):
        scores = score_onnx(*arguments, **options)
        logits = scores.logits - np.float32(1e-6) * np.eye(7, dtype=np.float32)[MELANOMA]
        return replace(scores, logits=logits)

    before = evaluate_weights(weights, tiny_training.given)
    monkeypatch.setattr("training.measure.evaluate.score_onnx", elsewhere)
    after = evaluate_weights(weights, tiny_training.given)
    name = "sensitivity_at_95"
    assert after.metrics["teacher"][name].value < before.metrics["teacher"][name].value


def test_a_split_that_the_manifest_does_not_tell_of_is_measured(weights, tiny_training, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "weights")
    isic = write_isic2017(tmp_path / "isic2017", count=30)
    external = tmp_path / "external.csv"
    extras = read_extra(isic)
    write_external(extras, divide(extras, count=12), external)
    given = replace(tiny_training.given, isic2017=isic, external=external)
    assert evaluate_weights(folder, given, "external").images == 12
    with pytest.raises(DataError, match="--archive FOLDER"):
        evaluate_weights(folder, given, "archive")


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
