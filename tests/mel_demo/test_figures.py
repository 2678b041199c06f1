"""The figures say what the manifest says, and can be read by everyone."""

import re
from pathlib import Path

import pytest

from mel_demo.decision.operating_point import choose
from mel_demo.figure_words import ENGLISH, percent, short_percent, whole
from mel_demo.manifest import Interval, NetBenefit, ReliabilityBin, load_manifest
from mel_demo.pictures.figures import (
    COLOURS,
    PER,
    decision_curve_figure,
    reliability_figure,
    roc_figure,
    roc_points,
)
from tests.support import plausible
from tests.support.apart import write_weights_apart

NAMES = {"teacher": "Teacher", "student": "Student"}
STYLE = Path(__file__).resolve().parents[2] / "mel_demo" / "ui" / "style.css"


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


EVIDENCE = {key: plausible.evidence(key) for key in NAMES}
GERMAN = {key: f"<{key}> {{}}" for key in ENGLISH} | {"separators": ",.", "percent": "{} %"}


def named(figure, name):
    (found,) = (item for item in figure.data if item.name == name)
    return found


@pytest.mark.parametrize("key", NAMES)
def test_reliability_shows_each_bin_with_its_interval_and_its_images(key):
    figure = reliability_figure({k: e.reliability for k, e in EVIDENCE.items()}, NAMES)
    bins, marks = EVIDENCE[key].reliability, named(figure, NAMES[key])
    assert list(marks.x) == [item.predicted for item in bins]
    assert list(marks.y) == [item.observed.value for item in bins]
    for item, y, up, down, (images, low, high) in zip(
        bins, marks.y, marks.error_y.array, marks.error_y.arrayminus, marks.customdata, strict=True
    ):
        assert (images, low, high) == (item.images, item.observed.low, item.observed.high)
        assert (y + up, y - down) == pytest.approx((item.observed.high, item.observed.low))
    ideal = named(figure, ENGLISH["reliability_ideal"])
    assert (ideal.x, ideal.y) == ((0, 1), (0, 1))


def test_a_bin_without_an_interval_has_no_whisker_and_an_undefined_one_no_mark():
    bins = [
        ReliabilityBin(0.0, 0.1, 3, 0.05, Interval(0.0, None, None)),
        ReliabilityBin(0.1, 0.2, 1, 0.15, Interval(None, None, None)),
    ]
    marks = named(reliability_figure({"teacher": bins}, NAMES), "Teacher")
    assert (marks.x, marks.y) == ((0.05,), (0.0,))
    assert (marks.error_y.array, marks.error_y.arrayminus) == ((0.0,), (0.0,))


@pytest.mark.parametrize("key", NAMES)
def test_the_decision_curve_is_the_manifests_for_a_thousand_images(key):
    figure = decision_curve_figure({k: e.net_benefit for k, e in EVIDENCE.items()}, NAMES)
    curve, line = EVIDENCE[key].net_benefit, named(figure, NAMES[key])
    assert list(line.x) == [point.threshold for point in curve]
    assert list(line.y) == [PER * point.model.value for point in curve]
    everyone = named(figure, ENGLISH["decision_all"])
    assert list(everyone.y) == [PER * point.refer_all for point in EVIDENCE["teacher"].net_benefit]
    assert set(named(figure, ENGLISH["decision_none"]).y) == {0}
    areas = [set(zip(item.x, item.y, strict=True)) for item in figure.data if item.fill]
    assert {
        (point.threshold, PER * bound)
        for point in curve
        for bound in (point.model.low, point.model.high)
    } in areas


def test_a_decision_curve_with_a_gap_is_drawn_around_it():
    undefined = Interval(None, None, None)
    curve = [
        NetBenefit(0.1, Interval(0.05, 0.04, 0.06), 0.05),
        NetBenefit(0.2, undefined, 0.01),
        NetBenefit(0.3, Interval(0.03, None, None), -0.1),
    ]
    figure = decision_curve_figure({"teacher": curve}, NAMES)
    assert named(figure, "Teacher").y == (50, None, 30)
    assert figure.layout.yaxis.range[1] >= 60


def test_what_is_worth_seeing_of_a_decision_curve_is_in_its_range():
    figure = decision_curve_figure({k: e.net_benefit for k, e in EVIDENCE.items()}, NAMES)
    low, high = figure.layout.yaxis.range
    for key in NAMES:
        assert max(PER * point.model.high for point in EVIDENCE[key].net_benefit) <= high
    assert low < 0


def all_figures(text=ENGLISH):
    manifest, points = plausible.manifest(), {k: choose(plausible.table(k), 0.95) for k in NAMES}
    return [
        roc_figure(manifest, points, NAMES, text),
        reliability_figure({k: e.reliability for k, e in EVIDENCE.items()}, NAMES, text),
        decision_curve_figure({k: e.net_benefit for k, e in EVIDENCE.items()}, NAMES, text),
    ]


def test_every_figure_speaks_the_callers_language():
    for figure in all_figures(GERMAN):
        layout = figure.layout
        assert layout.separators == ",."
        for axis in (layout.xaxis, layout.yaxis):
            assert axis.title.text.startswith("<")
        sent = figure.to_json()
        for english in ENGLISH.values():
            if len(english) > 5:
                assert english not in sent


def test_every_figure_leaves_text_and_ground_to_the_page_and_a_finger_to_scroll():
    for figure in all_figures():
        layout = figure.layout
        assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert layout.font.color is None
        assert layout.dragmode is False
        assert layout.xaxis.fixedrange
        assert layout.yaxis.fixedrange
        assert len(figure.to_json()) < 30_000


def test_figures_write_a_percentage_in_their_language():
    assert percent(0.0123, GERMAN) == "1,2 %"
    assert [short_percent(tick, ENGLISH) for tick in (0.001, 0.5)] == ["0.1 %", "50 %"]
    assert (whole(10_000, ENGLISH), whole(10_000, GERMAN)) == ("10,000", "10.000")


def test_it_is_small_enough_to_be_sent_with_every_step_of_the_slider(draw):
    assert len(draw()[0].to_json()) < 30_000
