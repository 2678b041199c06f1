"""What the page's controls say: whatever a hand or a client puts there becomes a setting."""

import math
from typing import Any

from mel_demo.decision.operating_point import DEFAULT_TARGET, MAX_TARGET, MIN_TARGET, OperatingPoint
from mel_demo.decision.prevalence import DEFAULT_PREVALENCE, MAX_PREVALENCE, MIN_PREVALENCE
from mel_demo.manifest import MELANOMA, Manifest
from mel_demo.ui import case
from mel_demo.ui.case import Setting


def setting(
    manifest: Manifest,
    percent: float,
    prevalence: float,
    looking_for: str = "melanoma",
    source: str = "holdout",
    *,
    index: int = MELANOMA,
) -> Setting:
    """Target sensitivity and prevalence in percent; number boxes can be left empty or out of range,
    and a client may ask for what these weights were not measured for."""
    low, high = 100 * MIN_PREVALENCE, 100 * MAX_PREVALENCE
    if looking_for != "skin_cancer" or not case.has_skin_cancer(manifest):
        looking_for = "melanoma"
    if source != "external" or not case.has_external(manifest):
        source = "holdout"
    prevalence = _within(prevalence, low, high, 100 * DEFAULT_PREVALENCE) / 100
    return Setting(target(percent), prevalence, looking_for, source, index)


def target(percent: float) -> float:
    """The slider's target sensitivity in 0..1."""
    return _within(percent, 100 * MIN_TARGET, 100 * MAX_TARGET, 100 * DEFAULT_TARGET) / 100


def slider_value(target: float) -> float:
    """A target sensitivity in percent, on a step of the slider that selects the same row.

    Rounded down: a tenth of a percent less asks for no melanoma fewer, one more might for one more.
    """
    return math.floor(1000 * target + 1e-6) / 10


def distance(
    point: OperatingPoint, false_alarm_rate: float, sensitivity: float, split: str
) -> float:
    """How far a point's mark lies from a place in the ROC figure of a split."""
    counts = getattr(point.row, split)
    return math.dist(
        (counts.fp / counts.others, counts.tp / counts.melanomas), (false_alarm_rate, sensitivity)
    )


def _within(given: Any, low: float, high: float, otherwise: float) -> float:
    """``given`` as the nearest number of low..high; ``otherwise`` where it is none."""
    try:
        number = float(given)
    except (TypeError, ValueError):
        return otherwise
    return min(max(number, low), high) if math.isfinite(number) else otherwise
