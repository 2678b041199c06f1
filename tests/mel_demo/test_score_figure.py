"""The score plot: heaps of what was measured, threshold and image where their log-odds lie."""

import re

import pytest

from mel_demo.manifest import Scores
from mel_demo.pictures.score_figure import heaps, place, score_svg
from mel_demo.texts import Texts
from tests.support import plausible

T = Texts()


def test_threshold_and_image_stand_where_their_log_odds_lie():
    found = heaps(plausible.evidence(), "holdout")
    svg = score_svg(T, "teacher", found, 0.05, 0.5)
    assert f'class="threshold" d="M{place(0.05)} 0V100"' in svg
    assert f'class="image" d="M{place(0.5)} 0V100"' in svg
    assert place(0.05) < place(0.5) < place(0.9)
    assert T.percent(0.05) in svg
    assert T.count(found.images) in svg


def test_without_an_image_there_is_no_mark():
    svg = score_svg(T, "student", heaps(plausible.evidence("student"), "holdout"), 0.05)
    assert 'class="image"' not in svg


def test_scores_of_a_split_are_preferred_and_missing_ones_give_no_plot():
    class Measured:
        scores = {"external": Scores((0.5, 0.6), (0.01,))}  # noqa: RUF012

    assert heaps(Measured, "external").images == 3
    assert heaps(None, "holdout") is None
    assert heaps(plausible.evidence(), "external") is None


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_what_lies_beyond_the_axis_is_drawn_at_its_end(probability):
    svg = score_svg(T, "teacher", heaps(plausible.evidence(), "holdout"), 0.05, probability)
    assert re.search(r'class="dot" style="left:(0\.0|100\.0)%"', svg)
