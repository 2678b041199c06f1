"""Which scores a model gave to positives and to others, and where an image lies: a small SVG.

Pure: measured scores, a setting and words in, markup out. Two heaps over one axis of log-odds, with
the same area each; what the threshold refers is drawn full, the rest pale. Colours are the page's
variables, so that it fits both themes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mel_demo.manifest import Distribution, ScoresByTruth

TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99)
_WIDTH, _HEIGHT, _PAD = 320, 96, 10
_BASE, _RISE, _FLOOR = 42, 34, 78
_BINS = 96
# Standard deviation of the smoothing, in log-odds: less than a heap is wide by far.
_SMOOTH = 0.25


def _log_odds(probability: float) -> float:
    inside = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(inside / (1 - inside))


LEFT, RIGHT = _log_odds(0.0005), _log_odds(0.995)
"""Ends of the axis in log-odds; what lies beyond is drawn at the end."""


@dataclass(frozen=True)
class PlotWords:
    """``label``: the accessible name, all that the picture says. ``positive``, ``negative``: names
    of the two heaps, short. ``tick``: a probability (0..1) as it stands below the axis."""

    label: str
    positive: str
    negative: str
    tick: Callable[[float], str]


def score_plot_svg(
    scores: ScoresByTruth | Distribution,
    threshold: float,
    probability: float | None,
    words: PlotWords,
    colour: str = "var(--teacher, currentColor)",
) -> Markup:
    """An inline SVG, 320 x 96: positives above the axis in ``colour`` (CSS), others below in grey.

    ``scores``: of a split, or a distribution where no scores are kept. ``threshold``,
    ``probability``: 0..1; None before there is an image. Words and colour are escaped. Greys follow
    currentColor; --card is the ground behind a mark.
    """
    edge = place(threshold)
    heaps = [
        _heap(heights, edge, side, name, paint)
        for heights, side, name, paint in zip(
            _heights(scores),
            (-1, 1),
            ("positive", "negative"),
            (colour, "currentColor"),
            strict=True,
        )
    ]
    mark = ""
    if probability is not None:
        mark = Markup(
            '<g class="image" transform="translate({} 0)"><path d="M0 6V{}" '
            'style="stroke:var(--card, Canvas)" stroke-width="5"/><path d="M0 6V{}" '
            'stroke="currentColor" stroke-width="2"/><path d="M-6 1H6L0 10Z" fill="currentColor" '
            'style="stroke:var(--card, Canvas)" stroke-width="1"/><circle cy="{}" r="4.5" '
            'style="fill:{};stroke:currentColor" stroke-width="2"/></g>'
        ).format(place(probability), _FLOOR, _FLOOR, _BASE, colour)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="score-plot" role="img" aria-label="{}" '
        'viewBox="0 0 {} {}" width="100%" fill="none" font-family="system-ui, sans-serif" '
        'font-size="10.5"><title>{}</title>{}<path class="axis" d="M{} {}H{}" '
        'stroke="currentColor" stroke-opacity=".6"/><path class="threshold" d="M{} 8V{}" '
        'stroke="currentColor" stroke-width="1.5" stroke-dasharray="4 3"/>{}'
        '<g fill="currentColor" style="stroke:var(--card, Canvas);paint-order:stroke" '
        'stroke-width="3" stroke-linejoin="round">'
        '<text x="{}" y="17" font-weight="600" style="fill:{}">{}</text>'
        '<text x="{}" y="{}" text-anchor="end">{}</text></g><g fill="currentColor">{}</g></svg>'
    ).format(
        words.label,
        _WIDTH,
        _HEIGHT,
        words.label,
        Markup("").join(heaps),
        _PAD,
        _BASE,
        _WIDTH - _PAD,
        edge,
        _FLOOR,
        mark,
        _PAD,
        colour,
        words.positive,
        _WIDTH - _PAD,
        _FLOOR - 6,
        words.negative,
        Markup("").join(_tick(tick, words) for tick in TICKS),
    )


def place(probability: float) -> float:
    """Where a probability (0..1) lies, in units of the view box from the left."""
    share = (min(max(_log_odds(probability), LEFT), RIGHT) - LEFT) / (RIGHT - LEFT)
    return round(_PAD + (_WIDTH - 2 * _PAD) * share, 1)


def _tick(probability: float, words: PlotWords) -> Markup:
    return Markup(
        '<path d="M{0} {1}v4" stroke="currentColor" stroke-opacity=".6"/>'
        '<text x="{0}" y="{2}" text-anchor="middle" opacity=".8">{3}</text>'
    ).format(place(probability), _FLOOR, _HEIGHT - 3, words.tick(probability))


def _heights(scores: ScoresByTruth | Distribution) -> list[np.ndarray]:
    """Densities (_BINS,) of positives and of others, 0..1 of the taller heap's top."""
    edges = np.linspace(LEFT, RIGHT, _BINS + 1)
    if isinstance(scores, ScoresByTruth):
        densities = [
            np.histogram(np.clip([_log_odds(p) for p in group], LEFT, RIGHT), edges)[0]
            for group in (scores.positive, scores.negative)
        ]
    else:
        densities = [
            _spread(scores.edges, counts, edges) for counts in (scores.melanoma, scores.other)
        ]
    smooth = [_smooth(density / max(density.sum(), 1)) for density in densities]
    return [heap / max(*(each.max() for each in smooth), 1e-9) for heap in smooth]


def _spread(bins: tuple[float, ...], counts: tuple[int, ...], edges: np.ndarray) -> np.ndarray:
    """Counts of ``bins`` in bins of ``edges``: what lies in one is spread evenly over it."""
    ends = np.clip([_log_odds(p) for p in bins], LEFT, RIGHT)
    # A bin beyond the axis lies at its end; a width of 0 has no inside.
    ends += np.arange(len(ends)) * 1e-9
    total = np.concatenate([[0], np.cumsum(counts)])
    return np.diff(np.interp(edges, ends, total, left=0, right=total[-1]))


def _smooth(density: np.ndarray) -> np.ndarray:
    """Smoothed by a Gaussian; mirrored at both ends, so that nothing is lost there."""
    step = (RIGHT - LEFT) / _BINS
    reach = math.ceil(3 * _SMOOTH / step)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / _SMOOTH) ** 2)
    padded = np.pad(density, reach, mode="symmetric")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _heap(heights: np.ndarray, edge: float, side: int, name: str, paint: str) -> Markup:
    """One heap in two parts: left of the threshold at ``edge`` pale, right of it full."""
    xs = np.linspace(_PAD, _WIDTH - _PAD, _BINS + 1)
    middles = (xs[:-1] + xs[1:]) / 2
    strong, pale = (0.95, 0.35) if name == "positive" else (0.5, 0.2)
    parts = []
    for low, high, opacity in ((xs[0], edge, pale), (edge, xs[-1], strong)):
        inside = [float(x) for x in middles if low < x < high]
        places = [float(low), *inside, float(high)]
        tops = _BASE + side * _RISE * np.interp(places, middles, heights)
        line = "".join(f"L{x:.1f} {y:.1f}" for x, y in zip(places, tops, strict=True))
        parts.append(
            Markup(
                '<path class="{}" d="M{:.1f} {}{}V{}Z" style="fill:{}" fill-opacity="{}"/>'
            ).format(name, low, _BASE, line, _BASE, paint, opacity)
        )
    return Markup("").join(parts)
