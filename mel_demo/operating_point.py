"""From a target sensitivity to a threshold and a decision. Pure: numbers in, numbers out.

The threshold comes from the validation counts of an operating table; what it yields is read from
the holdout counts of the same row. It does not know how either was measured, nor any model.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mel_demo.errors import SettingError
from mel_demo.manifest import OperatingRow, OperatingTable

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
    """The row of an operating table that a target sensitivity (0..1) selects."""

    target_sensitivity: float
    threshold: float
    row: OperatingRow
    index: int


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
    melanomas = table.rows[0].validation.melanomas
    wanted = math.ceil(target * melanomas - _ROUNDING * melanomas)
    for index, row in enumerate(table.rows):
        if row.validation.tp >= wanted:
            return OperatingPoint(target, row.threshold, row, index)
    raise AssertionError("the manifest's last row catches every validation melanoma")


def decide(prediction: "Prediction", table: OperatingTable, target_sensitivity: float) -> Decision:
    """Refer when the melanoma probability reaches the chosen threshold; errors as ``choose``."""
    point = choose(table, target_sensitivity)
    probability = prediction.melanoma_probability
    return Decision(probability >= point.threshold, probability, point)
