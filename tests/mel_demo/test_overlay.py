"""The evidence map over its image: in the right place, calm where there is little evidence."""

import numpy as np
import pytest

from mel_demo.pictures.overlay import COLOURS, PEAK_OPACITY, evidence_strength, overlay

GREY = np.full((60, 100, 3), 120, np.uint8)
BOX = (14, 0, 86, 60)
WHOLE = (0, 0, 100, 60)


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
    assert (drawn[:, :14] == 90).all()
    assert (drawn[:, 86:] == 90).all()


@pytest.mark.parametrize(("evidence", "strength"), [(np.zeros((5, 5)), 1.0), (hot(2, 2), 0.0)])
def test_no_evidence_draws_nothing(evidence: np.ndarray, strength: float) -> None:
    assert (overlay(GREY, evidence, WHOLE, strength) == GREY).all()


def test_the_scale_of_the_map_does_not_matter() -> None:
    small = overlay(GREY, hot(1, 1, 1e-6), WHOLE, 1.0)
    assert (small == overlay(GREY, hot(1, 1, 1e6), WHOLE, 1.0)).all()


def test_the_peak_has_the_hottest_colour_at_the_peak_opacity() -> None:
    drawn = overlay(GREY, np.ones((5, 5)), WHOLE, 1.0)
    expected = 120 + PEAK_OPACITY * (COLOURS[255].astype(float) - 120)
    assert np.abs(drawn - expected).max() <= 1


def test_the_image_given_stays_as_it_was() -> None:
    rgb = GREY.copy()
    overlay(rgb, hot(2, 2), BOX, 1.0)
    assert (rgb == GREY).all()


def test_a_confident_benign_result_looks_calm() -> None:
    """The same map, at p = 0.001 and at p = 0.99: only the second may look hot."""
    changes = [
        change(GREY, overlay(GREY, hot(2, 2), WHOLE, evidence_strength(p))).max() / 255
        for p in (0.001, 0.05, 0.99)
    ]
    assert changes[0] < 0.1
    assert changes[1] > 2 * changes[0]
    assert changes[2] > 0.5


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
    assert COLOURS.shape == (256, 3)
    luminance = COLOURS @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luminance[::15]) > 0).all()
