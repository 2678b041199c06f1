"""One decision: at the threshold, whatever else is remarked."""

import pytest

from mel_demo.decision.conformal import Band
from mel_demo.decision.operating_point import choose
from mel_demo.decision.target import target_probability
from mel_demo.decision.verdict import Outcome, call, together
from tests.support import plausible

TABLE = plausible.table()
POINT = choose(TABLE, 0.95)
BAND = Band(0.0, 1.0, 0.025, 0.1, 92, 1029)


def probabilities(mel, bcc=0.0):
    return (0.0, bcc, 0.0, 0.0, mel, 1 - mel - bcc, 0.0)


def made(mel, bcc=0.0, target="melanoma"):
    return call(probabilities(mel, bcc), target, POINT, BAND)


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95, 0.995])
def test_refer_exactly_from_the_threshold_on_also_inside_the_band(target):
    point = choose(TABLE, target)
    at = call(probabilities(point.threshold), "melanoma", point, BAND)
    below = call(probabilities(point.threshold - 1e-9), "melanoma", point, BAND)
    assert at.refer
    assert not below.refer
    assert at.close
    assert below.close


def test_teacher_and_student_make_the_outcome():
    high, low = made(0.9), made(0.0001)
    assert together({"teacher": high, "student": high}).outcome is Outcome.REFER
    assert together({"teacher": low, "student": low}).outcome is Outcome.NO_REFERRAL
    assert together({"teacher": low, "student": high}).outcome is Outcome.DISAGREE
    assert together({"teacher": high, "student": high}, refused=True).outcome is Outcome.NONE


def test_another_cancer_is_never_silent():
    found = together({"teacher": made(0.001), "student": made(0.001, bcc=0.8)})
    assert found.outcome is Outcome.NO_REFERRAL
    assert found.other_cancer == 1


def test_any_skin_cancer_sums_its_three_classes():
    assert target_probability(probabilities(0.2, 0.3), "skin_cancer") == pytest.approx(0.5)
    assert target_probability(probabilities(0.2, 0.3), "melanoma") == 0.2
