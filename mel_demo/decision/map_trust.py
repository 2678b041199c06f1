"""How far evidence maps can be trusted: two maps of one image, a method against baselines. Pure.

The overlap of two maps is the histogram intersection of both, each scaled to sum 1 (Swain and
Ballard 1991, doi 10.1007/BF00130487): 1 for the same map, 0 for maps that never meet. What is
usual, what is chance and what the baselines reach was measured (`python -m training explain`) and
comes from the manifest.
"""

import math
from enum import StrEnum

import numpy as np
from PIL import Image

from mel_demo.manifest import Faithfulness, Interval, MapOverlap

BASELINES = ("random", "centre")
"""Maps that know nothing of the image: noise, and a blob in the middle, where most lesions are."""


class Agreement(StrEnum):
    """An overlap in a word: as usual, less than usual, or no more than of two unlike images."""

    USUAL = "usual"
    LESS = "less"
    CHANCE = "chance"


class Belief(StrEnum):
    """How a method compares with the better of the baselines."""

    BETTER = "better"
    LITTLE_BETTER = "little_better"
    NO_BETTER = "no_better"


def overlap(first: np.ndarray, second: np.ndarray) -> float | None:
    """Overlap of two maps (h, w) >= 0, 0..1; None where one of them is all zero.

    The coarser map is brought to the finer grid by bilinear interpolation.
    """
    if not (first.any() and second.any()):
        return None
    shape = max(first.shape, second.shape, key=math.prod)
    shares = [_resized(found, shape) for found in (first, second)]
    return float(np.minimum(*(share / share.sum() for share in shares)).sum())


def agreement(found: float, measured: MapOverlap) -> Agreement:
    """``found`` (0..1) beside the overlaps of validation images."""
    if found < measured.chance:
        return Agreement.CHANCE
    return Agreement.USUAL if found >= measured.usual else Agreement.LESS


def belief(found: Faithfulness, measure: str) -> Belief:
    """Of the served maps on one measure (a key of ``methods[...]``): better than the best baseline
    with intervals apart, better with intervals that touch, or not better."""
    served = found.methods[found.served][measure]
    best = max((found.methods[name][measure] for name in BASELINES), key=_value)
    if _value(served) <= _value(best):
        return Belief.NO_BETTER
    if served.low is not None and best.high is not None and served.low > best.high:
        return Belief.BETTER
    return Belief.LITTLE_BETTER


def _resized(found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if found.shape == shape:
        return found.astype(np.float64)
    image = Image.fromarray(found.astype(np.float32))
    height, width = shape
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float64)


def _value(interval: Interval) -> float:
    # Where every map was empty there is nothing to believe in.
    return -math.inf if interval.value is None else interval.value
