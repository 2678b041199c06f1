"""The images a model got most wrong: arrays in, rows out. Knows no file and no page."""

from dataclasses import dataclass

import numpy as np

from training.metrics import Judged


@dataclass(frozen=True)
class Worst:
    """Rows (into the split) of one model's worst mistakes, the worst first.

    ``missed``: the melanomas with the lowest melanoma probability; ``alarmed``: the other images
    with the highest.
    """

    missed: tuple[int, ...]
    alarmed: tuple[int, ...]


def worst(judged: Judged, count: int) -> Worst:
    """At most ``count`` of each kind; among equals in the order of the split."""
    melanomas, others = np.flatnonzero(judged.melanoma), np.flatnonzero(~judged.melanoma)
    lowest = np.argsort(judged.probability[melanomas], kind="stable")[:count]
    highest = np.argsort(-judged.probability[others], kind="stable")[:count]
    return Worst(
        tuple(int(row) for row in melanomas[lowest]), tuple(int(row) for row in others[highest])
    )
