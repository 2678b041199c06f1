"""The one decision: from probabilities and operating points to refer, no referral or disagreement.

A model refers exactly when its probability of the target reaches its threshold. A close call, near
the threshold on either side, is a remark beside that, never a third decision. Pure: knows no page
and no file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mel_demo.decision.operating_point import OperatingPoint
from mel_demo.decision.target import target_probability
from mel_demo.manifest import CLASS_NAMES, MELANOMA, TARGETS

OTHER_CANCERS = tuple(index for index in TARGETS["skin_cancer"] if index != MELANOMA)
"""Classes that are malignant or a precursor, beside melanoma."""
_NEVUS = CLASS_NAMES.index("nv")
CLOSE = 2
"""Up to how many times the threshold's odds, or down to what part of them, a call is close: there
another picture of the lesion may well be decided otherwise."""


class Outcome(StrEnum):
    """What both models together say of an image; none of one that is no dermoscopy image."""

    REFER = "refer"
    NO_REFERRAL = "no_referral"
    DISAGREE = "disagree"
    NONE = "none"


@dataclass(frozen=True)
class Call:
    """One model's decision. ``probability``: of the target, 0..1. ``leading``: the most probable
    class (index into CLASS_NAMES)."""

    probability: float
    point: OperatingPoint
    leading: int

    @property
    def refer(self) -> bool:
        return self.probability >= self.point.threshold

    @property
    def close(self) -> bool:
        low, high = close_calls(self.point.threshold)
        return low <= self.probability <= high


@dataclass(frozen=True)
class Verdict:
    """The calls by model key, and what teacher and student say together."""

    outcome: Outcome
    calls: Mapping[str, Call]

    @property
    def other_cancer(self) -> int | None:
        """The cancer or precursor, beside melanoma, that teacher or student holds most probable."""
        leading = [self.calls[key].leading for key in ("teacher", "student")]
        return next((index for index in leading if index in OTHER_CANCERS), None)


def close_calls(threshold: float) -> tuple[float, float]:
    """The lowest and the highest probability that is a close call at a threshold, all 0..1."""
    low = threshold / (threshold + CLOSE * (1 - threshold))
    high = CLOSE * threshold / (CLOSE * threshold + 1 - threshold)
    return low, high


def call(probabilities: Sequence[float], target: str, point: OperatingPoint) -> Call:
    """One model's decision on the seven probabilities in the order of CLASS_NAMES."""
    probability = target_probability(probabilities, target)
    # Of equals the commonest class, the mole.
    leading = max(range(len(CLASS_NAMES)), key=lambda i: (probabilities[i], i == _NEVUS))
    return Call(probability, point, leading)


def together(calls: Mapping[str, Call], refused: bool = False) -> Verdict:
    """The verdict of teacher and student; every other model's call is only kept beside."""
    pair = {calls[key].refer for key in ("teacher", "student")}
    if refused:
        outcome = Outcome.NONE
    elif len(pair) > 1:
        outcome = Outcome.DISAGREE
    else:
        outcome = Outcome.REFER if pair.pop() else Outcome.NO_REFERRAL
    return Verdict(outcome, calls)
