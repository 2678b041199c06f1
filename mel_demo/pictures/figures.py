"""What was measured of all models becomes interactive figures: ROC, reliability, decision curve.

Pure: numbers in, a Plotly figure out. Style is ``style``'s, words are
``texts``'; the distribution of scores is drawn by ``score_figure``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from mel_demo.decision.operating_point import OperatingPoint
from mel_demo.manifest import NetBenefit, OperatingTable, ReliabilityBin
from mel_demo.pictures.style import (
    COLOURS,
    DASHES,
    GREY,
    GRID,
    SHAPES,
    figure,
    percent_axis,
    title,
    unit_axis,
    whisker,
)
from mel_demo.texts import Texts

ENGLISH = Texts()
PER = 1000
"""Net benefit is drawn for so many images."""


def roc_points(table: OperatingTable, split: str = "holdout") -> tuple[list[float], list[float]]:
    """(1 - specificity, sensitivity) on a split, of every row, with the corners (0,0) and (1,1)."""
    rows = [getattr(row, split) for row in table.rows]
    false_alarms = [0.0, *(row.fp / row.others for row in rows), 1.0]
    caught = [0.0, *(row.tp / row.melanomas for row in rows), 1.0]
    return false_alarms, caught


def roc_figure(
    tables: Mapping[str, OperatingTable],
    points: Mapping[str, OperatingPoint],
    names: Mapping[str, str],
    t: Texts = ENGLISH,
    split: str = "holdout",
) -> go.Figure:
    """ROC on a split of every model, its chosen point, and that point's 95 % intervals as whiskers.

    ``points``: the operating point of each model key. ``names``: what to call each model.
    Axes run from 0 to 100 %; the curve passes through the thresholds of the operating table.
    """
    data: list[dict[str, Any]] = []
    for key, point in points.items():
        x, y = roc_points(tables[key], split)
        data.append(
            {
                "type": "scatter",
                "x": x,
                "y": y,
                "mode": "lines",
                "name": names[key],
                "legendgroup": key,
                "line": {"color": COLOURS[key], "width": 2, "dash": DASHES[key]},
                "hoverinfo": "skip",
            }
        )
        rates = getattr(point.row, split)
        sensitivity, specificity = rates.sensitivity, rates.specificity
        data.append(
            {
                "type": "scatter",
                "x": [1 - specificity.value],
                "y": [sensitivity.value],
                "mode": "markers",
                "name": names[key],
                "legendgroup": key,
                "showlegend": False,
                "marker": _marker(key, size=12),
                "error_x": whisker(
                    1 - specificity.value, 1 - specificity.high, 1 - specificity.low, key
                ),
                "error_y": whisker(sensitivity.value, sensitivity.low, sensitivity.high, key),
                "hoverinfo": "skip",
            }
        )
    return figure(
        data,
        t,
        xaxis=unit_axis(t("figure_roc_x"), t),
        yaxis=unit_axis(t("figure_roc_y"), t),
        shapes=[_diagonal()],
        legend={"x": 0.98, "y": 0.04, "xanchor": "right", "yanchor": "bottom"},
    )


def reliability_figure(
    bins: Mapping[str, Sequence[ReliabilityBin]],
    names: Mapping[str, str],
    t: Texts = ENGLISH,
) -> go.Figure:
    """How often a melanoma probability came true on holdout, for each model key.

    A mark a bin at (mean probability, observed share) with the 95 % interval as whisker; the
    diagonal is where probabilities are taken at their word. Axes run from 0 to 100 %.
    """
    data = [
        {
            "type": "scatter",
            "x": [0, 1],
            "y": [0, 1],
            "mode": "lines",
            "name": t("figure_reliability_ideal"),
            "line": {"color": GREY, "width": 1, "dash": "dot"},
            "hoverinfo": "skip",
        }
    ]
    for key, model in bins.items():
        drawn = [item for item in model if item.observed.value is not None]
        observed = [item.observed for item in drawn]
        # A bin too small for an interval has no whisker.
        lows = [item.value if item.low is None else item.low for item in observed]
        highs = [item.value if item.high is None else item.high for item in observed]
        data.append(
            {
                "type": "scatter",
                "x": [item.predicted for item in drawn],
                "y": [item.value for item in observed],
                "mode": "lines+markers",
                "name": names[key],
                "line": {"color": COLOURS[key], "width": 1.5, "dash": DASHES[key]},
                "marker": _marker(key, size=9),
                "error_y": whisker(0, 0, 0, key)
                | {
                    "array": [
                        high - item.value for high, item in zip(highs, observed, strict=True)
                    ],
                    "arrayminus": [
                        item.value - low for low, item in zip(lows, observed, strict=True)
                    ],
                },
                "hoverinfo": "skip",
            }
        )
    return figure(
        data,
        t,
        xaxis=unit_axis(t("figure_reliability_x"), t),
        yaxis=unit_axis(t("figure_reliability_y"), t),
        legend={"x": 0.02, "y": 0.98, "xanchor": "left", "yanchor": "top"},
    )


def decision_curve_figure(
    curves: Mapping[str, Sequence[NetBenefit]],
    names: Mapping[str, str],
    t: Texts = ENGLISH,
) -> go.Figure:
    """Net benefit on holdout for PER images, by the probability from which one would refer.

    For each model key a line with its 95 % interval as a faint area, beside referring everyone and
    no one (0). Steep losses of referring everyone leave the figure at the bottom.
    """
    first = next(iter(curves.values()))
    x = [point.threshold for point in first]
    everyone = [PER * point.refer_all for point in first]
    areas = [_area(curve, key) for key, curve in curves.items()]
    lines = [
        {
            "type": "scatter",
            "x": [point.threshold for point in curve],
            "y": [_per(point.model.value) for point in curve],
            "mode": "lines",
            "name": names[key],
            "line": {"color": COLOURS[key], "width": 2, "dash": DASHES[key]},
            "hoverinfo": "skip",
        }
        for key, curve in curves.items()
    ]
    defaults = [
        {
            "type": "scatter",
            "x": x,
            "y": y,
            "mode": "lines",
            "name": t(f"figure_{name}"),
            "line": {"color": GREY, "width": 1.5, "dash": dash},
            "hoverinfo": "skip",
        }
        for name, y, dash in (
            ("decision_all", everyone, "dashdot"),
            ("decision_none", [0] * len(x), "solid"),
        )
    ]
    top = max(everyone[0], *(max(area["y"], default=0) for area in areas))
    return figure(
        [*areas, *lines, *defaults],
        t,
        xaxis=percent_axis(_round_steps(x[-1]), t)
        | {"range": [0, x[-1]], "title": title(t("figure_decision_x"))},
        yaxis={"range": [-0.25 * top, 1.05 * top], "title": title(t("figure_decision_y"))},
        legend={"x": 0.98, "y": 0.98, "xanchor": "right", "yanchor": "top"},
    )


def _marker(key: str, size: float) -> dict:
    return {
        "color": COLOURS[key],
        "size": size,
        "symbol": SHAPES[key],
        "line": {"color": "white", "width": 1.5},
    }


def _diagonal() -> dict:
    line = {"color": GRID, "dash": "dot", "width": 1}
    return {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": line}


def _per(value: float | None) -> float | None:
    return None if value is None else PER * value


def _area(curve: Sequence[NetBenefit], key: str) -> dict[str, Any]:
    """The interval of a curve, there along its upper edge and back along its lower one."""
    known = [point for point in curve if point.model.low is not None]
    there = [(point.threshold, PER * point.model.high) for point in known]
    back = [(point.threshold, PER * point.model.low) for point in reversed(known)]
    red, green, blue = (int(COLOURS[key][start : start + 2], 16) for start in (1, 3, 5))
    return {
        "type": "scatter",
        "x": [x for x, _ in (*there, *back)],
        "y": [y for _, y in (*there, *back)],
        "mode": "lines",
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.13)",
        "line": {"width": 0},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _round_steps(end: float) -> list[float]:
    """From 0 to ``end`` in at most five round steps."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if end / step <= 5)
    return [step * index for index in range(round(end / step) + 1) if step * index <= end + 1e-9]
