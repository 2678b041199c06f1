"""The manifest is read whole or refused with the key's path, the bad value and the way out."""

import json
import os
import shutil
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from mel_demo.errors import ManifestError, WeightsError
from mel_demo.manifest import (
    CLASS_NAMES,
    Counts,
    Interval,
    Lesions,
    Refused,
    load_manifest,
    to_json,
    verify_weights,
)
from tests.support.tiny_weights import ood_json, write_tiny_weights

MISSING = object()
RELEASED = Path(__file__).parents[2] / "weights"
ROWS = "models.student.operating_table.rows"


def write(folder: Path, content: Any) -> Path:
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def put(content: Any, path: str, value: Any) -> None:
    """Set the value at a path such as ``models.student.rows[3].threshold``, or delete the key."""
    *parents, last = path.replace("[", ".[").split(".")
    for part in parents:
        content = content[int(part[1:-1])] if part.startswith("[") else content[part]
    key = int(last[1:-1]) if last.startswith("[") else last
    if value is MISSING:
        del content[key]
    else:
        content[key] = value


def test_what_is_read(tiny_weights: Path) -> None:
    manifest = load_manifest(tiny_weights)
    assert manifest.format == 1
    assert list(manifest.models) == ["teacher", "student"]
    assert astuple(manifest.agreement["holdout"]["spearman"]) == pytest.approx((0.8, 0.76, 0.84))
    student = manifest.models["student"]
    assert student.key == "student"
    assert student.class_names == CLASS_NAMES
    assert student.temperature == 2.0
    assert student.preprocessing.size == 160
    assert student.preprocessing.mean == (0.0, 0.0, 0.0)
    assert student.metrics["holdout"]["roc_auc"].value == 0.85
    assert student.data.licence == "Apache-2.0"
    table = student.operating_table
    assert len(table.rows) == 20
    assert table.holdout_lesions == Lesions(melanoma=15, other=75)
    assert table.rows[18].threshold == 0.08
    assert table.rows[18].validation == Counts(tp=19, fp=54, fn=1, tn=46)
    assert table.rows[18].holdout_rates.specificity.value == 0.64
    assert table.rows[0].holdout_rates.ppv == Interval(None, None, None)


def test_the_distance_that_refuses_is_optional(tiny_weights: Path, refusing_weights: Path) -> None:
    assert load_manifest(tiny_weights).models["student"].ood is None
    models = load_manifest(refusing_weights).models
    assert models["teacher"].ood is None
    found = models["student"].ood
    assert found.threshold == 2.0
    assert found.reference == {"Drawn lesions": 480}
    assert found.dermoscopy["holdout"] == Refused(2, 200, Interval(0.01, 0.002, 0.03))
    assert found.others["noise"].refused == 20


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("ood.threshold", MISSING, "ood.threshold: the key is missing"),
        ("ood.threshold", -1, "-1 is not a finite number from 0"),
        ("ood.method", "", "is not a non-empty text"),
        ("ood.dermoscopy.holdout", MISSING, "ood.dermoscopy.holdout: the key is missing"),
        ("ood.others.noise.refused", 21, "21 is not at most 20, the number of images"),
        ("ood.others.noise.images", 0, "0 is not an integer of at least 1"),
        ("ood.others.noise.rate.low", 2, "2 is not a finite number from 0 to 1"),
        ("ood.reference", {"HAM10000": 0}, "0 is not an integer of at least 1"),
    ],
)
def test_a_distance_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, manifest_json: dict[str, Any], path: str, value: Any, says: str
) -> None:
    student = manifest_json["models"]["student"]
    student["ood"] = ood_json()
    put(student, path, value)
    with pytest.raises(ManifestError) as caught:
        load_manifest(write(tmp_path, manifest_json))
    assert f"models.student.{path}" in str(caught.value)
    assert says in str(caught.value)


