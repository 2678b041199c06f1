"""The distribution of scores: its counts, its log-odds axis, and the marks of a setting."""

import math

import pytest

from mel_demo.decision.conformal import Band
from mel_demo.figure_words import ENGLISH
from mel_demo.manifest import Distribution
from mel_demo.pictures.score_figure import histogram_figure, log_odds
from tests.support import plausible

FOUND = plausible.evidence("teacher").distribution
BAND = Band(0.02, 0.4, 0.025, 0.1, 92, 1029)


def bars(figure):
    return [item for item in figure.data if item.type == "bar"]


def named(figure, name):
    (found,) = (item for item in figure.data if item.name == name)
    return found


def test_bars_are_the_shares_of_each_group_melanomas_up_and_others_down():
    melanoma, other = bars(histogram_figure(FOUND, 0.05))
    assert list(melanoma.y) == [count / 166 for count in FOUND.melanoma]
    assert list(other.y) == [-count / 1353 for count in FOUND.other]
    assert [count for count, _, _ in other.customdata] == list(FOUND.other)
    assert sum(melanoma.y) == pytest.approx(1)
    assert sum(other.y) == pytest.approx(-1)


def test_bins_stand_side_by_side_at_their_log_odds():
    figure = histogram_figure(FOUND, 0.05)
    drawn = bars(figure)[0]
    lows = [x - width / 2 for x, width in zip(drawn.x, drawn.width, strict=True)]
    highs = [x + width / 2 for x, width in zip(drawn.x, drawn.width, strict=True)]
    assert lows[1:] == pytest.approx(highs[:-1])
    for edge, low in zip(FOUND.edges[1:-1], lows[1:], strict=True):
        assert low == pytest.approx(math.log(edge / (1 - edge)))
    assert figure.layout.xaxis.range == pytest.approx((lows[0], highs[-1]))
    for value, words in zip(
        figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext, strict=True
    ):
        probability = float(words.removesuffix(" %")) / 100
        assert value == pytest.approx(math.log(probability / (1 - probability)))


def test_the_setting_and_the_image_are_marked_and_named_with_their_numbers():
    figure = histogram_figure(FOUND, 0.055, 0.23, BAND)
    assert named(figure, "threshold 5.5 %").x == (log_odds(0.055),) * 2
    mark = named(figure, "this image: 23 %")
    assert mark.x == (log_odds(0.23),)
    bottom, top = figure.layout.yaxis.range
    assert (mark.error_y.array[0], -mark.error_y.arrayminus[0]) == (top, bottom)
    (shade,) = (item for item in figure.layout.shapes if item.type == "rect")
    assert (shade.x0, shade.x1) == (log_odds(0.02), log_odds(0.4))
    assert (shade.name, shade.showlegend) == (ENGLISH["scores_band"], True)


def test_before_there_is_an_image_only_the_threshold_is_marked():
    figure = histogram_figure(FOUND, 0.05)
    assert {item.name for item in figure.data if item.name} == {
        ENGLISH["scores_melanoma"],
        ENGLISH["scores_other"],
        "threshold 5.0 %",
    }
    assert not [item for item in figure.layout.shapes if item.type == "rect"]


@pytest.mark.parametrize("probability", [0.0, 1e-9, 0.5, 1 - 1e-9, 1.0])
def test_any_probability_lies_on_the_axis_in_its_own_bin(probability):
    figure = histogram_figure(FOUND, probability, probability, Band(0, 1, 0.0025, 0.1, 9, 9))
    left, right = figure.layout.xaxis.range
    drawn = bars(figure)[0]
    (mark,) = (item for item in figure.data if item.type == "scatter" and item.mode == "markers")
    assert left < mark.x[0] < right
    bin_ = sum(probability >= edge for edge in FOUND.edges[1:-1])
    assert abs(mark.x[0] - drawn.x[bin_]) <= drawn.width[bin_] / 2
    (shade,) = (item for item in figure.layout.shapes if item.type == "rect")
    assert (shade.x0, shade.x1) == pytest.approx((left, right))


@pytest.mark.parametrize("edges", [(0, 1), (0, 0.5, 1), (0, 0.1, 0.9, 1)])
def test_few_bins_and_an_empty_group_can_be_drawn(edges):
    bins = len(edges) - 1
    figure = histogram_figure(Distribution(edges, (0,) * bins, (3,) * bins), 0.5, 0.5)
    melanoma, other = bars(figure)
    assert set(melanoma.y) == {0}
    assert sum(other.y) == pytest.approx(-1)


def test_it_speaks_the_callers_language():
    text = {key: f"<{key}> {{}}" for key in ENGLISH} | {"separators": ",.", "percent": "{} %"}
    figure = histogram_figure(FOUND, 0.055, 0.231, BAND, "student", text)
    assert figure.layout.separators == ",."
    named(figure, "<scores_threshold> 5,5 %")
    sent = figure.to_json()
    for english in ENGLISH.values():
        if len(english) > 9:
            assert english not in sent
    assert {note.text[:8] for note in figure.layout.annotations} == {"<scores_"}


def test_it_leaves_text_and_ground_to_the_page_and_a_finger_to_scroll():
    layout = histogram_figure(FOUND, 0.05, 0.5, BAND).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.font.color is None
    assert layout.dragmode is False
    assert layout.xaxis.fixedrange
    assert layout.yaxis.fixedrange
