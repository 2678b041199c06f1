"""What measured faithfulness of evidence maps means, in a word a measure. Pure."""

import math
from enum import StrEnum

from mel_demo.measured import Faithfulness, Interval

BASELINES = ("random", "centre")
"""Maps that know nothing of the image: noise, and a blob in the middle, where most lesions are."""


class Belief(StrEnum):
    """How a method compares with the better of the baselines."""

    BETTER = "better"
    LITTLE_BETTER = "little_better"
    NO_BETTER = "no_better"


def belief(found: Faithfulness, measure: str) -> Belief:
    """Of the served maps on one measure (a key of ``methods[...]``): better than the best baseline
    with intervals apart, better with intervals that touch, or not better."""
    served = found.methods[found.served][measure]
    best = max((found.methods[name][measure] for name in BASELINES), key=_value)
    if _value(served) <= _value(best):
        return Belief.NO_BETTER
    return Belief.BETTER if served.low > best.high else Belief.LITTLE_BETTER


def _value(interval: Interval) -> float:
    # Where every map was empty there is nothing to believe in.
    return -math.inf if interval.value is None else interval.value
