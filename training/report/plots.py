"""The report's figures: numbers in, a Matplotlib figure out. Knows no file, no model and no page.

One small panel each, of one size, so that its text is readable on a phone and three stand beside
each other on a desk. Models are told apart by colour and dash, truth by colour and marker.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from mel_demo.decision.operating_point import DEFAULT_TARGET, choose
from mel_demo.manifest import CLASS_NAMES, Counts, Interval, OperatingTable
from training.data.splits import SPLITS
from training.measure.metrics import ECE_BINS, Judged
from training.report.log_odds import log_odds, log_odds_axis, log_odds_range

COLOURS = {"teacher": "#0d8a8a", "student": "#8b5cf6", "student_int8": "#b45cc4"}
"""The models', as on the page; each stands out 3:1 from white."""
_PALETTE = {
    "ink": "#1b2130",
    "muted": "#525866",
    "line": "#d9dde4",
    "paper": "#fefefe",
    **{key.replace("_", "-"): colour for key, colour in COLOURS.items()},
    # Truth and splits, from Okabe and Ito; purple and green darkened to stand out from white.
    "melanoma": "#aa3f7f",
    "other": "#7b8494",
    "train": "#8b93a1",
    "validation": "#56b4e9",
    "holdout": "#e69f00",
}
_STYLE = {
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "text.color": _PALETTE["ink"],
    "axes.labelcolor": _PALETTE["ink"],
    "axes.edgecolor": _PALETTE["muted"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _PALETTE["line"],
    "grid.linewidth": 0.7,
    "xtick.color": _PALETTE["muted"],
    "ytick.color": _PALETTE["muted"],
    "xtick.labelcolor": _PALETTE["ink"],
    "ytick.labelcolor": _PALETTE["ink"],
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": True,
}
_SIZE = (4.8, 3.9)  # inches: 346 points, about the width of a phone's screen in CSS pixels
CALLED = {"teacher": "teacher", "student": "student", "student_int8": "student INT8"}
_DASHES = {"teacher": "-", "student": (0, (5, 2)), "student_int8": (0, (1.2, 1.5))}
_MARKERS = {"teacher": "o", "student": "s", "student_int8": "D"}
_AREAS = {"teacher": 3.0, "student": 1.0, "student_int8": 0.35}  # marks on one spot all show


def _styled(draw: Callable[..., None]) -> Callable[..., Figure]:
    """Give ``draw(axes, ...)`` axes of the one style, and return their figure."""

    @wraps(draw)
    def drawn(*arguments, **options) -> Figure:
        with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]  # its keys are text
            figure = Figure(figsize=_SIZE)
            draw(figure.subplots(), *arguments, **options)
            return figure

    return drawn


