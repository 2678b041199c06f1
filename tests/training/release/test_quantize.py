"""INT8: what the gate refuses, which row is released, what a released file is, and what is left."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from mel_demo.decision.operating_point import choose
from mel_demo.images import normalise, open_image
from mel_demo.inference import Model
from mel_demo.manifest import MELANOMA, METRIC_NAMES, load_manifest, verify_weights
from mel_demo.screening import Screener
from tests.support.tiny_export import export_tiny
from tests.support.tiny_isic import write_isic2017
from training.__main__ import app
from training.data.external import divide, write_external
from training.data.isic import read_extra
from training.data.splits import read_splits
from training.errors import DataError, ExportError
from training.measure.scores import open_session, score_onnx
from training.provenance import sha256
from training.release.int8 import (
    REGIONS,
    Calibration,
    Candidate,
    calibrate,
    float_graph,
    grid,
    parts_of,
    quantise,
)
from training.release.quantize import quantize
from training.release.sweep import Gate, Quality, Row, choose_best, correlation

CANDIDATES = (
    Candidate(Calibration("minmax"), keep_float=("squeeze-excite", "stem")),
    Candidate(Calibration("percentile", 99.9), reduce_range=False, keep_float=()),
    Candidate(Calibration("entropy"), per_channel=False, activations="S8", elementwise=True),
)
# Two epochs on a few drawings teach little that a gate could protect.
LAX = Gate(roc_auc_loss=1, specificity_loss=1, most_ece=1, least_map_correlation=-1)
STUDENT = Quality(0.9, 0.6, 0.03, 1.0, 3_000_000)
INT8 = replace(STUDENT, map_correlation=0.98, bytes=1_700_000)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"roc_auc": 0.8970}, None),
        ({"roc_auc": 0.8969}, r"^ROC-AUC 0.8969 is 0.0031 below 0.9000, allowed 0.003$"),
        ({"specificity_at_95": 0.58}, None),
        ({"specificity_at_95": 0.57}, r"^specificity at the 95 % setting 0.5700 is 0.0300 below"),
        ({"ece": 0.035}, None),
        ({"ece": 0.036}, r"^ECE 0.0360 is above 0.035$"),
        ({"map_correlation": 0.95}, None),
        ({"map_correlation": 0.9}, r"^evidence map correlation 0.900 is below 0.95$"),
        ({"bytes": 2_000_000}, None),
        ({"bytes": 2_000_001}, r"^2000001 bytes are more than 2000000$"),
        ({"external_roc_auc": 0.70}, None),  # not measured for the student
        ({"roc_auc": 0.95, "specificity_at_95": 0.7}, None),  # better is no reason
    ],
)
def test_the_gate_refuses_for_each_rule_and_names_it(changes, reason):
    found = Gate().reasons(replace(INT8, **changes), STUDENT)
    if reason is None:
        assert found == ()
    else:
        assert len(found) == 1
        assert re.search(reason, found[0])


def test_the_gate_compares_an_external_set_where_both_have_one():
    reference = replace(STUDENT, external_roc_auc=0.80)
    gate = Gate()
    assert gate.reasons(replace(INT8, external_roc_auc=0.79), reference) == ()
    (reason,) = gate.reasons(replace(INT8, external_roc_auc=0.78), reference)
    assert reason.startswith("external ROC-AUC 0.7800 is 0.0200 below 0.8000")


def test_the_gate_gives_every_reason():
    worst = Quality(0.5, 0.0, 0.5, 0.0, 9_000_000, 0.5)
    assert len(Gate().reasons(worst, replace(STUDENT, external_roc_auc=0.8))) == 6


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        # 7-bit weights?, divergence, refused?
        ([(True, 0.3, False), (True, 0.1, False), (True, 0.2, False)], 1),
        ([(True, 0.3, False), (True, 0.1, True)], 0),
        ([(False, 0.1, False), (True, 0.3, False)], 1),
        ([(False, 0.2, False), (False, 0.1, False), (True, 0.0, True)], 1),
        ([(True, 0.1, True), (False, 0.1, True)], None),
    ],
)
def test_the_nearest_that_passes_is_chosen_and_seven_bits_come_first(rows, chosen):
    made = [
        Row(
            Candidate(Calibration("minmax"), reduce_range=seven),
            INT8, 1.0, 0.1, divergence, 1.0, "", ("refused",) if refused else (),
        )
        for seven, divergence, refused in rows
    ]  # fmt: skip
    assert choose_best(made) == chosen


def test_what_is_far_on_another_clinics_images_is_not_the_nearest():
    near = Row(Candidate(Calibration("minmax")), INT8, 1.0, 0.1, 0.01, 1.0, "")
    rows = [replace(near, elsewhere={"ISIC 2017": 0.3}), replace(near, divergence=0.02)]
    assert choose_best(rows) == 1
    assert choose_best([rows[0], replace(rows[1], elsewhere={"ISIC 2017": 0.4})]) == 0


def test_maps_without_evidence_agree_with_each_other_alone():
    ramp, flat = np.arange(4.0).reshape(1, 2, 2), np.zeros((1, 2, 2))
    assert correlation(ramp, 3 * ramp + 1) == pytest.approx(1)
    assert correlation(ramp, -ramp) == pytest.approx(-1)
    assert correlation(flat, flat) == 1
    assert correlation(flat, ramp) == correlation(ramp, flat) == 0
    assert correlation(np.concatenate([ramp, flat]), np.concatenate([ramp, ramp])) == (
        pytest.approx(0.5)
    )


def test_the_grid_holds_no_candidate_twice_and_tries_what_is_known_to_matter():
    candidates = grid()
    assert len(set(candidates)) == len(candidates)
    assert {c.calibration.method for c in candidates} == {"minmax", "percentile", "entropy"}
    for setting in ("per_channel", "reduce_range", "activations", "elementwise"):
        assert len({getattr(c, setting) for c in candidates}) == 2, setting
    assert {name for c in candidates for name in c.keep_float} == set(REGIONS)


@pytest.fixture(scope="module")
def weights(tiny_training) -> Path:
    return export_tiny(tiny_training)


@pytest.fixture(scope="module")
def images(tiny_training, weights) -> np.ndarray:
    preprocessing = load_manifest(weights).models["student"].preprocessing
    pixels = tiny_training.given.pixels("validation")
    return normalise(pixels.prepared(preprocessing), preprocessing)


def run(path: Path, images: np.ndarray) -> list[np.ndarray]:
    return open_session(path).run(["logits", "cam"], {"image": images})


def test_the_float_graph_computes_what_the_file_computes(weights, images, tmp_path):
    model = float_graph(weights / "student.onnx")
    assert not [node for node in model.graph.node if node.op_type == "Cast"]
    onnx.save(model, tmp_path / "float.onnx")
    wanted = run(weights / "student.onnx", images)
    for found, expected in zip(run(tmp_path / "float.onnx", images), wanted, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def calibrated(weights, images):
    model = float_graph(weights / "student.onnx")
    return model, calibrate(model, Calibration("minmax"), images[:2])


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_is_found_and_kept_in_float(calibrated, tmp_path, region):
    model, ranges = calibrated
    parts, calibration = parts_of(model), Calibration("minmax")
    assert parts.regions[region]
    assert parts.regions[region] <= parts.trunk
    path = tmp_path / "int8.onnx"
    quantised = []
    for kept in ((), (region,)):
        quantise(model, Candidate(calibration, keep_float=kept), ranges, path, {})
        graph = onnx.load(path).graph
        made_by = {output: node.op_type for node in graph.node for output in node.output}
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        quantised.append(
            sum(made_by.get(node.input[1]) == "DequantizeLinear" for node in convolutions)
        )
    everything, without = quantised
    kept = [n for n in model.graph.node if n.name in parts.regions[region] and n.op_type == "Conv"]
    assert everything - without == len(kept) > 0
    assert len(convolutions) == everything + 1, "the head's convolution stays in float"


def test_a_graph_without_pooling_is_refused():
    with pytest.raises(ExportError, match=r"last feature map cannot be found.*training export"):
        parts_of(onnx.ModelProto())


@pytest.fixture(scope="module")
def released(tiny_training, weights, tmp_path_factory) -> Path:
    """A copy of the tiny weights with the INT8 file; record.json beside the folder."""
    root = tmp_path_factory.mktemp("quantize")
    output = shutil.copytree(weights, root / "weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.release.int8._ENTROPY_BINS", 144)  # its search is slow
        quantize(
            output,
            tiny_training.given,
            output,
            root / "record.json",
            candidates=CANDIDATES,
            gate=LAX,
        )
    return output


def test_every_row_is_recorded_and_the_chosen_one_is_released(released, tiny_training):
    record = json.loads((released.parent / "record.json").read_text())
    assert record["splits_sha256"] == sha256(tiny_training.splits)
    assert record["student"]["sha256"] == sha256(released / "student.onnx")
    assert record["gate"]["roc_auc_loss"] == 1
    assert record["measured_on"] == "validation"
    for name in ("command", "git_commit", "onnxruntime", "machine"):
        assert record[name]
    rows = record["rows"]
    assert [row["settings"] for row in rows] == [str(candidate) for candidate in CANDIDATES]
    assert len({row["sha256"] for row in rows}) == len(rows)
    for row in (record["single_precision"], *rows):
        assert row["temperature"] > 0
        assert 0 <= row["quality"]["roc_auc"] <= 1
    allowed = [i for i, c in enumerate(CANDIDATES) if c.reduce_range]
    nearest = min(allowed, key=lambda index: rows[index]["divergence"])
    assert record["chosen"] == nearest
    assert rows[nearest]["sha256"] == sha256(released / "student_int8.onnx")


def test_the_manifest_gains_a_model_and_keeps_the_others(released, weights):
    before, after = (
        json.loads((folder / "manifest.json").read_text()) for folder in (weights, released)
    )
    added = after["models"].pop("student_int8")
    assert before.pop("version") != after.pop("version"), "other files, another version"
    assert before == after
    for file in weights.iterdir():
        if file.name != "manifest.json":
            assert (released / file.name).read_bytes() == file.read_bytes()
    assert added["quantisation"]["from_sha256"] == after["models"]["student"]["sha256"]
    spec = load_manifest(released).models["student_int8"]
    verify_weights(spec, released)
    assert spec.bytes < 0.6 * load_manifest(released).models["student"].bytes
    assert "training quantize" in spec.latency.note
    card = (released / "student_int8.md").read_text(encoding="utf-8")
    for said in (spec.sha256, "not a medical device", "## Quantisation", "correlate"):
        assert said in card


def test_the_numbers_in_the_manifest_are_the_files(released, tiny_training):
    spec = load_manifest(released).models["student_int8"]
    for split in ("validation", "holdout"):
        pixels = tiny_training.given.pixels(split)
        prepared = pixels.prepared(spec.preprocessing)
        path = released / spec.file
        judged = score_onnx(
            path, pixels.images, prepared, spec.preprocessing, spec.temperature
        ).judged()
        point = choose(spec.operating_table, 0.95)
        counts = getattr(point.row, split)
        assert counts.tp == ((judged.probability >= point.threshold) & judged.melanoma).sum()
        assert set(METRIC_NAMES) <= set(spec.metrics[split])


def test_the_evidence_map_survives(released, images):
    logits, maps = run(released / "student_int8.onnx", images)
    wanted = run(released / "student.onnx", images)
    assert logits.shape == wanted[0].shape
    assert maps.shape == wanted[1].shape
    assert (maps >= 0).all()
    assert correlation(maps[:, MELANOMA], wanted[1][:, MELANOMA]) > 0.8
    one = run(released / "student_int8.onnx", images[1:2])
    np.testing.assert_allclose(one[1], maps[1:2], atol=1e-5)


def test_weights_are_stored_in_bytes_and_once(released):
    tensors = onnx.load(released / "student_int8.onnx").graph.initializer
    sizes = {t.name: onnx.numpy_helper.to_array(t) for t in tensors}
    assert not [n for n, v in sizes.items() if v.dtype.itemsize > 1 and v.size > 4096]
    parameters = load_manifest(released).models["student_int8"].parameters
    assert sum(v.size for v in sizes.values() if v.dtype == np.int8) < 1.1 * parameters


def test_the_page_serves_it(released, tiny_training):
    spec = load_manifest(released).models["student_int8"]
    picture = open_image(next(tiny_training.data.rglob("*.jpg")))
    prediction = Model(spec, verify_weights(spec, released), threads=1).predict(picture)
    assert sum(prediction.probabilities) == pytest.approx(1)
    assert prediction.melanoma_evidence.shape == (2, 2)
    screening = Screener(released, threads=1).screen(picture)
    assert list(screening.predictions) == ["teacher", "student", "student_int8"]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_where_nothing_passes_nothing_changes_and_the_reasons_are_told(
    weights, tiny_training, tmp_path
):
    output = shutil.copytree(weights, tmp_path / "weights")
    before, record = contents(output), tmp_path / "record.json"
    gate = replace(LAX, most_bytes=1000, most_ece=0.0)
    with pytest.raises(ExportError, match="None of 1 INT8") as refused:
        quantize(
            output, tiny_training.given, output, record,
            candidates=CANDIDATES[:1], gate=gate,
        )  # fmt: skip
    message = str(refused.value)
    assert "bytes are more than 1000" in message
    assert "The student itself would be refused: ECE" in message
    assert contents(output) == before
    written = json.loads(record.read_text())
    assert written["chosen"] is None
    assert len(written["rows"][0]["reasons"]) == 2


def test_the_sweep_opens_no_holdout_image(weights, tiny_training, tmp_path, monkeypatch):
    """The command, with a data set that has no holdout image: the sweep does not miss them."""
    data = shutil.copytree(tiny_training.data, tmp_path / "data")
    held = {row.image_id for row in read_splits(tiny_training.splits) if row.split == "holdout"}
    for path in list(data.rglob("*.jpg")):
        if path.stem in held:
            path.unlink()
    monkeypatch.setattr("training.release.quantize.grid", lambda: CANDIDATES[:1])
    monkeypatch.setattr("training.release.quantize.Gate", lambda: LAX)
    output = shutil.copytree(weights, tmp_path / "weights")
    before, record = contents(output), tmp_path / "record.json"
    given = [
        "quantize", "--weights", output, "--data", data, "--splits", tiny_training.splits,
        "--record", record,
    ]  # fmt: skip
    done = CliRunner().invoke(app, [*map(str, given), "--sweep-only"])
    assert done.exit_code == 0, done.output
    assert "chosen" in done.output
    assert json.loads(record.read_text())["chosen"] == 0
    assert contents(output) == before
    done = CliRunner().invoke(app, [*map(str, given)])
    assert isinstance(done.exception, DataError), "the release needs them"
    assert contents(output) == before


def test_a_file_served_otherwise_than_measured_is_not_released(
    weights, tiny_training, tmp_path, monkeypatch
):
    def measured_otherwise(*arguments):
        scores = score_onnx(*arguments)
        return replace(scores, logits=scores.logits + np.eye(7)[MELANOMA].astype(np.float32) * 1e-3)

    monkeypatch.setattr("training.release.quantize.score_onnx", measured_otherwise)
    output = tmp_path / "other"
    with pytest.raises(ExportError, match=r"inference and training\.measure\.scores differ"):
        quantize(
            weights, tiny_training.given, output, tmp_path / "record.json",
            candidates=CANDIDATES[:1], gate=LAX,
        )  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


def test_other_splits_are_refused(weights, tiny_training, tmp_path):
    other = tmp_path / "splits.csv"
    other.write_bytes(tiny_training.splits.read_bytes() + b"\n")
    record = tmp_path / "record.json"
    with pytest.raises(DataError, match="not the splits file that the student"):
        quantize(weights, replace(tiny_training.given, splits=other), tmp_path / "out", record)
    assert not record.exists()


def test_images_of_other_clinics_are_asked_once_for_the_chosen_file(
    weights, tiny_training, tmp_path
):
    isic = write_isic2017(tmp_path / "isic2017", count=30)
    extras = read_extra(isic)
    external = tmp_path / "external.csv"
    write_external(extras, divide(extras, count=12), external)
    given = replace(tiny_training.given, isic2017=isic, external=external)
    released = shutil.copytree(weights, tmp_path / "weights")
    manifest = json.loads((released / "manifest.json").read_text())

    def student_with(roc_auc: float) -> dict[str, bytes]:
        found = {name: {"value": roc_auc, "low": 0.0, "high": 1.0} for name in METRIC_NAMES}
        manifest["models"]["student"]["metrics"]["external"] = found
        manifest["models"]["student"]["data"]["external"] = {
            "name": "ISIC 2017",
            "images": 12,
            "melanomas": 4,
            "sha256": sha256(external),
        }
        (released / "manifest.json").write_text(json.dumps(manifest))
        return contents(released)

    options = {"candidates": CANDIDATES[:1], "record": tmp_path / "record.json"}
    before = student_with(roc_auc=1.5)  # more than any file can reach
    with pytest.raises(ExportError, match=r"external ROC-AUC .* below 1\.5000"):
        quantize(released, given, released, gate=LAX, **options)
    assert contents(released) == before
    student_with(roc_auc=0.0)
    written = quantize(released, given, released, gate=LAX, **options)
    assert 0 <= written.models["student_int8"].metrics["external"]["roc_auc"].value <= 1
