"""Intervals, and the operating table: what each threshold does to the images of each split."""

import math
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, model_validator
from pydantic.dataclasses import dataclass

from mel_demo.manifest.checks import (
    CONFIG,
    Count,
    Number,
    Positive,
    Probability,
    Text,
    absent,
    digits,
    optional,
    refuse,
)

# A rate is written with the counts it comes from; more than rounding between them is a mistake.
_RATE_TOLERANCE = 1e-3
_SPLITS = ("validation", "holdout", "external")


@dataclass(frozen=True, config=CONFIG)
class Interval:
    """A measured number and its 95 % interval; all three None where it is undefined."""

    value: Annotated[Number, digits(6)] | None
    low: Annotated[Number, digits(6)] | None
    high: Annotated[Number, digits(6)] | None


def interval(low: float = -math.inf, high: float = math.inf, words: str = "") -> AfterValidator:
    """Checks an interval; ``words`` name the bounds of its three numbers."""

    def check(found: Interval) -> Interval:
        for name in ("value", "low", "high"):
            number = getattr(found, name)
            if number is not None and not low <= number <= high:
                raise refuse(words, name)
        # The value may lie outside: the bootstrap of an error such as ECE is biased upwards.
        if (found.low is None) != (found.high is None):
            raise refuse("an interval: low and high are both given or both null")
        if found.value is None and found.low is not None:
            raise refuse("an interval: an undefined value has no low and high")
        if found.low is not None and found.high is not None and found.low > found.high:
            raise refuse("an interval: low is above high")
        return found

    return AfterValidator(check)


Measure = Annotated[Interval, interval()]
ShareMeasure = Annotated[Interval, interval(0, 1, "a finite number from 0 to 1")]
Metrics = dict[str, dict[str, Measure]]
"""By split and name: ``metrics["holdout"]["roc_auc"]``."""


@dataclass(frozen=True, config=CONFIG)
class Counts:
    """Images by decision and truth at one threshold; positive means melanoma, or any skin cancer
    where that is the target."""

    tp: Count
    fp: Count
    fn: Count
    tn: Count

    @model_validator(mode="after")
    def _of_both(self) -> "Counts":
        if not (self.melanomas and self.others):
            raise refuse("counts with at least one melanoma and one other image")
        return self

    @property
    def melanomas(self) -> int:
        return self.tp + self.fn

    @property
    def others(self) -> int:
        return self.fp + self.tn

    @property
    def images(self) -> int:
        return self.melanomas + self.others


@dataclass(frozen=True, config=CONFIG)
class Rates:
    """What one threshold yields, each 0..1 with its interval."""

    sensitivity: ShareMeasure
    specificity: ShareMeasure
    ppv: ShareMeasure
    npv: ShareMeasure


@dataclass(frozen=True, config=CONFIG)
class Yield(Rates, Counts):
    """The counts of one split at one threshold, and the rates that are their fractions."""

    @model_validator(mode="after")
    def _divided(self) -> "Yield":
        for name, part, whole in (
            ("sensitivity", self.tp, self.melanomas),
            ("specificity", self.tn, self.others),
            ("ppv", self.tp, self.tp + self.fp),
            ("npv", self.tn, self.tn + self.fn),
        ):
            value = getattr(self, name).value
            if (value is None) != (whole == 0) or (
                value is not None and abs(value - part / whole) > _RATE_TOLERANCE
            ):
                fraction = f"{part} of {whole}" if whole else "null, as nothing is there to divide"
                raise refuse(f"what the counts beside it say ({fraction})", name, "value")
        return self


@dataclass(frozen=True, config=CONFIG)
class OperatingRow:
    """One threshold (0..1, refer when probability >= threshold) and what it does, by split."""

    threshold: Probability
    validation: Counts
    holdout: Yield
    external: Yield | None = optional()

    @property
    def holdout_rates(self) -> Rates:
        return self.holdout

    @property
    def external_rates(self) -> Rates | None:
        return self.external


@dataclass(frozen=True, config=CONFIG)
class Lesions:
    """Distinct lesions of a split: several images may show one lesion."""

    melanoma: Positive
    other: Positive


@dataclass(frozen=True, config=CONFIG)
class LesionsBySplit:
    """The lesions behind an operating table."""

    validation: Lesions
    holdout: Lesions
    external: Lesions | None = optional()


@dataclass(frozen=True, config=CONFIG)
class OperatingTable:
    """Thresholds in strictly descending order; the last one catches every validation melanoma."""

    rule: Text
    lesions: LesionsBySplit
    rows: tuple[OperatingRow, ...]

    @property
    def validation_lesions(self) -> Lesions:
        return self.lesions.validation

    @property
    def holdout_lesions(self) -> Lesions:
        return self.lesions.holdout

    @property
    def external_lesions(self) -> Lesions | None:
        return self.lesions.external

    @model_validator(mode="after")
    def _descending(self) -> "OperatingTable":
        if not self.rows:
            raise refuse("a list of at least one row", "rows")
        for index, (before, after) in enumerate(pairwise(self.rows), start=1):
            if after.threshold >= before.threshold:
                wanted = f"below the threshold before it ({before.threshold!r}): rows descend"
                raise refuse(wanted, "rows", index, "threshold")
            for split in _SPLITS:
                old, new = getattr(before, split), getattr(after, split)
                if (old is None) != (new is None):
                    raise absent("rows", index if new is None else index - 1, split)
                if wanted := _no_step(old, new):
                    raise refuse(wanted, "rows", index, split)
        if self.rows[-1].validation.fn:
            wanted = "0: the last threshold must catch every validation melanoma"
            raise refuse(wanted, "rows", len(self.rows) - 1, "validation", "fn")
        if self.rows[0].external is not None and self.external_lesions is None:
            raise absent("lesions", "external")
        return self


def _no_step(old: Counts | None, new: Counts | None) -> str:
    """What counts at a lower threshold should have been; empty where they may follow."""
    if old is None or new is None:
        return ""
    if (new.melanomas, new.others) != (old.melanomas, old.others):
        return (
            f"of the same images as the row before it: tp + fn = {old.melanomas} and "
            f"fp + tn = {old.others}"
        )
    if new.tp < old.tp or new.fp < old.fp:
        return "at least the tp and fp of the higher threshold before it"
    return ""
