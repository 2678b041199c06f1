"""What a model's rates mean where melanoma is rarer or more common. Pure: numbers in, numbers out.

Sensitivity and specificity are carried over to another prevalence by Bayes' rule, as predictive
values with intervals and as natural frequencies. Knows no image and no threshold; assumes what it
cannot know, that both rates stay as they were measured when the share of melanomas changes.
"""

import math
from dataclasses import dataclass

from mel_demo.errors import SettingError
from mel_demo.manifest import Interval, Lesions, Rates

MIN_PREVALENCE = 0.001
MAX_PREVALENCE = 0.5
DEFAULT_PREVALENCE = 0.02
"""Share of melanomas among the lesions looked at; the limits are the page's."""
PRESETS = {"screening_rare": 0.01, "screening": 0.02, "clinic": 0.11}
"""Prevalences to start from. ``clinic``: a dermatology clinic, the share of melanomas among the
images of HAM10000 (1,113 of 10,015), which are not a count of anyone's patients. The two of
screening are round figures, not measurements."""
# The normal distribution's 97.5 % quantile: 95 % intervals.
_Z = 1.959964
_UNDEFINED = Interval(None, None, None)


@dataclass(frozen=True)
class PredictiveValues:
    """``ppv``: share of melanomas among the referred. ``npv``: of others among the not referred.

    Each 0..1 with its 95 % interval; all None where no one is referred, or everyone.
    """

    ppv: Interval
    npv: Interval


@dataclass(frozen=True)
class Frequencies:
    """Whole people by truth and decision; the four add up to ``people``.

    ``found``, ``missed``: melanomas referred and not. ``false_alarms``, ``cleared``: others
    referred and not. ``expected_missed``: melanomas missed among ``people`` before rounding, since
    a rounded 0 is no promise.
    """

    found: int
    missed: int
    false_alarms: int
    cleared: int
    expected_missed: float

    @property
    def melanomas(self) -> int:
        return self.found + self.missed

    @property
    def referred(self) -> int:
        return self.found + self.false_alarms

    @property
    def people(self) -> int:
        return self.melanomas + self.false_alarms + self.cleared


def check_prevalence(prevalence: float) -> float:
    """``prevalence`` as a float, above 0 and below 1; SettingError when it is anything else."""
    number = isinstance(prevalence, int | float) and not isinstance(prevalence, bool)
    if not number or not 0 < prevalence < 1:
        raise SettingError(
            f"The prevalence is {prevalence!r}; choose a share of melanomas above 0 and below 1, "
            f"such as {DEFAULT_PREVALENCE:g} (that is {DEFAULT_PREVALENCE:.0%})."
        )
    return float(prevalence)


def predictive_values(rates: Rates, lesions: Lesions, prevalence: float) -> PredictiveValues:
    """PPV and NPV at ``prevalence`` (above 0, below 1; SettingError) with 95 % intervals.

    Logit intervals of Mercaldo, Lau and Zhou 2007 (doi 10.1002/sim.2677). Their binomial standard
    errors of sensitivity and specificity are replaced by those of the lesion bootstrap (the width
    of ``rates``' 95 % intervals over 2 x 1.96), as several images may show one lesion. Prevalence
    counts as known. The intervals are left None where ``rates`` has none.

    At a rate of exactly 0 or 1 the logit and the bootstrap both fail. All lesions were judged alike
    then, so that lesions can be counted: it takes the paper's adjusted interval, z^2 / 2 lesions
    added either way, with the binomial standard error among ``lesions`` (those of the same split).
    """
    p = check_prevalence(prevalence)
    sensitivity, specificity = _value(rates.sensitivity), _value(rates.specificity)
    ppv = _ratio(sensitivity * p, (1 - specificity) * (1 - p))
    npv = _ratio(specificity * (1 - p), (1 - sensitivity) * p)
    if rates.sensitivity.low is None or rates.specificity.low is None:
        return PredictiveValues(Interval(ppv, None, None), Interval(npv, None, None))
    se, se_error = _estimate(rates.sensitivity, lesions.melanoma)
    sp, sp_error = _estimate(rates.specificity, lesions.other)
    return PredictiveValues(
        _interval(
            ppv,
            centre=math.log(se * p) - math.log((1 - sp) * (1 - p)),
            error=math.hypot(se_error / se, sp_error / (1 - sp)),
        ),
        _interval(
            npv,
            centre=math.log(sp * (1 - p)) - math.log((1 - se) * p),
            error=math.hypot(se_error / (1 - se), sp_error / sp),
        ),
    )


def natural_frequencies(
    sensitivity: float, specificity: float, prevalence: float, people: int = 1000
) -> Frequencies:
    """``people`` divided by truth and decision; rates 0..1, prevalence as ``check_prevalence``.

    Whole people by the largest remainder, so that the four groups add up to ``people`` and each is
    less than one off; of equal remainders the errors (missed, false alarms) are rounded up. Whole
    people are coarse where melanoma is rare: one melanoma among 1,000 is found or missed, nothing
    between.
    """
    p = check_prevalence(prevalence)
    # Errors first: sorting keeps the order of equal remainders (floats blur their last digit).
    expected = {
        "missed": (1 - sensitivity) * p * people,
        "false_alarms": (1 - specificity) * (1 - p) * people,
        "found": sensitivity * p * people,
        "cleared": specificity * (1 - p) * people,
    }
    counts = {group: math.floor(number + 1e-9) for group, number in expected.items()}
    by_remainder = sorted(expected, key=lambda group: round(counts[group] - expected[group], 9))
    for group in by_remainder[: people - sum(counts.values())]:
        counts[group] += 1
    return Frequencies(**counts, expected_missed=expected["missed"])


def _ratio(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest else None


def _estimate(rate: Interval, lesions: int) -> tuple[float, float]:
    """A rate inside 0..1 and its standard error."""
    value = _value(rate)
    if 0 < value < 1 and rate.low is not None and rate.high is not None:
        return value, (rate.high - rate.low) / (2 * _Z)
    total = lesions + _Z**2
    value = (value * lesions + _Z**2 / 2) / total
    return value, math.sqrt(value * (1 - value) / total)


def _value(rate: Interval) -> float:
    if rate.value is None:
        raise ValueError("a rate without a value: its counts hold no melanoma, or nothing else")
    return rate.value


def _interval(value: float | None, centre: float, error: float) -> Interval:
    if value is None:
        return _UNDEFINED
    # The logistic function as a tanh, which cannot overflow.
    low, high = ((1 + math.tanh((centre + side * _Z * error) / 2)) / 2 for side in (-1, 1))
    # An adjusted interval lies around the adjusted rate, and may miss the measured one.
    return Interval(value, min(low, value), max(high, value))
