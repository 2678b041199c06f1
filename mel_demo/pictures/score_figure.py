"""Which melanoma probabilities a model gave to melanomas and to others, and where an image lies.

Pure: a measured distribution and a setting in, a Plotly figure out. Style is ``figure_style``'s,
words are ``figure_words``'.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import plotly.graph_objects as go

from mel_demo.decision.conformal import Band
from mel_demo.figure_words import ENGLISH, percent
from mel_demo.manifest import Distribution
from mel_demo.pictures.style import (
    COLOURS,
    GREY,
    SHADE,
    SHAPES,
    figure,
    percent_axis,
    title,
    whisker,
)

# Log-odds have no place for 0 and 1.
_LEAST = 1e-4
_TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def log_odds(probability: float) -> float:
    """log(p / (1 - p)); what lies beyond 0.0001 and 0.9999 counts as these."""
    inside = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(inside / (1 - inside))


def histogram_figure(
    distribution: Distribution,
    threshold: float,
    probability: float | None = None,
    band: Band | None = None,
    key: str = "teacher",
    text: Mapping[str, str] = ENGLISH,
) -> go.Figure:
    """Shares of melanomas (upwards) and of others (downwards) by probability, on holdout.

    The axis is one of log-odds, its ticks are probabilities; the outermost bins reach 0 and 1, and
    are drawn as wide as their neighbours. ``threshold`` is a dashed line, ``band`` a shade, the
    image's ``probability`` a line with a mark; the legend names each, with its number. ``key``: the
    model's, for its colour. ``text``: words by the keys of ``figure_words.ENGLISH``.
    """
    edges = _edges(distribution.edges)
    left, right = edges[0], edges[-1]

    def place(value: float) -> float:
        # What lies in an outermost bin goes at most to its middle.
        least, most = (left + edges[1]) / 2, (edges[-2] + right) / 2
        return min(max(log_odds(value), least), most)

    up, down = _shares(distribution.melanoma), [-s for s in _shares(distribution.other)]
    bottom, top = 1.12 * min(down), 1.12 * max(up)
    words = text["scores_threshold"].format(percent(threshold, text))
    data = [
        _bars(distribution, "melanoma", up, COLOURS[key], text),
        _bars(distribution, "other", down, GREY, text),
        _line(place(threshold), (bottom, top), "white", 4, "solid"),
        _line(place(threshold), (bottom, top), GREY, 2, "dash") | {"name": words},
    ]
    if probability is not None:
        words = text["scores_image"].format(percent(probability, text))
        data += [
            _line(place(probability), (bottom, top), "white", 4, "solid"),
            _mark(place(probability), (bottom, top), key, words),
        ]
    shapes = [_zero()]
    if band is not None:
        low, high = max(log_odds(band.low), left), min(log_odds(band.high), right)
        shapes.append(_shade(low, high, text))
    ticks = [tick for tick in _TICKS if left <= log_odds(tick) <= right]
    return figure(
        data,
        text,
        xaxis=percent_axis(ticks, text)
        | {"tickvals": [log_odds(tick) for tick in ticks]}
        | {"range": [left, right], "title": title(text["scores_x"])},
        yaxis=percent_axis(_steps(bottom, top), text) | {"range": [bottom, top]},
        margin={"l": 64, "r": 24, "t": 12, "b": 48},
        bargap=0,
        barmode="overlay",
        shapes=shapes,
        annotations=[
            _beside(text["scores_melanoma"], top / 2),
            _beside(text["scores_other"], bottom / 2),
        ],
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    )


def _edges(probabilities: Sequence[float]) -> list[float]:
    """The bins' edges in log-odds; the first and the last one are made up, as 0 and 1 have none."""
    inner = [log_odds(edge) for edge in probabilities[1:-1]]
    if len(inner) < 2:
        return [log_odds(0), *inner, log_odds(1)]
    return [2 * inner[0] - inner[1], *inner, 2 * inner[-1] - inner[-2]]


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _bars(
    distribution: Distribution,
    group: str,
    shares: Sequence[float],
    colour: str,
    text: Mapping[str, str],
) -> dict:
    edges = list(pairwise(_edges(distribution.edges)))
    around = zip(getattr(distribution, group), pairwise(distribution.edges), strict=True)
    return {
        "type": "bar",
        "name": text[f"scores_{group}"],
        "x": [(low + high) / 2 for low, high in edges],
        "width": [high - low for low, high in edges],
        "y": shares,
        "marker": {"color": colour, "line": {"width": 0}},
        "showlegend": False,
        "customdata": [[count, low, high] for count, (low, high) in around],
        "hovertemplate": f"{text[f'scores_{group}']}: {text['scores_hover']}<extra></extra>",
    }


def _line(x: float, ends: tuple[float, float], colour: str, width: int, dash: str) -> dict:
    """From bottom to top. One in white goes below, to part a line from bars of any colour."""
    return {
        "type": "scatter",
        "x": [x, x],
        "y": list(ends),
        "mode": "lines",
        "line": {"color": colour, "width": width, "dash": dash},
        "showlegend": colour != "white",
        "hoverinfo": "skip",
    }


def _mark(x: float, ends: tuple[float, float], key: str, words: str) -> dict:
    """The image's mark where both groups begin, with a line from bottom to top as its whisker."""
    return {
        "type": "scatter",
        "x": [x],
        "y": [0],
        "mode": "markers",
        "name": words,
        "marker": {
            "symbol": SHAPES[key],
            "size": 13,
            "color": COLOURS[key],
            "line": {"color": "white", "width": 2},
        },
        "error_y": whisker(0, *ends, key) | {"thickness": 2, "width": 0},
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _zero() -> dict:
    line = {"color": GREY, "width": 1}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": line}


def _shade(low: float, high: float, text: Mapping[str, str]) -> dict:
    return {
        "type": "rect",
        "x0": low,
        "x1": high,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "fillcolor": SHADE,
        "line": {"width": 0},
        "layer": "below",
        "showlegend": True,
        "name": text["scores_band"],
    }


def _beside(words: str, y: float) -> dict:
    """The name of a group beside its half of the figure."""
    return {
        "text": words,
        "textangle": -90,
        "xref": "paper",
        "x": 0,
        "xshift": -52,
        "y": y,
        "showarrow": False,
    }


def _steps(bottom: float, top: float) -> list[float]:
    """Ticks in round steps, at most three either way."""
    step = next(step for step in (0.05, 0.1, 0.2, 0.5) if max(top, -bottom) / step <= 3.9)
    return [step * index for index in range(-3, 4) if bottom <= step * index <= top]
