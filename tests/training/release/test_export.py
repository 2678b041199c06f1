"""The closed-form evidence map equals pytorch-grad-cam's, and nothing else is ever exported."""

import json
import os
import re
import shutil
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch

from mel_demo.errors import ManifestError
from mel_demo.images import open_image
from mel_demo.manifest import CLASS_NAMES, load_manifest, verify_weights
from mel_demo.screening import Screener
from tests.support.tiny_export import export_tiny
from tests.support.tiny_isic import write_archive, write_isic2017
from training.data.external import divide, divide_more, write_external
from training.data.isic import read_extra
from training.data.measurable import Measurable
from training.errors import DataError, ExportError, RunError
from training.learn import cam
from training.measure.evaluate import evaluate_weights
from training.measure.maps import LogOddsTarget, normalised, reference_maps
from training.measure.scores import fit_temperature, open_session, score_onnx
from training.provenance import sha256
from training.release import onnx_file
from training.release.export import export
from training.release.timing import time_again

TEACHER, STUDENT = "test_efficientnet", "mobilenetv3_small_050"  # families of the released pair


def network(architecture: str, seed: int = 0) -> torch.nn.Module:
    """Random weights, but logits of some size, so that a difference between two shows."""
    torch.manual_seed(seed)
    built = timm.create_model(architecture, num_classes=7)
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain mean: one batch says what will be normalised
    built.train()
    with torch.no_grad():
        built(torch.randn(16, 3, 64, 64))
        built.eval()
        logits = built(pictures())
        built.classifier.weight *= 2 / logits.std(0).mean()
        built.classifier.bias += torch.randn(7)
    return built


def pictures(count: int = 7) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))


# The smallest of a family is exported; the released architectures and a relative are compared too.
@pytest.mark.parametrize("architecture", [TEACHER, "efficientnet_b1", "mobilenetv2_035", STUDENT])
def test_closed_form_is_pytorch_grad_cam(architecture):
    built = network(architecture)
    evidence, images = cam.WithEvidence(built).eval(), pictures()
    with torch.no_grad():
        logits, maps = evidence(images)
        assert torch.equal(logits.argmax(1), built(images).argmax(1))
        assert torch.allclose(logits, built(images), atol=1e-4)
    assert maps.shape == (7, 7, 2, 2)
    assert (maps >= 0).all()
    for index in range(7):
        wanted = reference_maps(built, evidence.head.target_layer(), images, index)
        own = normalised(maps[:, index].numpy(), 64)
        assert wanted.max() > 0.9
        np.testing.assert_allclose(own, wanted, atol=1e-3)


def test_a_sure_network_still_has_gradients():
    """Float32 cannot tell p = 1 - 1e-20 from 1; the gradient of the log-odds can."""
    logits = torch.tensor([[60.0, 1.0, 0.0, -1.0], [0.3, -2.0, 1.0, 4.0]], requires_grad=True)
    found = cam.log_odds_gradient(logits.detach())
    for index in range(4):
        (wanted,) = torch.autograd.grad(
            sum(LogOddsTarget(index)(row) for row in logits), logits, retain_graph=True
        )
        torch.testing.assert_close(found[:, index], wanted)


def test_hard_swish_derivative_is_autograds():
    u = torch.tensor([-9.0, -3.1, -2.9, -1.0, 0.0, 1.5, 2.9, 3.1, 9.0], requires_grad=True)
    torch.nn.functional.hardswish(u).sum().backward()
    torch.testing.assert_close(cam.hardswish_derivative(u.detach()), u.grad)


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("test_resnet", {}, "no closed-form evidence map for ResNet.*EfficientNet, MobileNetV3"),
        ("mobilenetv4_conv_small_050", {}, "needs a head of conv_head and hard-swish.*norm_head"),
        (STUDENT, {"global_pool": "max"}, "average pooling"),
    ],
)
def test_what_has_no_closed_form_is_refused_by_name(architecture, options, message):
    built = timm.create_model(architecture, num_classes=7, **options)
    with pytest.raises(ExportError, match=message):
        cam.WithEvidence(built)


