"""From a wish to a threshold and a decision. Pure: numbers in, numbers out.

A person wishes for a target sensitivity, for a threshold, or points at the ROC; each selects one
row of an operating table. Its threshold comes from validation scores; what it yields is read from
the holdout counts of the same row. Does not know how either was measured, nor any model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mel_demo.errors import SettingError
from mel_demo.manifest import Counts, OperatingRow, OperatingTable

if TYPE_CHECKING:  # importing it for real would import onnxruntime
    from mel_demo.inference import Prediction

MIN_TARGET = 0.80
MAX_TARGET = 0.995
DEFAULT_TARGET = 0.95
# 0.55 * 100 is 55.00000000000001, and a slider in percent gives 0.9500000000000001: neither means
# one melanoma more.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class OperatingPoint:
    """The selected row of an operating table, and the target sensitivity (0..1) that selects it.

    ``target_sensitivity``: what was asked for, or what the row reached on validation when it was
    chosen another way, moved into MIN_TARGET..MAX_TARGET. ``threshold``: the row's.
    """

    target_sensitivity: float
    threshold: float
    row: OperatingRow
    index: int

    @property
    def reached(self) -> float:
        """Share of the validation melanomas (images) caught, 0..1.

        Below ``target_sensitivity`` only where no target sensitivity selects this row: the
        threshold is too high for the slider.
        """
        return self.row.validation.tp / self.row.validation.melanomas


@dataclass(frozen=True)
class Decision:
    """What an operating point says of one melanoma probability (0..1)."""

    refer: bool
    melanoma_probability: float
    point: OperatingPoint


def check_target(target: float) -> float:
    """``target`` as a float in MIN_TARGET..MAX_TARGET; SettingError when it is anything else."""
    number = isinstance(target, int | float) and not isinstance(target, bool)
    if not number or not MIN_TARGET - _ROUNDING <= target <= MAX_TARGET + _ROUNDING:
        raise SettingError(
            f"The target sensitivity is {target!r}; choose one from {MIN_TARGET:g} to "
            f"{MAX_TARGET:g} (that is {MIN_TARGET:.0%} to {MAX_TARGET:.1%})."
        )
    return min(max(float(target), MIN_TARGET), MAX_TARGET)


def choose(table: OperatingTable, target_sensitivity: float) -> OperatingPoint:
    """The largest threshold that catches at least this share of the validation melanomas (images).

    A lower threshold would catch no fewer, but refer more benign lesions: the lowest one of all
    catches everything, with specificity 0. Raises SettingError unless MIN_TARGET <=
    target_sensitivity <= MAX_TARGET.
    """
    target = check_target(target_sensitivity)
    index = first_that_catches([row.validation for row in table.rows], target)
    row = table.rows[index]
    return OperatingPoint(target, row.threshold, row, index)


def first_that_catches(validation: Sequence[Counts], target: float) -> int:
    """Index of the first counts that catch this share (0..1) of the melanomas.

    ``validation``: of descending thresholds; the last one catches every melanoma.
    """
    melanomas = validation[0].melanomas
    wanted = math.ceil(target * melanomas - _ROUNDING * melanomas)
    return next(index for index, counts in enumerate(validation) if counts.tp >= wanted)


def check_threshold(threshold: float) -> float:
    """``threshold`` as a float in 0..1; SettingError when it is anything else."""
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not number or not 0 <= threshold <= 1:
        raise SettingError(
            f"The threshold is {threshold!r}; choose a melanoma probability from 0 to 1 "
            "(0.05 refers from 5 % on)."
        )
    return float(threshold)


def choose_by_threshold(table: OperatingTable, threshold: float) -> OperatingPoint:
    """The row with the largest threshold that is at most ``threshold`` (0..1; SettingError).

    What a threshold between two rows yields was not measured, so the point takes the row's own,
    and every number shown with it is exact for that one. It refers all that ``threshold`` would
    refer, and perhaps a few images more. Below the lowest row it takes the lowest: that one catches
    every validation melanoma, and no number was measured further down.
    """
    threshold = check_threshold(threshold)
    for index, row in enumerate(table.rows):
        if row.threshold <= threshold:
            return _point(table, index)
    return _point(table, len(table.rows) - 1)


def choose_by_roc(
    table: OperatingTable, false_alarm_rate: float, sensitivity: float, split: str = "holdout"
) -> OperatingPoint:
    """The row nearest to a point of the ROC, by distance on a split (holdout or external); the
    first one if several are.

    ``false_alarm_rate`` (1 - specificity) and ``sensitivity`` are coordinates; they may lie a
    little outside 0..1, as clicks do. SettingError unless both are finite numbers. Whoever picks a
    point for its holdout numbers has chosen on holdout: elsewhere expect a little less of it.
    """
    for name, value in (("false alarm rate", false_alarm_rate), ("sensitivity", sensitivity)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise SettingError(f"The {name} is {value!r}; point at the ROC, from 0 to 1.")

    def distance(index: int) -> float:
        counts = getattr(table.rows[index], split)
        return math.hypot(
            counts.fp / counts.others - false_alarm_rate, counts.tp / counts.melanomas - sensitivity
        )

    return _point(table, min(range(len(table.rows)), key=distance))


def _point(table: OperatingTable, index: int) -> OperatingPoint:
    row = table.rows[index]
    reached = row.validation.tp / row.validation.melanomas
    return OperatingPoint(
        min(max(reached, MIN_TARGET), MAX_TARGET), threshold=row.threshold, row=row, index=index
    )


def decide(prediction: "Prediction", table: OperatingTable, target_sensitivity: float) -> Decision:
    """Refer when the melanoma probability reaches the chosen threshold; errors as ``choose``."""
    point = choose(table, target_sensitivity)
    probability = prediction.melanoma_probability
    return Decision(probability >= point.threshold, probability, point)
