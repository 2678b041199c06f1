"""Not a dermoscopy image: the distance, its threshold, and what an export makes of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from mel_demo.images import normalise, open_image
from mel_demo.manifest import load_manifest
from mel_demo.screening import Screener
from tests.support.tiny_export import export_tiny
from training.data.not_dermoscopy import KINDS, others
from training.errors import DataError, ExportError
from training.learn.run_folder import load_run
from training.measure.scores import open_session
from training.release import distance, onnx_file
from training.release.int8 import float_graph, parts_of


@pytest.fixture(scope="module")
def weights(tiny_training) -> Path:
    return export_tiny(tiny_training)


def correlated(count: int, seed: int = 0) -> np.ndarray:
    """Means (N, 3), the first two nearly equal, the last silent."""
    rng = np.random.default_rng(seed)
    first = rng.normal(5, 2, count)
    rows = np.stack([first, first + rng.normal(0, 0.1, count), np.zeros(count)], 1)
    return rows.astype(np.float32)


def test_the_distance_knows_scale_and_correlation():
    measured = distance.Mahalanobis(correlated(2000))
    with torch.inference_mode():
        own = measured(torch.from_numpy(correlated(2000, seed=1))).numpy()
        # Along the common direction 3 is near; across it, it is far.
        along, across = measured(torch.tensor([[8.0, 8.0, 0.0], [8.0, 5.0, 0.0]])).tolist()
    assert np.isfinite(own).all()
    assert 0.3 < np.median(own) < 1
    assert along < np.quantile(own, 0.99) < across / 3


def apart(count: int, seed: int = 9) -> np.ndarray:
    """Means of outliers: far along the common direction."""
    return correlated(count, seed) + np.float32([20, 20, 0])


def test_the_distance_learns_what_outliers_look_like_and_knows_what_is_unlike_both():
    measured = distance.Distance(correlated(2000), apart(100))
    with torch.inference_mode():
        own, outliers = (
            measured(torch.from_numpy(rows)).numpy()
            for rows in (correlated(2000, seed=1), apart(100, seed=3))
        )
        unlike = measured(torch.tensor([[-40.0, 40.0, 5.0]])).item()
    assert own.min() >= 1
    assert np.quantile(own, 0.99) < min(outliers.min(), unlike)


def test_a_data_set_is_judged_without_its_own_images():
    """Fitted on them all, the images of another camera would look nearer than new ones are."""
    base, more = correlated(300), correlated(40, seed=2) + np.float32([0, 1, 0])
    left_out = distance.left_out_distances(base, more, apart(50))
    with torch.inference_mode():
        inside = distance.Distance(np.concatenate([base, more]), apart(50))(torch.from_numpy(more))
    assert left_out.shape == (40,)
    assert left_out.mean() > inside.numpy().mean()


def test_the_threshold_is_a_quantile_of_validation_and_of_other_cameras():
    validation = np.linspace(0, 1, 101)
    measured = distance.Distance(correlated(50), apart(50))
    fitted = distance.Fitted(measured, {"HAM10000": 50}, None)
    threshold, rule = distance.choose_threshold(validation, fitted)
    assert threshold == pytest.approx(0.995)
    assert rule == "the 99.5% quantile on validation"
    more = replace(fitted, images={"HAM10000": 50, "ISIC 2017": 9}, left_out=2 * validation)
    threshold, rule = distance.choose_threshold(validation, more)
    assert threshold == pytest.approx(1.97)
    assert "98.5% quantile on the training images of ISIC 2017" in rule
    nearer = replace(more, left_out=validation / 2)
    assert distance.choose_threshold(validation, nearer)[0] == pytest.approx(0.995)


def test_refusals_are_counted_with_exact_intervals():
    brown, grey = np.full((2, 8, 8, 3), (160, 120, 100)), np.full((2, 8, 8, 3), 128)
    pixels = np.concatenate([grey[:1], brown, brown[:1]]).astype(np.uint8)
    # The first is near and grey; the threshold itself is accepted.
    found = distance.refused(np.array([1.0, 2.0, 2.0, 4.0]), pixels, 2.0)
    assert (found.refused, found.images, found.rate.value) == (2, 4, 0.5)
    # Clopper and Pearson for 2 of 4, as in tables.
    assert (found.rate.low, found.rate.high) == pytest.approx((0.0676, 0.9324), abs=1e-4)


def test_an_export_measures_what_it_refuses(weights, tiny_training):
    manifest = load_manifest(weights)
    assert manifest.models["teacher"].ood is None
    found = manifest.models["student"].ood
    splits = [line.split(",")[3] for line in tiny_training.splits.read_text().splitlines()[1:]]
    assert found.reference == {"HAM10000": splits.count("train")}
    assert set(found.dermoscopy) == {"validation", "holdout"}
    for split, counts in found.dermoscopy.items():
        assert counts.images == splits.count(split)
        assert counts.rate.value == pytest.approx(counts.refused / counts.images, abs=1e-6)
    assert set(found.others) == set(KINDS)
    # Drawings of one kind are the narrowest of references: nothing else comes near them.
    assert sum(counts.refused for counts in found.others.values()) > 0.9 * sum(
        counts.images for counts in found.others.values()
    )
    card = (weights / "student.md").read_text(encoding="utf-8")
    assert f"above {found.threshold:.3f} the image is refused" in card
    holdout = found.dermoscopy["holdout"]
    assert f"| dermoscopy: holdout | {holdout.refused} of {holdout.images} |" in card
    assert "not a dermoscopy" not in (weights / "teacher.md").read_text(encoding="utf-8").lower()


def test_an_exported_pair_refuses_what_was_counted(weights, tiny_training):
    """The page and the manifest say the same of the same images."""
    screener = Screener(weights)
    found = screener.manifest.models["student"].ood
    paths = {path.stem: path for path in tiny_training.data.rglob("*.jpg")}
    rows = [line.split(",") for line in tiny_training.splits.read_text().splitlines()[1:]]
    holdout = [paths[row[0]] for row in rows if row[3] == "holdout"]
    served = [screener.screen(open_image(path)) for path in holdout]
    assert sum(screening.refused for screening in served) == found.dermoscopy["holdout"].refused
    noise = next(other for other in others("report") if other.kind == "noise")
    screening = screener.screen(noise.rgb)
    assert screening.refused
    assert screening.findings[0].code == "not_dermoscopy"
    assert screening.student.distance > found.threshold


def test_the_file_gives_the_distance_of_its_network(weights, tiny_training):
    network, record = load_run(tiny_training.student)
    pixels = tiny_training.given.pixels("validation").prepared(record.preprocessing)
    fitted = distance.fit(
        network, record.preprocessing, tiny_training.given.learned_from(()), others("choice")
    )
    with torch.inference_mode():
        means = distance.means_of(network, pixels, record.preprocessing)
        wanted = fitted.distance(torch.from_numpy(means)).numpy()
    found = distance.distances(weights / "student.onnx", pixels, record.preprocessing)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_a_file_with_another_distance_is_not_kept(tiny_training, tmp_path, monkeypatch):
    network, record = load_run(tiny_training.student)
    pixels = tiny_training.given.pixels("validation").prepared(record.preprocessing)
    images = normalise(pixels[:5], record.preprocessing)
    fitted = distance.fit(
        network, record.preprocessing, tiny_training.given.learned_from(()), others("choice")
    )
    write = onnx_file._write

    def write_other(evidence, *others):
        evidence.distance.bias += 9
        write(evidence, *others)
        evidence.distance.bias -= 9

    monkeypatch.setattr(onnx_file, "_write", write_other)
    with pytest.raises(ExportError, match=r"distances of s.onnx differ from torch's"):
        onnx_file.export_onnx(network, images, tmp_path / "s.onnx", {}, fitted.distance)
    assert list(tmp_path.iterdir()) == []


def test_int8_is_made_without_the_distance(weights, tmp_path):
    """Its inner poolings must not be taken for the last one, nor its matrix be kept."""
    source = onnx.load(weights / "student.onnx")
    assert [output.name for output in source.graph.output] == ["logits", "cam", "distance"]
    model = float_graph(weights / "student.onnx")
    assert [output.name for output in model.graph.output] == ["logits", "cam"]
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used
    session = open_session(weights / "student.onnx")
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    wanted = session.run(["logits", "cam"], {"image": image})
    path = tmp_path / "plain.onnx"
    onnx.save(model, path)
    found = open_session(path).run(["logits", "cam"], {"image": image})
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert parts_of(model).features in {node.input[0] for node in model.graph.node}


def test_photographs_of_a_folder_are_each_in_one_half(tmp_path):
    for number in range(9):
        colour = np.full((20, 30, 3), 20 * number, np.uint8)
        Image.fromarray(colour).save(tmp_path / f"{number}.png")
    names = [
        {other.source for other in others(half, tmp_path)} & {p.name for p in tmp_path.iterdir()}
        for half in ("choice", "report")
    ]
    assert sorted(map(len, names)) == [4, 5]
    assert not names[0] & names[1]
    with pytest.raises(DataError, match="no folder of photographs"):
        next(others("choice", tmp_path / "nowhere"))


def test_others_are_the_same_at_every_call_and_halves_share_no_source():
    halves = {half: list(others(half)) for half in ("choice", "report")}
    for half, pictures in halves.items():
        assert {other.kind for other in pictures} == set(KINDS)
        assert all(other.rgb.dtype == np.uint8 and other.rgb.ndim == 3 for other in pictures)
        again = list(others(half))
        assert all((a.rgb == b.rgb).all() for a, b in zip(pictures, again, strict=True))
    sources = [{other.source for other in pictures} for pictures in halves.values()]
    assert not sources[0] & sources[1]