@pytest.mark.parametrize("fails", [False, True])
def test_explaining_gives_the_network_back(fails, monkeypatch):
    built = network(STUDENT)
    layer = built.blocks[-1]
    built.train()
    built.bn1.eval()
    built.conv_head.weight.requires_grad_(False)
    built.classifier.weight.grad = torch.ones_like(built.classifier.weight)

    def state():
        return (
            [module.training for module in built.modules()],
            [p.requires_grad for p in built.parameters()],
            [p.grad is None for p in built.parameters()],
            len(layer._forward_hooks),
            {key: value.sum().item() for key, value in built.state_dict().items()},
        )

    before = state()
    if fails:
        # IndexError, since pytorch-grad-cam's own context manager would swallow it.
        monkeypatch.setattr(LogOddsTarget, "__call__", lambda *_: [][0])
        with pytest.raises(IndexError):
            reference_maps(built, layer, pictures(2), 4)
    else:
        reference_maps(built, layer, pictures(2), 4)
    assert state() == before
    assert before[3] == 0


def test_a_wrong_map_is_refused_and_what_was_there_stays(tmp_path, monkeypatch):
    """A derivative forgotten: plausible maps, right logits."""
    monkeypatch.setattr(cam, "hardswish_derivative", torch.ones_like)
    path = tmp_path / "student.onnx"
    path.write_bytes(b"former")
    with pytest.raises(ExportError, match=r"pytorch-grad-cam's by .*tolerance is 1e-03"):
        onnx_file.export_onnx(network(STUDENT), pictures().numpy(), path, {})
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        ("student.onnx", b"former")
    ]


def test_wrong_logits_are_refused_and_no_file_is_left(tmp_path, monkeypatch):
    write = onnx_file._write

    def write_other(evidence, *others):
        with torch.no_grad():
            evidence.network.classifier.bias[2] += 2e-4
        write(evidence, *others)
        with torch.no_grad():
            evidence.network.classifier.bias[2] -= 2e-4

    monkeypatch.setattr(onnx_file, "_write", write_other)
    with pytest.raises(ExportError, match=r"logits of t.onnx differ .* by 2.*tolerance is 1e-04"):
        onnx_file.export_onnx(network(TEACHER), pictures().numpy(), tmp_path / "t.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_too_few_images_to_check_an_export(tmp_path):
    with pytest.raises(ExportError, match="4 images are too few"):
        onnx_file.export_onnx(network(TEACHER), pictures(4).numpy(), tmp_path / "t.onnx", {})


@pytest.fixture(scope="module")
def weights(tiny_training) -> Path:
    return export_tiny(tiny_training)


def test_an_export_is_a_whole_weights_folder(weights, tiny_training):
    names = ["manifest.json", "student.md", "student.onnx", "teacher.md", "teacher.onnx"]
    assert sorted(file.name for file in weights.iterdir()) == names
    leftovers = [file.name for file in weights.parent.iterdir() if file.name.startswith(".")]
    assert leftovers == []
    manifest = load_manifest(weights)
    for key, spec in manifest.models.items():
        verify_weights(spec, weights)
        assert spec.architecture == {"teacher": TEACHER, "student": STUDENT}[key]
        assert spec.preprocessing.size == 64
        assert spec.data.splits_sha256 == sha256(tiny_training.splits)
        assert sum(astuple(spec.data.images)) == len(list(tiny_training.data.rglob("*.jpg")))
        assert spec.training.epochs == 2
        assert spec.latency.milliseconds > 0
        assert "mel_demo.inference" in spec.latency.note
    assert set(manifest.agreement) == {"validation", "holdout"}


def test_the_page_says_what_the_manifest_counted(weights, tiny_training):
    """The lowest threshold is a validation melanoma's own probability, as served."""
    screener = Screener(weights)
    rows = [line.split(",") for line in tiny_training.splits.read_text().splitlines()[1:]]
    paths = {path.stem: path for path in tiny_training.data.rglob("*.jpg")}
    melanomas = [paths[row[0]] for row in rows if row[3] == "validation" and row[2] == "mel"]
    screenings = [screener.screen(open_image(path)) for path in melanomas]
    for key, spec in screener.manifest.models.items():
        served = {found.predictions[key].melanoma_probability for found in screenings}
        assert sorted(served, reverse=True) == [r.threshold for r in spec.operating_table.rows]


@pytest.mark.parametrize("key", ["teacher", "student"])
def test_one_file_any_batch_and_what_it_says_of_itself(weights, tmp_path, key):
    alone = shutil.copy(weights / f"{key}.onnx", tmp_path)
    model = onnx.load(alone)
    assert model.opset_import[0].version >= 17
    metadata = {item.key: item.value for item in model.metadata_props}
    assert json.loads(metadata["class_names"]) == list(CLASS_NAMES)
    assert json.loads(metadata["preprocessing"])["size"] == 64
    assert metadata["format"] == "1"
    assert metadata["source_commit"]
    assert str(Path(__file__).parents[3]).encode() not in Path(alone).read_bytes()
    session = open_session(Path(alone))
    images = pictures(7).numpy()
    whole = session.run(["logits", "cam"], {"image": images})
    assert (whole[0].shape, whole[1].shape) == ((7, 7), (7, 7, 2, 2))
    single = session.run(["logits", "cam"], {"image": images[2:3]})
    for several, one in zip(whole, single, strict=True):
        np.testing.assert_allclose(several[2:3], one, atol=1e-5)


def test_model_cards_say_what_matters(weights):
    spec = load_manifest(weights).models["teacher"]
    card = (weights / "teacher.md").read_text(encoding="utf-8")
    auc = spec.metrics["holdout"]["roc_auc"]
    for said in (
        "not a medical device",
        "CC BY-NC 4.0",
        "10.1038/sdata.2018.161",
        spec.sha256,
        f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})",
        "Starting weights: random",
    ):
        assert said in card


