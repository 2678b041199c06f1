"""The evidence map over its image: in the right place, calm where there is little evidence."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mel_demo.pictures import overlay as overlays
from mel_demo.pictures.overlay import COLOURS, FILL, bands, encoded, evidence_strength

GREY = np.full((60, 100, 3), 120, np.uint8)
BOX = (14, 0, 86, 60)
WHOLE = (0, 0, 100, 60)


def overlay(*given: Any) -> np.ndarray:
    """uint8 (height, width, 3)."""
    return np.asarray(overlays.overlay(*given))


def hot(row: int, column: int, value: float = 1.0) -> np.ndarray:
    evidence = np.zeros((5, 5), np.float32)
    evidence[row, column] = value
    return evidence


def change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after.astype(int) - before).sum(axis=2)


@pytest.mark.parametrize(
    ("row", "column", "x", "y"),
    [(0, 0, 21, 6), (2, 2, 50, 30), (4, 4, 79, 54), (1, 3, 64, 18)],
)
def test_the_peak_is_drawn_over_its_place_in_the_box(row: int, column: int, x: int, y: int) -> None:
    drawn = change(GREY, overlay(GREY, hot(row, column), BOX, 1.0))[:, 14:86]
    # Bicubic interpolation spreads a cell; its centre of mass is where the cell is.
    ys, xs = np.nonzero(drawn > 0.8 * drawn.max())
    assert xs.mean() + 14 == pytest.approx(x, abs=4)
    assert ys.mean() == pytest.approx(y, abs=4)


def test_outside_the_box_is_dimmed_and_inside_is_not() -> None:
    drawn = overlay(GREY, np.zeros((5, 5)), BOX, 1.0)
    assert drawn.shape == GREY.shape
    assert drawn.dtype == np.uint8
    assert (drawn[:, 14:86] == 120).all()
    assert (drawn[:, :14] < 90).all()
    assert (drawn[:, 86:] < 90).all()


@pytest.mark.parametrize(("evidence", "strength"), [(np.zeros((5, 5)), 1.0), (hot(2, 2), 0.0)])
def test_no_evidence_draws_nothing(evidence: np.ndarray, strength: float) -> None:
    assert (overlay(GREY, evidence, WHOLE, strength) == GREY).all()


def test_the_scale_of_the_map_does_not_matter() -> None:
    small = overlay(GREY, hot(1, 1, 1e-6), WHOLE, 1.0)
    assert (small == overlay(GREY, hot(1, 1, 1e6), WHOLE, 1.0)).all()


def test_the_strongest_evidence_has_the_last_colour_at_a_fixed_opacity() -> None:
    drawn = overlay(GREY, np.ones((5, 5)), WHOLE, 1.0)
    expected = 120 + FILL * (np.array(COLOURS[-1]) - 120)
    assert np.abs(drawn - expected).max() <= 1


def test_the_image_given_stays_as_it_was() -> None:
    rgb = GREY.copy()
    overlay(rgb, hot(2, 2), BOX, 1.0)
    assert (rgb == GREY).all()


@pytest.mark.parametrize(("probability", "count"), [(0.001, 0), (0.05, 1), (0.25, 3), (0.99, 4)])
def test_a_confident_benign_result_looks_calm(probability: float, count: int) -> None:
    """The same map has the more bands, the more probable the diagnosis is."""
    drawn = bands((400, 400), hot(2, 2), (0, 0, 400, 400), evidence_strength(probability))
    middle = drawn[200, :, :][drawn[200, :, 3] == round(255 * FILL)]
    # Beside the contours a band's own colour stays, but for rounding.
    seen = {
        index
        for index, colour in enumerate(COLOURS)
        if (np.abs(middle[:, :3].astype(int) - colour).max(axis=1) <= 1).any()
    }
    assert seen == set(range(count))


@pytest.mark.parametrize("skin", [(240, 205, 190), (70, 42, 30)], ids=["light", "dark"])
def test_contours_stand_out_from_light_and_dark_skin(skin: tuple[int, int, int]) -> None:
    rgb = np.full((400, 400, 3), skin, np.uint8)
    weights = np.array([0.2126, 0.7152, 0.0722]) / 255
    drawn = overlay(rgb, hot(2, 2), (0, 0, 400, 400), 1.0) @ weights
    before = np.array(skin) @ weights
    assert np.abs(drawn - before).max() > 0.25
    assert np.abs(drawn - before).min() < 0.01


@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_is_encoded_as_one_small_file(channels: int) -> None:
    size, box = (512, 384), (0, 0, 512, 384)
    drawn = bands(size, hot(2, 2), box, 1.0)[..., :channels]
    file = encoded(drawn)
    opened = Image.open(io.BytesIO(file))
    assert (opened.format, opened.size) == ("WEBP", size)
    assert len(opened.getbands()) == channels
    assert len(file) < 40_000


@pytest.mark.parametrize("probability", [0.001, 0.005, 0.033, 0.1, 0.3, 0.9])
def test_what_is_said_of_a_map_is_what_is_drawn(probability: float) -> None:
    strength = evidence_strength(probability)
    evidence = hot(1, 2) + hot(3, 3, 0.5)
    drawn = bands((256, 256), evidence, (0, 0, 256, 256), strength)
    fills = {tuple(colour) for colour in drawn[..., :3].reshape(-1, 3).tolist()} & set(COLOURS)
    count, share = overlays.coverage(evidence, strength)
    assert count == len(fills)
    # A contour reaches some pixels beyond its band.
    assert 0 <= (drawn[..., 3] > 0).mean() - share < 0.03
    assert overlays.coverage(0 * evidence, strength) == (0, 0.0)


@pytest.mark.parametrize(("probability", "strength"), [(0, 0), (0.001, 0.1), (0.125, 0.5), (1, 1)])
def test_evidence_strength(probability: float, strength: float) -> None:
    assert evidence_strength(probability) == pytest.approx(strength)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_strength_wants_a_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        evidence_strength(probability)


@pytest.mark.parametrize(
    ("evidence", "box", "strength", "says"),
    [
        (hot(0, 0), (0, 0, 101, 60), 1.0, "box"),
        (hot(0, 0), (5, 0, 5, 60), 1.0, "box"),
        (hot(0, 0), WHOLE, 1.1, "strength"),
        (hot(0, 0), WHOLE, float("nan"), "strength"),
        (hot(0, 0, -1), WHOLE, 1.0, "evidence map"),
        (hot(0, 0, np.nan), WHOLE, 1.0, "evidence map"),
        (np.ones((1, 5, 5)), WHOLE, 1.0, "evidence map"),
    ],
)
def test_what_does_not_fit_is_refused(
    evidence: np.ndarray, box: tuple[int, int, int, int], strength: float, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        overlay(GREY, evidence, box, strength)


def test_colours_rise_in_lightness_so_that_they_read_without_hue() -> None:
    luminance = np.array(COLOURS) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luminance) > 15).all()
