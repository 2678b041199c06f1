"""The ROC figure says what the manifest says, and can be read by everyone."""

import re
from pathlib import Path

import pytest

from mel_demo.figures import COLOURS, roc_figure, roc_points
from mel_demo.manifest import load_manifest
from mel_demo.operating_point import choose
from tests.apart import write_weights_apart

NAMES = {"teacher": "Teacher", "student": "Student"}
STYLE = Path(__file__).resolve().parents[1] / "mel_demo" / "ui" / "style.css"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return load_manifest(write_weights_apart(tmp_path_factory.mktemp("apart")))


@pytest.fixture
def draw(manifest):
    def drawn(target=0.95, keys=NAMES):
        tables = {key: manifest.models[key].operating_table for key in keys}
        points = {key: choose(table, target) for key, table in tables.items()}
        return roc_figure(manifest, points, NAMES), points

    return drawn


def trace(figure, key, mode):
    (found,) = (item for item in figure.data if item.legendgroup == key and item.mode == mode)
    return found


@pytest.mark.parametrize("key", NAMES)
def test_the_curve_is_the_holdouts_from_corner_to_corner(manifest, key):
    table = manifest.models[key].operating_table
    false_alarms, caught = roc_points(table)
    assert (false_alarms[0], caught[0]) == (0, 0)
    assert (false_alarms[-1], caught[-1]) == (1, 1)
    assert false_alarms == sorted(false_alarms)
    assert caught == sorted(caught)
    for row, x, y in zip(table.rows, false_alarms[1:-1], caught[1:-1], strict=True):
        assert x == pytest.approx(row.holdout.fp / (row.holdout.fp + row.holdout.tn))
        assert y == pytest.approx(row.holdout.tp / (row.holdout.tp + row.holdout.fn))


@pytest.mark.parametrize("target", [0.8, 0.95, 0.995])
@pytest.mark.parametrize("key", NAMES)
def test_the_mark_is_the_chosen_point_with_its_intervals(draw, key, target):
    figure, points = draw(target)
    rates, mark = points[key].row.holdout_rates, trace(figure, key, "markers")
    x, y = mark.x[0], mark.y[0]
    assert (x, y) == pytest.approx((1 - rates.specificity.value, rates.sensitivity.value))
    assert x - mark.error_x.arrayminus[0] == pytest.approx(1 - rates.specificity.high)
    assert x + mark.error_x.array[0] == pytest.approx(1 - rates.specificity.low)
    assert y - mark.error_y.arrayminus[0] == pytest.approx(rates.sensitivity.low)
    assert y + mark.error_y.array[0] == pytest.approx(rates.sensitivity.high)
    curve = trace(figure, key, "lines")
    on_curve = [(px, py) for px, py in zip(curve.x, curve.y, strict=True)]
    assert any((px, py) == pytest.approx((x, y)) for px, py in on_curve)


def test_each_model_is_named_once_in_the_legend(draw):
    figure, _ = draw()
    assert [item.name for item in figure.data if item.showlegend is not False] == [*NAMES.values()]


def test_only_the_given_models_are_drawn(draw):
    figure, _ = draw(keys=["student"])
    assert {item.legendgroup for item in figure.data} == {"student"}


def test_the_models_differ_in_more_than_colour(draw):
    figure, _ = draw()
    for mode, look in (
        ("lines", lambda item: item.line.dash),
        ("markers", lambda item: item.marker.symbol),
        ("lines", lambda item: item.line.color),
    ):
        assert len({look(trace(figure, key, mode)) for key in NAMES}) == len(NAMES)


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of "#rrggbb"."""
    values = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("ground", ["#ffffff", "#171d2b"], ids=["light", "dark"])
@pytest.mark.parametrize("key", COLOURS)
def test_lines_stand_out_from_the_page(key, ground):
    """WCAG 2.2, 1.4.11: 3:1 for the parts of a graphic that one must see to understand it."""
    low, high = sorted((luminance(COLOURS[key]), luminance(ground)))
    assert (high + 0.05) / (low + 0.05) >= 3


def test_text_and_background_are_the_pages(draw):
    layout = draw()[0].layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.font.color is None
    assert "fill: var(--body-text-color)" in STYLE.read_text(encoding="utf-8")


def test_the_whole_square_is_shown_and_a_finger_scrolls_the_page(draw):
    layout = draw()[0].layout
    assert layout.dragmode is False
    for axis in (layout.xaxis, layout.yaxis):
        assert axis.fixedrange
        assert axis.range[0] <= 0 < 1 <= axis.range[1]
        assert re.search("alarm|caught", axis.title.text)


def test_it_is_small_enough_to_be_sent_with_every_step_of_the_slider(draw):
    assert len(draw()[0].to_json()) < 30_000