def test_runs_of_other_splits_or_roles_are_refused(tiny_training, tmp_path):
    other = tmp_path / "splits.csv"
    other.write_bytes(tiny_training.splits.read_bytes() + b"\n")
    output = tmp_path / "weights"
    with pytest.raises(DataError, match="not the splits file that the run"):
        export(
            tiny_training.teacher,
            tiny_training.student,
            Measurable(tiny_training.data, other),
            output,
        )
    with pytest.raises(RunError, match="the run of a student: give it as --student"):
        export(
            tiny_training.student,
            tiny_training.student,
            tiny_training.given,
            output,
        )
    assert not output.exists()


def test_a_refused_export_leaves_the_released_weights(weights, tiny_training, monkeypatch):
    before = {file.name: file.read_bytes() for file in weights.iterdir()}

    def refuse(*_):
        raise ExportError("not equal")

    monkeypatch.setattr("training.release.export.export_onnx", refuse)
    with pytest.raises(ExportError, match="not equal"):
        export(
            tiny_training.teacher,
            tiny_training.student,
            tiny_training.given,
            weights,
        )
    assert {file.name: file.read_bytes() for file in weights.iterdir()} == before


@pytest.fixture
def copied_graphs(weights, monkeypatch):
    """Takes the slow part of an export, the graphs, from the one made before."""

    def copy(_network, _images, path, _metadata, _distance):
        shutil.copy(weights / path.name, path)
        return onnx_file.Differences(0.0, 0.0)

    monkeypatch.setattr("training.release.export.export_onnx", copy)