@pytest.fixture
def elsewhere_json(tmp_path: Path) -> dict[str, Any]:
    """The JSON of a manifest with everything that is optional, for a test to break."""
    folder = write_tiny_weights(tmp_path / "all", refusing=True, evidence=True, elsewhere=True)
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_other_clinics_and_any_skin_cancer_are_optional(
    tmp_path: Path, tiny_weights: Path, elsewhere_json: dict[str, Any]
) -> None:
    without = load_manifest(tiny_weights).models["student"]
    assert without.operating_table.rows[0].external is None
    assert without.operating_table.external_lesions is None
    assert without.target("melanoma") is without
    with pytest.raises(ManifestError, match=r"models\.student\.skin_cancer .* not measured"):
        without.target("skin_cancer")
    manifest = load_manifest(write(tmp_path, elsewhere_json))
    student = manifest.models["student"]
    row = student.operating_table.rows[18]
    assert (row.external.tp, row.external_rates.specificity.value) == (18, 0.64)
    assert student.operating_table.external_lesions == Lesions(melanoma=15, other=75)
    assert student.target("skin_cancer").metrics["external"]["roc_auc"].value == 0.85
    assert student.evidence.scores["external"].positive[0] == 0.08
    (tmp_path / "manifest.json").write_text(to_json(manifest), encoding="utf-8")
    assert to_json(load_manifest(tmp_path)) == to_json(manifest)


def test_the_version_names_the_day_and_the_files(
    tmp_path: Path, manifest_json: dict[str, Any]
) -> None:
    first = load_manifest(write(tmp_path, manifest_json)).version
    assert first.startswith("2025-01-01-")
    put(manifest_json, "models.student.sha256", "2" * 64)
    assert load_manifest(write(tmp_path, manifest_json | {"version": "mine"})).version != first


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (f"{ROWS}[3].external", MISSING, "external: the key is missing"),
        (f"{ROWS}[0].external.ppv.value", 0.5, "0.5 is not what the counts beside it say"),
        ("models.student.operating_table.lesions.external", MISSING, "external: the key is miss"),
        ("models.student.data.external", MISSING, "data.external: the key is missing"),
        ("models.student.data.external.images", 121, "121 is not 120, the number in operating_"),
        ("models.student.skin_cancer.operating_table.rows", [], "[] is not a list of at least one"),
        ("models.student.skin_cancer.metrics.holdout.ece", MISSING, "holdout.ece: the key is mis"),
        ("models.student.evidence.scores.holdout.positive", [0.4, 0.2], "in ascending order"),
        ("models.student.evidence.scores.holdout.positive[1]", "0.1", "'0.1' is not a finite"),
    ],
)
def test_what_is_optional_fits_or_is_refused_by_name(
    tmp_path: Path, elsewhere_json: dict[str, Any], path: str, value: Any, says: str
) -> None:
    put(elsewhere_json, path, value)
    with pytest.raises(ManifestError) as caught:
        load_manifest(write(tmp_path, elsewhere_json))
    assert path in str(caught.value)
    assert says in str(caught.value)


def test_models_come_in_one_order_and_a_third_is_optional(
    tmp_path: Path, manifest_json: dict[str, Any]
) -> None:
    models = manifest_json["models"]
    int8 = dict(models["student"], file="student_int8.onnx")
    manifest_json["models"] = {"student_int8": int8, **dict(reversed(models.items()))}
    manifest = load_manifest(write(tmp_path, manifest_json))
    assert list(manifest.models) == ["teacher", "student", "student_int8"]


def test_keys_of_later_versions_do_no_harm(tmp_path: Path, manifest_json: dict[str, Any]) -> None:
    put(manifest_json, "models.teacher.later", {"reference": 1})
    assert load_manifest(write(tmp_path, manifest_json)).models["teacher"].key == "teacher"