@_styled
def epochs(
    axes: Axes,
    histories: Mapping[str, Sequence[float]],
    label: str,
    kept: Mapping[str, int] | None = None,
) -> None:
    """A value an epoch, from the first, one line a model; a dot on the epochs of ``kept``."""
    for key, values in histories.items():
        numbers = np.arange(1, len(values) + 1)
        # A line of one point would not be seen.
        marker = _MARKERS[key] if len(values) == 1 and not kept else None
        axes.plot(numbers, values, marker=marker, label=CALLED[key], **_line(key))
        if kept:
            _dot(axes, key, kept[key], values[kept[key] - 1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel=label)
    axes.legend()


@_styled
def roc(
    axes: Axes,
    judged: Mapping[str, Judged],
    points: Mapping[str, tuple[Interval, Interval]],
    areas: Mapping[str, float],
) -> None:
    """ROC curves; ``points``: sensitivity and specificity at the 95 % setting, as whiskers."""
    axes.plot([0, 100], [0, 100], color=_PALETTE["line"], linewidth=1)
    for key, found in judged.items():
        false_alarms, caught, _ = roc_curve(found.melanoma, found.probability)
        label = f"{CALLED[key]}, area {areas[key]:.3f}"
        axes.plot(100 * false_alarms, 100 * caught, label=label, **_line(key))
    for key, (sensitivity, specificity) in points.items():
        x, y = 100 * (1 - specificity.value), 100 * sensitivity.value
        axes.errorbar(
            x,
            y,
            xerr=_whiskers(specificity)[::-1],  # false alarms count the other way
            yerr=_whiskers(sensitivity),
            color=_colour(key),
            linewidth=1.3,
            zorder=3,
        )
        _dot(axes, key, x, y)
    _percent(axes, "false alarms, % of the other images", "melanomas caught, %")
    axes.legend(loc="lower right")


@_styled
def measured_roc(axes: Axes, tables: Mapping[str, OperatingTable]) -> None:
    """ROC on holdout from released operating tables; a dot at the default target sensitivity."""
    for key, table in tables.items():
        rows = [row.holdout for row in table.rows]
        false_alarms = [0, *(100 * row.fp / row.others for row in rows), 100]
        caught = [0, *(100 * row.tp / row.melanomas for row in rows), 100]
        axes.step(false_alarms, caught, where="post", label=CALLED[key], **_line(key))
        chosen = choose(table, DEFAULT_TARGET).row.holdout
        _dot(axes, key, 100 * chosen.fp / chosen.others, 100 * chosen.tp / chosen.melanomas)
    axes.plot([0, 100], [0, 100], color=_PALETTE["line"], linewidth=1)
    _percent(axes, "false alarms, % of the other images", "melanomas caught, %")
    axes.legend(loc="lower right")


@_styled
def precision_recall(
    axes: Axes,
    judged: Mapping[str, Judged],
    points: Mapping[str, Counts],
    averages: Mapping[str, float],
) -> None:
    """Precision against recall; ``points``: images at the 95 % setting."""
    for key, found in judged.items():
        precision, recall, _ = precision_recall_curve(found.melanoma, found.probability)
        label = f"{CALLED[key]}, average {averages[key]:.3f}"
        axes.step(100 * recall, 100 * precision, where="post", label=label, **_line(key))
        share = 100 * float(found.melanoma.mean())
    axes.axhline(share, color=_PALETTE["muted"], linewidth=1, linestyle=":", zorder=1)
    axes.text(1, share + 1.5, "melanomas among all images", color=_PALETTE["muted"], fontsize=9)
    for key, counts in points.items():
        if not counts.tp + counts.fp:  # nothing referred has no precision
            continue
        recall = 100 * counts.tp / counts.melanomas
        _dot(axes, key, recall, 100 * counts.tp / (counts.tp + counts.fp))
    _percent(axes, "melanomas caught, %", "melanomas among those referred, %")
    axes.legend(loc="upper right")


@_styled
def reliability_diagram(
    axes: Axes, judged: Mapping[str, Judged], before: Mapping[str, Judged] | None = None
) -> None:
    """Share of melanomas in ECE_BINS bins of equal width; a dot's area grows with its images.

    ``before``: the same models without their temperature, drawn thin.
    """
    axes.plot([0, 100], [0, 100], color=_PALETTE["muted"], linewidth=1, linestyle=":")
    for key, found in (before or {}).items():
        share, mean = calibration_curve(found.melanoma, found.probability, n_bins=ECE_BINS)
        axes.plot(
            100 * mean,
            100 * share,
            label=f"{CALLED[key]}, before",
            alpha=0.6,
            **_line(key) | {"linewidth": 1},
        )
    for key, found in judged.items():
        share, mean = calibration_curve(found.melanoma, found.probability, n_bins=ECE_BINS)
        # By scikit-learn's own rule, so that each point gets the count of its bin.
        edges = np.linspace(0, 1, ECE_BINS + 1)
        counts = np.bincount(np.searchsorted(edges[1:-1], found.probability))
        images = counts[counts > 0] / len(found.probability)
        axes.plot(100 * mean, 100 * share, label=CALLED[key], **_line(key))
        axes.scatter(
            100 * mean,
            100 * share,
            s=18 + 200 * images,
            marker=_MARKERS[key],
            color=_colour(key),
            edgecolor=_PALETTE["paper"],
            linewidth=0.7,
            zorder=3,
        )
    _percent(axes, "predicted melanoma probability, %", "melanomas among those images, %")
    axes.legend(loc="upper left")


@_styled
def histogram(axes: Axes, judged: Judged, threshold: float, key: str) -> None:
    """Melanoma probabilities by truth on log-odds, each truth adding up to 100 %."""
    low, high = log_odds_range(judged.probability)
    edges = np.linspace(low, high, 25)
    for truth, colour, label, alpha in (
        (~judged.melanoma, "other", "others", 0.45),
        (judged.melanoma, "melanoma", "melanomas", 0.35),
    ):
        found = log_odds(judged.probability[truth])
        styles: tuple[dict[str, Any], ...] = (
            {"histtype": "stepfilled", "alpha": alpha, "label": label},
            {"histtype": "step", "linewidth": 1.5},
        )
        for style in styles:
            weights = np.full(len(found), 100 / len(found))
            axes.hist(found, edges.tolist(), weights=weights, color=_PALETTE[colour], **style)
    _threshold(axes.axvline, key, threshold, label=f"{CALLED[key]}'s threshold")
    log_odds_axis(axes, "x", (low, high))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(visible=False, axis="x")
    axes.set(
        xlabel="melanoma probability, % (log-odds scale)",
        ylabel="images, % of each truth",
    )
    # Above the axes: inside, every corner may hold bars.
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=3,
        handlelength=1.6,
        handletextpad=0.5,
        columnspacing=1.2,
    )


