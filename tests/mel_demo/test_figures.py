"""The figures of the tabs: their numbers are the manifest's, their words the language's."""

import re
from html import unescape

import pytest

from mel_demo.decision.operating_point import choose
from mel_demo.pictures.figures import decision_figure, reliability_figure, roc_figure
from mel_demo.texts import LANGUAGES, Texts
from tests.support import plausible

BOTH = ("teacher", "student")
T = Texts()


def marks(figure: str, key: str, kind: str) -> list[tuple[float, float, str]]:
    """Where a model's marks stand, in percent from the left and the bottom, and what they say."""
    found = re.findall(
        rf'class="point {kind} {key}[^"]*" style="left:(.*?)%;top:(.*?)%[^"]*" data-says="(.*?)"',
        unescape(figure),
    )
    return [(float(x), 100 - float(y), says) for x, y, says in found]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("target", ["melanoma", "skin_cancer"])
def test_the_roc_marks_the_chosen_point_and_says_its_counts(language, target):
    t = Texts(language)
    tables = {key: plausible.table(key) for key in BOTH}
    points = {key: choose(table, 0.95) for key, table in tables.items()}
    figure = roc_figure(t, tables, points, target)
    for key in BOTH:
        row = points[key].row
        (mark,) = marks(figure, key, "chosen")
        assert mark[0] == pytest.approx(100 - 100 * row.holdout_rates.specificity.value, abs=0.01)
        assert mark[1] == pytest.approx(100 * row.holdout_rates.sensitivity.value, abs=0.01)
        for number in (row.holdout.tp, row.holdout.melanomas, row.holdout.fp, row.holdout.others):
            assert t.count(number) in mark[2]
        assert t.percent(row.threshold) in mark[2]
    assert t(f"sensitivity_{target}") in unescape(figure)
    assert t("figure_roc_x") in unescape(figure)


def test_points_to_hover_over_cover_the_whole_roc():
    table = plausible.table("teacher")
    figure = roc_figure(T, {"teacher": table}, {"teacher": choose(table, 0.95)})
    shown = [(x, y) for x, y, _ in marks(figure, "teacher", "hidden")]
    for row in table.rows:
        counts = row.holdout
        place = 100 * counts.fp / counts.others, 100 * counts.tp / counts.melanomas
        assert min(max(abs(place[0] - x), abs(place[1] - y)) for x, y in shown) < 5


def test_reliability_and_net_benefit_are_the_measured_ones():
    evidence = {key: plausible.evidence(key) for key in BOTH}
    figure = reliability_figure(T, {key: found.reliability for key, found in evidence.items()})
    for key in BOTH:
        bins = [item for item in evidence[key].reliability if item.observed.value is not None]
        for item, (x, y, says) in zip(bins, marks(figure, key, "shown"), strict=True):
            assert x == pytest.approx(100 * item.predicted, abs=0.01)
            assert y == pytest.approx(100 * item.observed.value, abs=0.01)
            assert T.share(item.observed) in says
            assert T.count(item.images) in says
    figure = decision_figure(T, {key: found.net_benefit for key, found in evidence.items()})
    for key in BOTH:
        curve = {T.setting(point.threshold): point for point in evidence[key].net_benefit}
        shown = marks(figure, key, "shown")
        assert shown
        for _, _, says in shown:
            point = curve[re.search(r"from ([\d.]+ %)", says)[1]]
            assert T.decimal(1000 * point.model.value, 1) in says