BROKEN: list[tuple[str, Any, str]] = [
    ("format", 2, "format: 2 is newer than 1"),
    ("format", 0, "format: 0 is not an integer of at least 1"),
    ("format", "1", "format: '1' is not an integer"),
    ("format", MISSING, "format: the key is missing"),
    ("created", "", "created: '' is not a non-empty text"),
    ("agreement", [], "agreement: [] is not an object"),
    ("agreement.holdout.spearman.low", MISSING, "agreement.holdout.spearman.low: the key is"),
    ("models", [1], "models: [1] is not an object"),
    ("models.teacher", MISSING, "models.teacher: the key is missing"),
    ("models.student", MISSING, "models.student: the key is missing"),
    ("models.pupil", {}, "models.pupil: unknown model; known are teacher, student, student_int8"),
    ("models.student.file", "../../etc/passwd", "models.student.file: '../../etc/passwd' is not a"),
    ("models.student.file", "/student.onnx", "models.student.file: '/student.onnx' is not a plain"),
    ("models.student.file", "..", "models.student.file: '..' is not a plain"),
    ("models.student.sha256", "abc", "models.student.sha256: 'abc' is not 64 hexadecimal"),
    ("models.student.bytes", 0, "models.student.bytes: 0 is not an integer of at least 1"),
    ("models.student.bytes", True, "models.student.bytes: True is not an integer"),
    ("models.student.parameters", 2.5, "models.student.parameters: 2.5 is not an integer"),
    ("models.student.recipe", None, "models.student.recipe: None is not a non-empty text"),
    ("models.student.class_names[4]", "melanoma", "models.student.class_names: "),
    ("models.student.temperature", 0, "models.student.temperature: 0 is not greater than 0"),
    ("models.student.temperature", float("nan"), "models.student.temperature: nan is not a finite"),
    ("models.student.temperature", 10**400, "models.student.temperature: 1000"),
    ("models.student.preprocessing.size", 0, "models.student.preprocessing.size: 0 is not an"),
    ("models.student.preprocessing.max_aspect_ratio", 0.9, "max_aspect_ratio: 0.9 is not a finite"),
    ("models.student.preprocessing.resample", "nearest", "preprocessing.resample: 'nearest' is"),
    ("models.student.preprocessing.mean", [0, 0], "mean: [0, 0] is not a list of 3"),
    ("models.student.preprocessing.mean[1]", "0", "mean[1]: '0' is not a finite number"),
    ("models.student.preprocessing.std", [1, 1, 0], "std: [1, 1, 0] is not three numbers greater"),
    ("models.student.metrics.holdout", MISSING, "models.student.metrics.holdout: the key is"),
    ("models.student.metrics.holdout.ece", MISSING, "models.student.metrics.holdout.ece: the key"),
    ("models.student.metrics.holdout.ece.value", "x", "metrics.holdout.ece.value: 'x' is not a"),
    (
        "models.student.metrics.holdout.ece",
        {"value": None, "low": 0, "high": 1},
        "metrics.holdout.ece: {'value': None, 'low': 0, 'high': 1} is not an interval",
    ),
    (
        "models.student.metrics.holdout.ece",
        {"value": 0.5, "low": 0.4, "high": None},
        "is not an interval: low and high",
    ),
    (
        "models.student.metrics.holdout.ece",
        {"value": 0.5, "low": 0.6, "high": 0.4},
        "is not an interval: low is above high",
    ),
    ("models.student.operating_table", None, "models.student.operating_table: None is not an"),
    (ROWS, [], f"{ROWS}: [] is not a list of at least one row"),
    (f"{ROWS}[3].threshold", "0.5", f"{ROWS}[3].threshold: '0.5' is not a finite number"),
    (f"{ROWS}[3].threshold", float("nan"), f"{ROWS}[3].threshold: nan is not a finite number"),
    (f"{ROWS}[3].threshold", 1.5, f"{ROWS}[3].threshold: 1.5 is not a finite number from 0 to 1"),
    (f"{ROWS}[3].threshold", 0.9, f"{ROWS}[3].threshold: 0.9 is not below the threshold before"),
    (f"{ROWS}[3].threshold", 0.72, f"{ROWS}[3].threshold: 0.72 is not below the threshold before"),
    (f"{ROWS}[3].validation.tp", -1, f"{ROWS}[3].validation.tp: -1 is not an integer of at least"),
    (f"{ROWS}[3].validation.tp", 5, f"{ROWS}[3].validation: "),
    (f"{ROWS}[3].validation", {"tp": 4, "fp": 0, "fn": 16, "tn": 100}, "at least the tp and fp of"),
    (
        f"{ROWS}[3].validation",
        {"tp": 0, "fp": 0, "fn": 0, "tn": 120},
        "counts with at least one melanoma",
    ),
    (f"{ROWS}[19]", MISSING, f"{ROWS}[18].validation.fn: 1 is not 0: the last threshold must"),
    (f"{ROWS}[3].holdout.npv", MISSING, f"{ROWS}[3].holdout.npv: the key is missing"),
    (f"{ROWS}[3].holdout.ppv.value", 0.5, f"{ROWS}[3].holdout.ppv.value: 0.5 is not what the"),
    (f"{ROWS}[3].holdout.sensitivity.high", 1.2, "sensitivity.high: 1.2 is not a finite number"),
    (
        f"{ROWS}[0].holdout.ppv",
        {"value": 0.0, "low": 0.0, "high": 0.0},
        f"{ROWS}[0].holdout.ppv.value: 0.0 is not what the counts beside it say (null",
    ),
    ("models.student.operating_table.lesions.holdout.other", 0, "lesions.holdout.other: 0 is not"),
    ("models.student.data.licence", MISSING, "models.student.data.licence: the key is missing"),
    ("models.student.data.images.holdout", 121, "data.images.holdout: 121 is not 120, the number"),
    ("models.student.data.melanomas.validation", 19, "data.melanomas.validation: 19 is not 20"),
    ("models.student.latency", 3, "models.student.latency: 3 is not an object"),
    ("models.student.latency", {}, "models.student.latency.milliseconds: the key is missing"),
    (
        "models.student.latency.milliseconds",
        "6.4",
        "models.student.latency.milliseconds: '6.4' is not a finite number from 0",
    ),
    ("models.student.data.doi", MISSING, "models.student.data.doi: the key is missing"),
    (
        "models.student.data.images.train",
        MISSING,
        "models.student.data.images.train: the key is missing",
    ),
    (
        "models.student.metrics.external",
        {"roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9}},
        "models.student.data.external: the key is missing",
    ),
]


@pytest.mark.parametrize(
    ("path", "value", "says"), BROKEN, ids=[f"{i}-{case[0]}" for i, case in enumerate(BROKEN)]
)
def test_what_does_not_fit_is_refused_by_name(
    tmp_path: Path, manifest_json: dict[str, Any], path: str, value: Any, says: str
) -> None:
    put(manifest_json, path, value)
    with pytest.raises(ManifestError) as caught:
        load_manifest(write(tmp_path, manifest_json))
    message = str(caught.value)
    assert says in message
    assert message.startswith(f"{tmp_path / 'manifest.json'}: ")
    assert any(word in message for word in ("Export", "Update", "known are"))
    assert len(message) < 400


def test_the_released_manifest_is_written_as_it_is_read() -> None:
    manifest = load_manifest(RELEASED)
    released = json.loads((RELEASED / "manifest.json").read_text(encoding="utf-8"))
    assert json.loads(to_json(manifest)) == released | {"version": manifest.version}


def test_an_undefined_metric_is_none_not_zero(
    tmp_path: Path, manifest_json: dict[str, Any]
) -> None:
    undefined = {"value": None, "low": None, "high": None}
    put(manifest_json, "models.student.metrics.holdout.roc_auc", undefined)
    manifest = load_manifest(write(tmp_path, manifest_json))
    metric = manifest.models["student"].metrics["holdout"]["roc_auc"]
    assert metric == Interval(None, None, None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"{", "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[]", "the file: [] is not an object"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 5_000, "is not JSON"),
    ],
)
def test_a_file_that_is_no_manifest(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path)
    assert says in str(caught.value)
    assert str(tmp_path / "manifest.json") in str(caught.value)


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (Path.unlink, "No such file"),
        (lambda path: os.truncate(path, 100), "has 100 bytes, the manifest says"),
        (flip_a_byte, "has SHA-256"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid x\n"),
            "git lfs pull",
        ),
    ],
)
def test_weights_that_are_not_the_measured_ones(
    tmp_path: Path, tiny_weights: Path, damage: Any, says: str
) -> None:
    folder = shutil.copytree(tiny_weights, tmp_path / "weights")
    spec = load_manifest(folder).models["student"]
    assert verify_weights(spec, folder) == folder / "student.onnx"
    damage(folder / "student.onnx")
    with pytest.raises(WeightsError, match=says) as caught:
        verify_weights(spec, folder)
    assert "student.onnx" in str(caught.value)