@pytest.mark.usefixtures("copied_graphs")
def test_a_model_served_otherwise_than_measured_is_refused(tiny_training, tmp_path, monkeypatch):
    def measured_otherwise(*arguments):
        scores = score_onnx(*arguments)
        return replace(scores, logits=scores.logits + np.eye(7)[4].astype(np.float32) * 1e-3)

    monkeypatch.setattr("training.release.export.score_onnx", measured_otherwise)
    output = tmp_path / "weights"
    with pytest.raises(
        ExportError, match=r"mel_demo\.inference and training\.measure\.scores differ"
    ):
        export(
            tiny_training.teacher,
            tiny_training.student,
            tiny_training.given,
            output,
        )
    assert list(tmp_path.iterdir()) == []


def test_timing_again_changes_the_latencies_alone(weights, tiny_training, tmp_path):
    output = shutil.copytree(weights, tmp_path / "weights")
    before = load_manifest(output)
    after = time_again(output, tiny_training.given)
    timed = {
        key: replace(spec, latency=before.models[key].latency) for key, spec in after.models.items()
    }
    assert replace(after, models=timed) == before
    for spec in after.models.values():
        assert "by `training latency`" in spec.latency.note


@pytest.mark.usefixtures("copied_graphs")
def test_an_export_cut_short_leaves_no_manifest_of_other_weights(
    weights, tiny_training, tmp_path, monkeypatch
):
    output = shutil.copytree(weights, tmp_path / "weights")
    move, killed = os.replace, False

    def killed_at_the_student(source, target):
        nonlocal killed
        killed = killed or Path(target) == output / "student.onnx"
        if killed:  # nothing is mended either
            raise OSError("killed")
        move(source, target)

    monkeypatch.setattr(os, "replace", killed_at_the_student)
    with pytest.raises(OSError, match="killed"):
        export(
            tiny_training.teacher,
            tiny_training.student,
            tiny_training.given,
            output,
        )
    with pytest.raises(ManifestError, match="No such file"):
        load_manifest(output)


@pytest.mark.usefixtures("copied_graphs")
def test_images_of_other_clinics_are_measured_beside_holdout(tiny_training, tmp_path):
    isic = write_isic2017(tmp_path / "isic2017", count=30)
    archive = write_archive(tmp_path / "archive")
    external = tmp_path / "external.csv"
    extras, more = read_extra(isic), read_extra(archive)
    split = divide(extras, count=12) | divide_more(more, melanomas=5)
    write_external([*extras, *more], split, external)
    given = Measurable(tiny_training.data, tiny_training.splits, isic, external, archive)
    output = tmp_path / "weights"
    export(tiny_training.teacher, tiny_training.student, given, output)
    found = {name: evaluate_weights(output, given, name) for name in ("external", "archive")}
    assert {name: each.images for name, each in found.items()} == {"external": 12, "archive": 11}
    for key, spec in load_manifest(output).models.items():
        card = (output / f"{key}.md").read_text(encoding="utf-8")
        for name, each in found.items():
            area = each.metrics[key]["roc_auc"].value
            assert spec.metrics[name]["roc_auc"].value == pytest.approx(area, abs=1e-6)
            assert f"{area:.3f}" in card
        assert (spec.data.external.images, spec.data.external.melanomas) == (12, 4)
        assert (spec.data.archive.images, spec.data.archive.melanomas) == (11, 5)
        assert spec.operating_table.rows[0].external.images == 12
        assert "12 images of ISIC 2017" in card
        assert re.search(r"^\| ISIC archive \(few\) \| 11 \(5\) \|", card, re.MULTILINE)
    # Another division would measure on images that may have been learned from.
    write_external(extras, divide(extras, count=12, seed=5), external)
    with pytest.raises(DataError, match="may be training images"):
        evaluate_weights(output, given, "external")


@pytest.mark.usefixtures("copied_graphs")
def test_the_released_temperature_is_the_one_that_fits_validation(weights, tiny_training):
    for key, spec in load_manifest(weights).models.items():
        pixels = tiny_training.given.pixels("validation")
        prepared = pixels.prepared(spec.preprocessing)
        found = score_onnx(weights / f"{key}.onnx", pixels.images, prepared, spec.preprocessing)
        assert spec.temperature == pytest.approx(fit_temperature(found.logits, found.labels))
