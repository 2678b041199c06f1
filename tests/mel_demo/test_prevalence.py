"""Bayes' rule against tables worked by hand, its intervals, and people that add up."""

import math
from itertools import product

import numpy as np
import pytest

from mel_demo.decision.prevalence import (
    DEFAULT_PREVALENCE,
    MAX_PREVALENCE,
    MIN_PREVALENCE,
    PRESETS,
    natural_frequencies,
    predictive_values,
)
from mel_demo.errors import SettingError
from mel_demo.manifest import Interval, Lesions, Rates
from tests.support import plausible

NONE = Interval(None, None, None)
LESIONS = Lesions(melanoma=92, other=1029)
Z = 1.959964


def rates(sensitivity, specificity) -> Rates:
    return Rates(Interval(*sensitivity), Interval(*specificity), NONE, NONE)


def binomial(value: float, total: int) -> tuple[float, float, float]:
    error = Z * math.sqrt(value * (1 - value) / total)
    return value, value - error, value + error


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "prevalence", "ppv", "npv"),
    [
        # Of 10,000: 200 melanomas, 180 found; 9,800 others, 980 referred.
        (0.9, 0.9, 0.02, 180 / 1160, 8820 / 8840),
        # Of 1,000: 100 melanomas, 95 found; 900 others, 450 referred.
        (0.95, 0.5, 0.1, 95 / 545, 450 / 455),
        # Half of them melanomas: PPV is 0.8 / (0.8 + 0.4).
        (0.8, 0.6, 0.5, 2 / 3, 0.75),
    ],
)
def test_predictive_values_by_hand(sensitivity, specificity, prevalence, ppv, npv):
    found = predictive_values(
        rates(binomial(sensitivity, 166), binomial(specificity, 1353)), LESIONS, prevalence
    )
    assert found.ppv.value == pytest.approx(ppv)
    assert found.npv.value == pytest.approx(npv)
    assert found.ppv.low < ppv < found.ppv.high
    assert found.npv.low < npv < found.npv.high


def test_at_the_measured_prevalence_they_are_the_measured_ones():
    for row in plausible.table().rows[5:]:
        counts = row.holdout
        found = predictive_values(row.holdout_rates, LESIONS, counts.melanomas / counts.images)
        assert found.ppv.value == pytest.approx(counts.tp / (counts.tp + counts.fp))
        if counts.tn + counts.fn:
            assert found.npv.value == pytest.approx(counts.tn / (counts.tn + counts.fn))


def test_with_binomial_errors_the_intervals_are_the_papers():
    """Mercaldo, Lau and Zhou 2007, standard logit interval, from counts in closed form.

    The counts of an example in the R package bdpv: of 418 diseased 240, of 375 others 87 positive.
    """
    tp, fn, fp, tn, p = 240, 178, 87, 288, 0.03
    se, sp = tp / (tp + fn), tn / (tn + fp)
    found = predictive_values(
        rates(binomial(se, tp + fn), binomial(sp, tn + fp)), LESIONS, prevalence=p
    )
    for value, odds, variance in (
        (found.ppv, se * p / ((1 - sp) * (1 - p)), fn / (tp * (tp + fn)) + tn / (fp * (tn + fp))),
        (found.npv, sp * (1 - p) / ((1 - se) * p), tp / (fn * (tp + fn)) + fp / (tn * (tn + fp))),
    ):
        low, high = (odds * math.exp(side * Z * math.sqrt(variance)) for side in (-1, 1))
        assert value.low == pytest.approx(low / (1 + low))
        assert value.high == pytest.approx(high / (1 + high))


def test_the_intervals_hold_what_they_promise():
    """Of repeated studies about 95 % have an interval around the truth."""
    rng, p = np.random.default_rng(0), 0.02
    se, sp, n1, n0 = 0.9, 0.6, 166, 1353
    truth = se * p / (se * p + (1 - sp) * (1 - p))
    held = 0
    for tp, tn in zip(rng.binomial(n1, se, 1000), rng.binomial(n0, sp, 1000), strict=True):
        found = predictive_values(rates(binomial(tp / n1, n1), binomial(tn / n0, n0)), LESIONS, p)
        held += found.ppv.low <= truth <= found.ppv.high
    assert 925 <= held <= 975


