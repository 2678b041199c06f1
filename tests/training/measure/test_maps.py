"""How far maps can be believed: the measures by hand, and the whole command on the tiny set."""

import json
import re

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

from mel_demo.decision.map_trust import Belief, belief
from mel_demo.manifest import CLASS_NAMES, MELANOMA, Faithfulness, Interval, load_manifest
from tests.support.tiny_export import export_tiny
from tests.support.tiny_training import run, training
from training.data.ham10000 import read_split
from training.data.masks import MASKS, read_masks
from training.errors import DataError, RunError
from training.measure.maps import METHODS, all_maps, centre, energy_in_lesion, pointing_game, road
from training.provenance import sha256
from training.release.explain import Amount, explain

SIDE = 32


def corner(value=1.0):
    """A map whose upper left quarter has this value, the rest none."""
    found = np.zeros((SIDE, SIDE), np.float32)
    found[: SIDE // 2, : SIDE // 2] = value
    return found


LESION = corner().astype(bool)


def test_energy_is_the_share_of_the_map_inside_the_lesion():
    half = corner() + corner()[::-1]
    maps = np.stack([corner(), corner()[::-1, ::-1], half, np.ones((SIDE, SIDE), np.float32)])
    found = energy_in_lesion(maps, np.stack([LESION] * 4))
    assert found == pytest.approx([1, 0, 0.5, 0.25])
    assert np.isnan(energy_in_lesion(np.zeros((1, SIDE, SIDE), np.float32), LESION[None])[0])


def test_the_pointing_game_is_won_inside_the_lesion():
    inside, outside = np.full((2, SIDE, SIDE), 0.5, np.float32)
    inside[3, 3] = outside[-3, -3] = 1
    found = pointing_game(np.stack([inside, outside]), np.stack([LESION] * 2))
    assert list(found) == [1, 0]
    assert np.isnan(pointing_game(np.zeros((1, SIDE, SIDE), np.float32), LESION[None])[0])


class Brightness(nn.Module):
    """Melanoma log-odds grow with the brightness of the upper left quarter alone."""

    def forward(self, images):
        quarter = images[:, :, : SIDE // 2, : SIDE // 2].mean((1, 2, 3))
        logits = torch.zeros(len(images), 7)
        logits[:, MELANOMA] = 10 * quarter
        return logits


def test_road_ranks_a_map_that_points_at_the_cause_above_one_that_does_not():
    image = torch.zeros(1, 3, SIDE, SIDE)
    image[:, :, : SIDE // 2, : SIDE // 2] = torch.rand(1, 3, SIDE // 2, SIDE // 2) + 1
    # Graded, so that every share of the pixels is well defined.
    slope = np.linspace(0, 0.1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    right, wrong = corner() + slope, corner()[::-1, ::-1] + slope
    scores = [road(Brightness(), image, one[None] / one.max())[0] for one in (right, wrong)]
    assert scores[0] > 0.1 > -0.1 > scores[1]
    again = road(Brightness(), image, right[None] / right.max())[0]
    assert again == scores[0], "the noise of imputation is seeded"


def test_the_blob_in_the_middle_is_in_the_middle():
    found = centre(SIDE)
    assert found.argmax() in {(SIDE // 2 - 1) * SIDE + SIDE // 2 - 1}
    assert found == pytest.approx(found[::-1, ::-1])


def result(served, random, middle):
    def methods(value):
        return {"road": Interval(value, value - 0.1, value + 0.1)}

    named = {"Grad-CAM": served, "random": random, "centre": middle}
    return Faithfulness(10, "Grad-CAM", {name: methods(value) for name, value in named.items()})


@pytest.mark.parametrize(
    ("served", "says"),
    [(0.9, Belief.BETTER), (0.6, Belief.LITTLE_BETTER), (0.4, Belief.NO_BETTER)],
)
def test_a_method_is_compared_with_the_better_baseline(served, says):
    assert belief(result(served, 0.1, 0.5), "road") is says
    assert belief(result(served, 0.5, 0.1), "road") is says


@pytest.fixture(scope="module")
def masks(tiny_training, tmp_path_factory):
    """A mask for every image of the tiny set: an ellipse, twice as large as the image."""
    folder = tmp_path_factory.mktemp("masks")
    for split in ("validation", "holdout"):
        images = read_split(tiny_training.data, tiny_training.splits, split)
        for image_id, path in zip(images.image_ids, images.paths, strict=True):
            with Image.open(path) as image:
                width, height = 2 * image.width, 2 * image.height
            y, x = np.mgrid[:height, :width]
            inside = ((x - width / 2) / (width / 4)) ** 2 + ((y - height / 2) / (height / 4)) ** 2
            Image.fromarray(((inside <= 1) * 255).astype(np.uint8)).save(
                folder / f"{image_id}_segmentation.png"
            )
    return folder


def test_a_mask_is_cropped_as_the_image_is(tiny_training, masks):
    images = read_split(tiny_training.data, tiny_training.splits, "holdout")
    preprocessing = load_manifest(export_tiny(tiny_training)).models["teacher"].preprocessing
    found = read_masks(masks, images, preprocessing)
    assert found.shape == (len(images), preprocessing.size, preprocessing.size)
    # The crop cuts the width to 1.2 times the height: the ellipse is as high as half of it.
    rows, columns = found[0].any(1).mean(), found[0].any(0).mean()
    with Image.open(images.paths[0]) as image:
        ratio = image.width / image.height
    assert rows == pytest.approx(0.5, abs=0.04)
    assert columns == pytest.approx(0.5 * ratio / min(ratio, 1.2), abs=0.04)


def test_masks_that_do_not_fit_are_named(tiny_training, masks, tmp_path):
    images = read_split(tiny_training.data, tiny_training.splits, "holdout")
    preprocessing = load_manifest(export_tiny(tiny_training)).models["teacher"].preprocessing
    with pytest.raises(DataError, match="--masks"):
        read_masks(tmp_path / "none", images, preprocessing)
    with pytest.raises(DataError, match=images.image_ids[0]):
        read_masks(tmp_path, images, preprocessing)
    Image.new("L", (50, 50)).save(tmp_path / f"{images.image_ids[0]}_segmentation.png")
    with pytest.raises(DataError, match="not the shape"):
        read_masks(tmp_path, images, preprocessing)


def save_centred(path):
    """A file, as no run gives it, whose melanoma map is the middle of any image, alone of all."""
    maps = np.zeros((1, len(CLASS_NAMES), 3, 3), np.float32)
    maps[:, :, 0, 0] = 1
    maps[:, MELANOMA] = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    shape = (1, 3, 64, 64)
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["cam"], value=numpy_helper.from_array(maps))],
        "centred",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("cam", TensorProto.FLOAT, maps.shape)],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def test_the_command_completes_manifest_and_cards_and_can_be_run_again(
    tiny_training, masks, tmp_path
):
    import shutil

    weights = tmp_path / "weights"
    shutil.copytree(export_tiny(tiny_training), weights)
    before = json.loads((weights / "manifest.json").read_text())
    int8 = save_centred(weights / "student_int8.onnx")
    before["models"]["student_int8"] = before["models"]["student"] | {
        "file": int8.name,
        "sha256": sha256(int8),
        "bytes": int8.stat().st_size,
    }
    (weights / "manifest.json").write_text(json.dumps(before))
    before["version"] = load_manifest(weights).version  # told by the files
    command = training(
        "explain", "--teacher", tiny_training.teacher, "--student", tiny_training.student,
        "--weights", weights, "--data", tiny_training.data, "--splits", tiny_training.splits,
        "--masks", masks, "--images", 6, "--road", 2, "--output", tmp_path / "found.json",
    )  # fmt: skip
    run(command)
    first = json.loads((weights / "manifest.json").read_text())
    run(command)
    assert json.loads((weights / "manifest.json").read_text()) == first, "the same again"
    manifest = load_manifest(weights)
    for role in ("teacher", "student"):
        found = manifest.models[role].evidence.faithfulness
        assert found.images == 6
        assert set(found.methods) == {*METHODS, "random", "centre"}
        assert found.served == "LayerCAM"
        card = (weights / f"{role}.md").read_text()
        assert "| LayerCAM (served) |" in card
        assert f"{100 * found.methods['centre']['energy_in_lesion'].value:.1f} %" in card
        del first["models"][role]["evidence"]["faithfulness"]
    found = manifest.models["student_int8"].evidence.faithfulness
    assert (found.images, found.served, set(found.methods)) == (6, "LayerCAM", {"LayerCAM"})
    measures = found.methods["LayerCAM"]
    assert set(measures) == {"energy_in_lesion", "pointing_game"}, "no network, no ROAD"
    assert measures["pointing_game"] == Interval(1, 1, 1)
    # A hat of bilinear interpolation, over the ellipse of the masks.
    assert measures["energy_in_lesion"].value == pytest.approx(0.834, abs=0.005)
    (line,) = re.findall(r"\| LayerCAM \(served\).*", (weights / "student_int8.md").read_text())
    assert line.startswith("| LayerCAM (served) | 83.4 %")
    assert line.endswith("| 100.0 % (100.0 to 100.0) | not measured |")
    recorded = json.loads((tmp_path / "found.json").read_text())["faithfulness"]
    assert list(recorded) == ["teacher", "student", "student_int8"]
    del first["models"]["student_int8"]["evidence"]["faithfulness"]
    assert manifest.map_overlap is None or 0 <= manifest.map_overlap.chance <= 1
    first.pop("map_overlap", None)
    assert first == before, "nothing else changed"
    assert json.loads((tmp_path / "found.json").read_text())["road_images"] == 2


def test_methods_are_compared_on_validation_and_holdout_stays_closed(
    tiny_training, masks, tmp_path
):
    validation = read_split(tiny_training.data, tiny_training.splits, "validation")
    (tmp_path / "masks").mkdir()
    for image_id in validation.image_ids:  # no holdout image could be measured with these
        name = f"{image_id}_segmentation.png"
        (tmp_path / "masks" / name).write_bytes((masks / name).read_bytes())
    weights = export_tiny(tiny_training)
    before = {file.name: file.read_bytes() for file in weights.iterdir()}
    run(training(
        "explain", "--compare-only", "--teacher", tiny_training.teacher,
        "--student", tiny_training.student, "--weights", weights, "--data", tiny_training.data,
        "--splits", tiny_training.splits, "--masks", tmp_path / "masks", "--images", 6,
        "--road", 2, "--output", tmp_path / "methods.json",
    ))  # fmt: skip
    found = json.loads((tmp_path / "methods.json").read_text())
    assert found["split"] == "validation"
    for role in ("teacher", "student"):
        assert set(found["faithfulness"][role]["methods"]) == {*METHODS, "random", "centre"}
    assert {file.name: file.read_bytes() for file in weights.iterdir()} == before


def test_a_run_that_was_not_released_is_refused(tiny_training, masks, tmp_path):
    runs = {"teacher": tiny_training.teacher, "student": tiny_training.teacher}
    weights = export_tiny(tiny_training)
    before = (weights / "manifest.json").read_bytes()
    with pytest.raises(RunError, match="--student"):
        explain(weights, runs, tiny_training.given, tmp_path / "x.json", masks, Amount(4, 1))
    assert (weights / "manifest.json").read_bytes() == before


def test_every_method_draws_maps_in_the_units_of_the_served_one(tiny_training):
    from training.learn.cam import head_of
    from training.learn.run_folder import load_run

    network, _ = load_run(tiny_training.student)
    layer = head_of(network).target_layer()
    found = all_maps(network, layer, torch.rand(3, 3, 64, 64), seed=1)
    for name, maps in found.items():
        assert maps.shape == (3, 64, 64), name
        assert maps.min() >= 0, name
        assert maps.max() <= 1 + 1e-6, name
    assert MASKS.startswith("HAM10000")
