"""The figures of the tabs: their numbers are the manifest's, their words the language's."""

import pytest

from mel_demo.decision.operating_point import choose
from mel_demo.pictures.figures import decision_curve_figure, reliability_figure, roc_figure
from mel_demo.texts import LANGUAGES, Texts
from tests.support import plausible

BOTH = ("teacher", "student")
NAMES = {"teacher": "T", "student": "S"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_roc_marks_the_chosen_point(language):
    tables = {key: plausible.table(key) for key in BOTH}
    points = {key: choose(table, 0.95) for key, table in tables.items()}
    figure = roc_figure(tables, points, NAMES, Texts(language))
    for key in BOTH:
        mark = next(t for t in figure.data if t.legendgroup == key and t.mode == "markers")
        assert mark.y[0] == points[key].row.holdout_rates.sensitivity.value
        assert mark.x[0] == pytest.approx(1 - points[key].row.holdout_rates.specificity.value)
    assert figure.layout.xaxis.title.text == Texts(language)("figure_roc_x")


def test_reliability_and_net_benefit_are_the_measured_ones():
    evidence = {key: plausible.evidence(key) for key in BOTH}
    drawn = reliability_figure({k: e.reliability for k, e in evidence.items()}, NAMES, Texts())
    for key in BOTH:
        line = next(t for t in drawn.data if t.name == NAMES[key])
        assert list(line.x) == [item.predicted for item in evidence[key].reliability]
    drawn = decision_curve_figure({k: e.net_benefit for k, e in evidence.items()}, NAMES, Texts())
    line = next(t for t in drawn.data if t.name == "T")
    assert line.y[0] == pytest.approx(1000 * evidence["teacher"].net_benefit[0].model.value)
