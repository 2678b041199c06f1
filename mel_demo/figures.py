"""Operating tables become interactive figures. Pure: numbers in, a Plotly figure out.

Colours are the page's two model colours (blue and orange, safe for colour-blind eyes); lines and
markers differ in shape too. Text and background are left to the page, so that a figure fits its
light and its dark theme.
"""

from collections.abc import Mapping

import plotly.graph_objects as go

from mel_demo.manifest import Manifest, OperatingTable
from mel_demo.operating_point import OperatingPoint

# Paul Tol's "vibrant" colours (personal.sron.nl/~pault), which differ in lightness too; the
# orange a shade darker, to stand out 3:1 from white as WCAG 2.2 (1.4.11) asks of lines.
COLOURS = {"teacher": "#0077bb", "student": "#dd6622", "student_int8": "#009988"}
_SHAPES = {"teacher": "circle", "student": "square", "student_int8": "diamond"}
_DASHES = {"teacher": "solid", "student": "dash", "student_int8": "dot"}
_GRID = "rgba(128,128,128,0.25)"


def roc_points(table: OperatingTable) -> tuple[list[float], list[float]]:
    """(1 - specificity, sensitivity) on holdout of every row, with the corners (0,0) and (1,1)."""
    rows = [row.holdout for row in table.rows]
    false_alarms = [0.0, *(row.fp / row.others for row in rows), 1.0]
    caught = [0.0, *(row.tp / row.melanomas for row in rows), 1.0]
    return false_alarms, caught


def roc_figure(
    manifest: Manifest, points: Mapping[str, OperatingPoint], names: Mapping[str, str]
) -> go.Figure:
    """Holdout ROC of every model, its chosen point, and that point's 95 % intervals as whiskers.

    ``points``: the operating point of each model key. ``names``: what to call each model.
    Axes run from 0 to 100 %; the curve passes through the thresholds of the operating table.
    """
    figure = go.Figure()
    figure.add_shape(
        type="line", x0=0, y0=0, x1=1, y1=1, line={"color": _GRID, "dash": "dot", "width": 1}
    )
    for key, point in points.items():
        x, y = roc_points(manifest.models[key].operating_table)
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            name=names[key],
            legendgroup=key,
            line={"color": COLOURS[key], "width": 2, "dash": _DASHES[key]},
            hovertemplate="caught %{y:.1%}, false alarms %{x:.1%}<extra></extra>",
        )
        rates = point.row.holdout_rates
        sensitivity, specificity = rates.sensitivity, rates.specificity
        figure.add_scatter(
            x=[1 - specificity.value],
            y=[sensitivity.value],
            mode="markers",
            name=f"{names[key]}: chosen",
            legendgroup=key,
            showlegend=False,
            marker={
                "color": COLOURS[key],
                "size": 12,
                "symbol": _SHAPES[key],
                "line": {"color": "white", "width": 1.5},
            },
            error_x=_whisker(1 - specificity.value, 1 - specificity.high, 1 - specificity.low, key),
            error_y=_whisker(sensitivity.value, sensitivity.low, sensitivity.high, key),
            hovertemplate=f"{names[key]} at this setting:<br>caught %{{y:.1%}}, "
            "false alarms %{x:.1%}<extra></extra>",
        )
    percent = {"range": [-0.02, 1.02], "tickformat": ".0%", "gridcolor": _GRID, "zeroline": False}
    percent["fixedrange"] = True
    # Fixed ranges and no drag mode: a finger on the figure scrolls the page.
    figure.update_layout(
        xaxis=percent | {"title": _title("False alarms (other lesions referred)")},
        yaxis=percent | {"title": _title("Melanomas caught")},
        dragmode=False,
        autosize=True,
        height=380,
        margin={"l": 56, "r": 12, "t": 12, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"x": 0.98, "y": 0.04, "xanchor": "right", "yanchor": "bottom"},
        hoverlabel={"font": {"family": "system-ui, sans-serif"}},
    )
    return figure


def _title(text: str) -> dict:
    return {"text": text, "font": {"size": 13}}


def _whisker(value: float, low: float, high: float, key: str) -> dict:
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value],
        "arrayminus": [value - low],
        "color": COLOURS[key],
        "thickness": 1.5,
        "width": 5,
    }