@pytest.mark.parametrize(("sensitivity", "specificity"), [*product([0.0, 0.5, 1.0], repeat=2)])
def test_rates_of_0_and_1_leave_no_false_certainty(sensitivity, specificity):
    """Nothing missed among 92 lesions does not prove that nothing ever is."""
    found = predictive_values(
        rates(
            (sensitivity, max(0, sensitivity - 0.05), min(1, sensitivity + 0.05))
            if sensitivity == 0.5
            else (sensitivity,) * 3,
            (specificity, 0.47, 0.53) if specificity == 0.5 else (specificity,) * 3,
        ),
        LESIONS,
        0.02,
    )
    for value, defined in (
        (found.ppv, sensitivity > 0 or specificity < 1),
        (found.npv, specificity > 0 or sensitivity < 1),
    ):
        if defined:
            assert 0 <= value.low <= value.value <= value.high <= 1
            assert value.low < value.high
        else:
            assert value == NONE


def test_a_perfect_sensitivity_is_as_sure_as_its_lesions_are_many():
    lows = [
        predictive_values(
            rates((1.0, 1.0, 1.0), (0.5, 0.47, 0.53)), Lesions(count, 1029), 0.02
        ).npv.low
        for count in (10, 92, 1000)
    ]
    assert lows == sorted(lows)
    assert lows[0] < 0.99 < lows[-1]


def test_rates_without_intervals_give_values_without_them():
    found = predictive_values(rates((0.9, None, None), (0.9, 0.8, 0.95)), LESIONS, 0.02)
    assert found.ppv.value == pytest.approx(180 / 1160)
    assert found.ppv == Interval(found.ppv.value, None, None)


def test_the_rarer_melanoma_the_lower_the_ppv_and_the_higher_the_npv():
    row = plausible.table().rows[-20]
    found = [
        predictive_values(row.holdout_rates, LESIONS, float(p))
        for p in np.linspace(MIN_PREVALENCE, MAX_PREVALENCE, 50)
    ]
    for name, direction in (("ppv", 1), ("npv", -1)):
        for bound in ("value", "low", "high"):
            series = [getattr(getattr(item, name), bound) for item in found]
            assert series == sorted(series)[::direction]


@pytest.mark.parametrize("bad", [0, 1, -0.1, 2, 50, float("nan"), None, "0.02", True])
def test_a_prevalence_out_of_range_is_refused(bad):
    some = rates(binomial(0.9, 100), binomial(0.9, 100))
    for call in (
        lambda: predictive_values(some, LESIONS, bad),
        lambda: natural_frequencies(0.9, 0.9, bad),
    ):
        with pytest.raises(SettingError, match="above 0 and below 1") as caught:
            call()
        assert repr(bad) in str(caught.value)


def test_the_pages_prevalences_lie_in_its_limits():
    for value in (DEFAULT_PREVALENCE, *PRESETS.values()):
        assert MIN_PREVALENCE <= value <= MAX_PREVALENCE


@pytest.mark.parametrize("people", [1, 7, 1000, 10_000])
def test_people_always_add_up_and_each_count_is_within_rounding(people):
    for se, sp, p in product((0, 0.333, 0.95, 1), (0, 0.5, 0.617, 1), (0.001, 0.02, 0.11, 0.5)):
        found = natural_frequencies(se, sp, p, people)
        parts = (found.found, found.missed, found.false_alarms, found.cleared)
        assert min(parts) >= 0
        assert sum(parts) == found.people == people
        assert found.referred == found.found + found.false_alarms
        assert abs(found.melanomas - p * people) <= 0.5
        assert abs(found.found - se * found.melanomas) <= 0.5
        assert abs(found.cleared - sp * (people - found.melanomas)) <= 0.5
        assert found.expected_missed == pytest.approx((1 - se) * p * people)


def test_a_textbook_thousand():
    found = natural_frequencies(0.95, 0.6, 0.02)
    assert (found.found, found.missed, found.false_alarms, found.cleared) == (19, 1, 392, 588)


def test_a_rounded_0_missed_is_not_passed_off_as_none():
    found = natural_frequencies(0.97, 0.5, 0.01)
    assert found.missed == 0
    assert found.expected_missed == pytest.approx(0.3)
    assert natural_frequencies(0.5, 0.5, 0.001).missed == 1  # a half counts as an error
