"""What all figures share: colours, axes and layout. Pure.

Colours are the page's model colours (teal and violet); lines and markers differ in shape too. Text
and background are left to the page, so that a figure fits its light and its dark theme. Ranges are
fixed and nothing can be dragged: a finger on a figure scrolls the page.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from mel_demo.texts import Texts

# Each stands out 3:1 from white and from the page's dark blue (WCAG 2.2, 1.4.11).
COLOURS = {"teacher": "#0d8a8a", "student": "#8b5cf6", "student_int8": "#b45cc4"}
SHAPES = {"teacher": "circle", "student": "square", "student_int8": "diamond"}
DASHES = {"teacher": "solid", "student": "dash", "student_int8": "dot"}
# Stands out 3:1 from the page's white and from its dark blue.
GREY = "#7d8593"
GRID = "rgba(128,128,128,0.25)"


def figure(
    data: Sequence[Mapping[str, Any]],
    t: Texts,
    xaxis: Mapping[str, Any],
    yaxis: Mapping[str, Any],
    **layout: Any,
) -> go.Figure:
    """Traces as a figure in the page's style; ``layout`` overrides or adds to it."""
    fixed = {"fixedrange": True, "zeroline": False, "gridcolor": GRID, "automargin": True}
    style = {
        "xaxis": fixed | dict(xaxis),
        "yaxis": fixed | dict(yaxis),
        "dragmode": False,
        "autosize": True,
        "height": 380,
        "margin": {"l": 56, "r": 24, "t": 12, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "hoverlabel": {"font": {"family": "system-ui, sans-serif"}},
        "separators": t.digits(".,"),
        # Plotly's own template is 7 kB to send, and all it would set is set here.
        "template": "none",
    }
    return go.Figure({"data": list(data), "layout": style | layout})


def title(words: str) -> dict:
    """An axis title."""
    return {"text": words, "font": {"size": 13}, "standoff": 10}


def percent_axis(ticks: Sequence[float], t: Texts) -> dict:
    """Ticks at these shares, written as everywhere on the page."""
    return {
        "tickmode": "array",
        "tickvals": list(ticks),
        "ticktext": [t.setting(abs(tick)) for tick in ticks],
    }


def unit_axis(words: str, t: Texts) -> dict:
    """An axis from 0 to 100 % that shows the marks at both ends whole."""
    ticks = percent_axis((0, 0.2, 0.4, 0.6, 0.8, 1), t)
    return ticks | {"range": [-0.02, 1.02], "title": title(words)}


def whisker(value: float, low: float, high: float, key: str) -> dict:
    """The interval low..high around ``value`` in the model's colour."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value],
        "arrayminus": [value - low],
        "color": COLOURS[key],
        "thickness": 1.5,
        "width": 5,
    }
