"""Which probabilities a model gave to positives and to others, and where an image lies, as SVG.

Pure: measured scores and a setting in, markup out. The axis is one of log-odds; labels are text
beside the drawing, so that they keep their size when it is stretched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from markupsafe import Markup

from mel_demo.decision.neighbours import log_odds
from mel_demo.manifest import Evidence, Scores
from mel_demo.pictures.markup import render
from mel_demo.texts import Texts

LEFT, RIGHT = log_odds(0.001), log_odds(0.99)
"""Both ends of the axis; what lies beyond is drawn at the end."""
BINS = 44
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Heaps:
    """Shares (0..1 of their tallest bin) of positives and of others in bins of log-odds."""

    edges: tuple[float, ...]
    positive: tuple[float, ...]
    other: tuple[float, ...]
    images: int


def heaps(evidence: Evidence | None, split: str) -> Heaps | None:
    """Of the images of a split; None where they were not measured."""
    if evidence is None:
        return None
    if evidence.scores and split in evidence.scores:
        return _of_scores(evidence.scores[split])
    if split != "holdout":
        return None
    found = evidence.distribution
    edges = [_inside(log_odds(edge)) for edge in found.edges]
    widths = [max(high - low, 1e-9) for low, high in pairwise(edges)]
    images = sum(found.melanoma) + sum(found.other)
    shares = (_heights(found.melanoma, widths), _heights(found.other, widths))
    return Heaps(tuple(edges), *shares, images)


def place(probability: float) -> float:
    """Where a probability lies on the axis, in percent from the left."""
    return round(100 * (_inside(log_odds(probability)) - LEFT) / (RIGHT - LEFT), 2)


def score_svg(
    t: Texts,
    key: str,
    found: Heaps,
    threshold: float,
    probability: float | None = None,
    target: str = "melanoma",
    band: tuple[float, float] | None = None,
) -> Markup:
    """Positives upwards in the model's colour, others downwards in grey; the threshold as a line,
    this image as a mark, ``band`` (two probabilities) as a shade."""
    return render(
        "scores.svg",
        t,
        key=key,
        target=target,
        up=_outline(found.edges, found.positive, -1),
        down=_outline(found.edges, found.other, 1),
        images=found.images,
        threshold=threshold,
        probability=probability,
        place=place,
        band=band,
        ticks=[(place(tick), t.setting(tick)) for tick in _TICKS],
    )


def _inside(value: float) -> float:
    return min(max(value, LEFT), RIGHT)


@lru_cache(32)
def _of_scores(scores: Scores) -> Heaps:
    step = (RIGHT - LEFT) / BINS
    heights = []
    for values in (scores.positive, scores.negative):
        counts = [0] * BINS
        for value in values:
            counts[min(int((_inside(log_odds(value)) - LEFT) / step), BINS - 1)] += 1
        heights.append(_heights(counts, [step] * BINS))
    edges = tuple(LEFT + step * index for index in range(BINS + 1))
    return Heaps(edges, heights[0], heights[1], len(scores.positive) + len(scores.negative))


def _heights(counts: Sequence[int], widths: Sequence[float]) -> tuple[float, ...]:
    densities = [
        count / width if width > 1e-6 else 0 for count, width in zip(counts, widths, strict=True)
    ]
    tallest = max(densities) or 1
    return tuple(density / tallest for density in densities)


@lru_cache(64)
def _outline(edges: Sequence[float], heights: Sequence[float], side: int) -> str:
    """A path in a box of 100 by 100 with its base in the middle."""
    steps = ["M0 50"]
    for (low, high), height in zip(pairwise(edges), heights, strict=True):
        y = 50 + side * 46 * height
        x = [100 * (edge - LEFT) / (RIGHT - LEFT) for edge in (low, high)]
        steps.append(f"L{x[0]:.2f} {y:.1f}L{x[1]:.2f} {y:.1f}")
    return "".join([*steps, "L100 50Z"])
