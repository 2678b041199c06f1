"""What a score meant before: the truth about measured images that scored like this one. Pure.

"Of 130 lesions that scored like this one, 7 were melanomas (3 to 11 %)": says in people what a
probability says in percent, and rests on counting alone. Like is near in log-odds, where 1 % and
2 % lie as far apart as 98 % and 99 %.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mel_demo.manifest import Scores

NEIGHBOURS = 130
"""How many measured images a score is set among: enough that an interval is narrow, a tenth of
holdout's images, so that they are still alike."""
# The normal distribution's 97.5 % quantile: 95 % intervals.
_Z = 1.959964
# Scores have five digits: what was rounded to 0 or 1 lies within half of the last one.
_LEAST = 5e-6


@dataclass(frozen=True)
class Neighbours:
    """Of ``images`` measured images that scored most alike, ``positives`` were positive.

    ``low``, ``high``: 95 % interval of their share, 0..1, each image counted for itself.
    ``beyond``: "lowest" or "highest" where this image scored beyond all that were measured, so that
    all its neighbours lie on one side; else None.
    """

    images: int
    positives: int
    low: float
    high: float
    beyond: Literal["lowest", "highest"] | None


def neighbours(
    scores: Scores | None, probability: float, count: int = NEIGHBOURS
) -> Neighbours | None:
    """The ``count`` images (at least 1) nearest to ``probability`` (0..1) in log-odds.

    All where there are fewer, and some more where several are as far away as the last. None where
    no scores were measured. Wilson's score interval (1927, doi 10.1080/01621459.1927.10502953).
    Raises ValueError for values outside.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"{probability!r} is not a probability")
    if count < 1:
        raise ValueError(f"{count!r} neighbours; ask for at least 1")
    if scores is None:
        return None
    here = log_odds(probability)
    # Rounded, as what is as far below as another is above must not differ by a last binary digit.
    odds = _log_odds(scores)
    distances = np.round(np.abs(odds - here), 9)
    reach = np.sort(distances)[min(count, len(odds)) - 1]
    near = distances <= reach
    images, positives = int(near.sum()), int(near[: len(scores.positive)].sum())
    beyond: Literal["lowest", "highest"] | None = None
    if here < odds.min():
        beyond = "lowest"
    elif here > odds.max():
        beyond = "highest"
    return Neighbours(images, positives, *_wilson(positives, images), beyond)


@functools.lru_cache(32)  # for every image anew
def _log_odds(scores: Scores) -> np.ndarray:
    """Of all measured scores, those of positives first."""
    return np.array([log_odds(score) for score in (*scores.positive, *scores.negative)])


def log_odds(probability: float) -> float:
    """log(p / (1 - p)); 0 and 1 count as what five digits round to them."""
    inside = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(inside / (1 - inside))


def _wilson(part: int, whole: int) -> tuple[float, float]:
    share, square = part / whole, _Z**2 / whole
    centre = (share + square / 2) / (1 + square)
    half = _Z * math.sqrt((share * (1 - share) + square / 4) / whole) / (1 + square)
    # Its ends are exactly 0 and 1 where all images are alike; floats miss that by a digit.
    return 0.0 if part == 0 else centre - half, 1.0 if part == whole else centre + half
