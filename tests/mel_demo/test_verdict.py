"""One decision: at the threshold, whatever else is remarked."""

from pathlib import Path

import pytest

from mel_demo.decision.operating_point import choose
from mel_demo.decision.target import target_probability
from mel_demo.decision.verdict import Call, Outcome, call, together
from mel_demo.manifest import TARGETS, Manifest, load_manifest
from tests.support import plausible

TABLE = plausible.table()
WEIGHTS = Path(__file__).parents[2] / "weights"
POINT = choose(TABLE, 0.95)


@pytest.fixture(scope="module")
def released() -> Manifest:
    return load_manifest(WEIGHTS)


def probabilities(mel, bcc=0.0):
    return (0.0, bcc, 0.0, 0.0, mel, 1 - mel - bcc, 0.0)


def made(mel, bcc=0.0, target="melanoma"):
    return call(probabilities(mel, bcc), target, POINT)


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95, 0.995])
def test_refer_exactly_from_the_threshold_on_also_where_it_is_close(target):
    point = choose(TABLE, target)
    at = call(probabilities(point.threshold), "melanoma", point)
    below = call(probabilities(point.threshold - 1e-9), "melanoma", point)
    assert at.refer
    assert not below.refer
    assert at.close
    assert below.close


@pytest.mark.parametrize("key", ["teacher", "student", "student_int8"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_close_call_is_near_the_threshold_at_every_setting(released, key, target):
    """On both sides alike, whatever the threshold: no image that scores far below or above one."""
    table = released.models[key].target(target).operating_table
    for permille in range(800, 996):
        point = choose(table, permille / 1000)
        odds = point.threshold / (1 - point.threshold)
        for times, close in ((0.0, False), (0.4, False), (0.6, True), (1.7, True), (2.5, False)):
            probability = times * odds / (1 + times * odds)
            assert Call(probability, point, 0).close is close, (permille, times)
        assert not Call(1.0, point, 0).close


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
