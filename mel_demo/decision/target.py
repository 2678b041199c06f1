"""The probability of what is looked for, from a model's seven class probabilities. Pure."""

import math
from collections.abc import Sequence

from mel_demo.manifest import TARGETS


def target_probability(probabilities: Sequence[float], target: str) -> float:
    """0..1 of a target (a key of ``manifest.TARGETS``), from the classes' probabilities (7,).

    Summed exactly, the same on every machine and in any order: a threshold is one of these numbers
    itself, so that a bit more or less would decide otherwise.
    """
    return min(math.fsum(probabilities[index] for index in TARGETS[target]), 1.0)