@_styled
def confusion(axes: Axes, matrix: np.ndarray, key: str) -> None:
    """``matrix`` int (7, 7), truth by most probable class; shaded by share of the row."""
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    for (row, column), count in np.ndenumerate(matrix):
        share = float(shares[row, column])
        # Half the colour at most: its number stays readable in both themes.
        axes.add_patch(
            Rectangle((column, row), 1, 1, facecolor=_colour(key), alpha=share / 2, linewidth=0)
        )
        if count:
            axes.text(column + 0.5, row + 0.42, str(count), ha="center", va="center", fontsize=10)
            axes.text(
                column + 0.5,
                row + 0.78,
                f"{100 * share:.0f} %" if share >= 0.005 else "<1 %",
                ha="center",
                va="center",
                fontsize=7.5,
                color=_PALETTE["muted"],
            )
    middles = np.arange(len(CLASS_NAMES)) + 0.5
    axes.set(
        xlim=(0, len(CLASS_NAMES)),
        ylim=(len(CLASS_NAMES), 0),
        xlabel=f"most probable class, by the {CALLED[key]}",
        ylabel="true class",
    )
    axes.set_xticks(middles, CLASS_NAMES)
    axes.set_yticks(middles, CLASS_NAMES)
    axes.set_xticks(range(len(CLASS_NAMES) + 1), minor=True)
    axes.set_yticks(range(len(CLASS_NAMES) + 1), minor=True)
    axes.tick_params(which="both", length=0)
    axes.grid(visible=False)
    axes.grid(visible=True, which="minor")


@_styled
def scatter(axes: Axes, judged: Mapping[str, Judged], thresholds: Mapping[str, float]) -> None:
    """The student's melanoma probability against the teacher's, on log-odds, by truth."""
    melanoma = judged["teacher"].melanoma
    x, y = (log_odds(judged[key].probability) for key in ("teacher", "student"))
    low, high = log_odds_range(*(found.probability for found in judged.values()))
    axes.plot([low, high], [low, high], color=_PALETTE["line"], linewidth=1, zorder=1)
    for truth, colour, label, marker in (
        (~melanoma, "other", "others", "o"),
        (melanoma, "melanoma", "melanomas", "^"),
    ):
        axes.plot(
            x[truth],
            y[truth],
            marker,
            color=_PALETTE[colour],
            markersize=3.6 if marker == "^" else 2.6,
            markeredgewidth=0,
            alpha=0.85 if marker == "^" else 0.5,
            label=label,
        )
    _threshold(axes.axvline, "teacher", thresholds["teacher"])
    _threshold(axes.axhline, "student", thresholds["student"])
    log_odds_axis(axes, "x", (low, high))
    log_odds_axis(axes, "y", (low, high))
    axes.set(
        xlabel="teacher's melanoma probability, %",
        ylabel="student's melanoma probability, %",
    )
    axes.legend(loc="upper left", markerscale=1.8, handletextpad=0.1, borderaxespad=0.2)


@_styled
def classes(axes: Axes, counts: Mapping[str, Mapping[str, int]], unit: str) -> None:
    """Bars of each class, the splits end to end. ``counts[split][dx]`` of ``unit`` ("images")."""
    places = np.arange(len(CLASS_NAMES))
    ends = np.zeros(len(CLASS_NAMES))
    for split in SPLITS:
        values = np.array([counts[split][dx] for dx in CLASS_NAMES])
        axes.barh(places, values, 0.68, ends, color=_PALETTE[split], label=split)
        ends += values
    for place, end in zip(places, ends, strict=True):
        axes.annotate(
            f"{end:.0f}", (end, place), (4, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(places, CLASS_NAMES)
    axes.invert_yaxis()
    axes.set_xlim(0, ends.max() * 1.14)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set(xlabel=unit, ylabel="class")
    axes.legend(loc="upper right")


def _colour(key: str) -> str:
    return COLOURS[key]


def _line(key: str) -> dict:
    return {"color": _colour(key), "linestyle": _DASHES[key]}


def _dot(axes: Axes, key: str, x: float, y: float) -> None:
    axes.plot(
        [x],
        [y],
        _MARKERS[key],
        color=_colour(key),
        markersize=8 * _AREAS[key] ** 0.5,
        markeredgecolor=_PALETTE["paper"],
        markeredgewidth=1.2,
        zorder=4,
        clip_on=False,
    )


def _whiskers(interval: Interval) -> np.ndarray:
    """Percent below and above the value, (2, 1); Matplotlib refuses a rounding below 0."""
    below, above = interval.value - interval.low, interval.high - interval.value
    return 100 * np.maximum([[below], [above]], 0)


def _percent(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set(xlim=(-1, 101), ylim=(-1, 101), xlabel=xlabel, ylabel=ylabel)


def _threshold(draw: Callable, key: str, threshold: float, label: str | None = None) -> None:
    draw(
        float(log_odds(threshold)),
        color=_colour(key),
        linestyle=_DASHES[key],
        linewidth=1.4,
        zorder=3,
        label=label,
    )
