"""An axis of probabilities on log-odds: where to draw, and ticks in percent."""

import numpy as np
from matplotlib.axes import Axes
from scipy.special import logit

_TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
EDGE = 0.0001  # log-odds have no end: probabilities beyond are drawn at the edge


def log_odds(probability: np.ndarray | float) -> np.ndarray:
    """Log-odds of probabilities (0..1), those beyond EDGE at the edge."""
    return logit(np.clip(probability, EDGE, 1 - EDGE))


def log_odds_range(*probabilities: np.ndarray) -> tuple[float, float]:
    """Lowest and highest log-odds to draw."""
    found = log_odds(np.concatenate(probabilities))
    return float(found.min()), float(found.max())


def log_odds_axis(axes: Axes, which: str, limits: tuple[float, float]) -> None:
    """Ticks in percent where they fall within ``limits``, which are log-odds."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = limits[0] - 0.2, limits[1] + 0.2
    ticks = [tick for tick in _TICKS if low <= logit(tick) <= high]
    axis.set_ticks([logit(tick) for tick in ticks], [f"{100 * tick:.4g}" for tick in ticks])
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
