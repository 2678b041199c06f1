"""What the report shows: sections of captioned figures, and each model's worst mistakes.

Knows what a reader must be told to read a figure; how it is drawn stands in ``plots``.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from mel_demo.decision.operating_point import DEFAULT_TARGET
from mel_demo.manifest import CLASS_NAMES, Interval
from training.data.splits import SPLITS, Row
from training.measure.metrics import Judged, counts
from training.report import plots
from training.report.gather import Gathered
from training.report.log_odds import EDGE
from training.report.plots import CALLED
from training.words import DIAGNOSES, percent, show


@dataclass(frozen=True, eq=False)
class Panel:
    """A figure: ``name`` is unique on the page, ``alt`` says what it shows to who cannot see it."""

    name: str
    title: str
    figure: Figure
    alt: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading, a sentence and figures."""

    name: str
    title: str
    intro: str
    panels: tuple[Panel, ...]


def sections(gathered: Gathered) -> list[Section]:
    """Every section of figures, in the order of the page; without runs none of training."""
    judged = {key: found.scores.judged() for key, found in gathered.scored.items()}
    found = [_data(gathered)]
    if gathered.histories:
        found.append(_training(gathered))
    return [
        *found,
        _ranking(gathered, judged),
        _probabilities(gathered, judged),
        _classes(gathered),
    ]


def class_counts(rows: list[Row]) -> dict[str, dict[str, tuple[int, int]]]:
    """Images and lesions: ``class_counts(rows)[split][dx]``."""
    images = Counter((row.split, row.dx) for row in rows)
    lesions = Counter(
        (split, dx) for split, dx, _ in {(row.split, row.dx, row.lesion_id) for row in rows}
    )
    return {
        split: {dx: (images[split, dx], lesions[split, dx]) for dx in CLASS_NAMES}
        for split in SPLITS
    }


def _data(gathered: Gathered) -> Section:
    found = class_counts(gathered.rows)
    panels = []
    for place, unit in enumerate(("images", "lesions")):
        numbers = {
            split: {dx: pair[place] for dx, pair in of.items()} for split, of in found.items()
        }
        totals = {dx: sum(numbers[split][dx] for split in SPLITS) for dx in CLASS_NAMES}
        panels.append(
            Panel(
                f"classes-{unit}",
                f"{unit.capitalize()} of each class",
                plots.classes(numbers, unit),
                f"Bars of the {unit} of each class over the splits: "
                + ", ".join(f"{dx} {number}" for dx, number in totals.items())
                + ".",
                f"{totals['mel']} of {sum(totals.values())} {unit} are melanoma. Several images "
                "may show one lesion; a lesion is in one split only.",
            )
        )
    names = ", ".join(f"{dx} {name}" for dx, name in DIAGNOSES.items())
    return Section(
        "data",
        "Data",
        f"The seven classes: {names}.",
        tuple(panels),
    )


def _training(gathered: Gathered) -> Section:
    kept = {role: record.best_epoch for role, record in gathered.records.items()}

    def history(column: str) -> dict[str, list[float]]:
        return {role: columns[column] for role, columns in gathered.histories.items()}

    def last(column: str) -> str:
        return listed(f"{CALLED[r]} {v[0]:.3g} to {v[-1]:.3g}" for r, v in history(column).items())

    best = listed(
        f"{CALLED[role]} {values[kept[role] - 1]:.3f} in epoch {kept[role]} of {len(values)}"
        for role, values in history("validation_roc_auc").items()
    )
    lines = (
        ("train_loss", "Training loss", "training loss", "What the optimiser lowers, on training "
         "images. Roles are trained on different losses: compare the shape, not the height."),
        ("validation_cross_entropy", "Validation cross-entropy", "cross-entropy, nats",
         "The same measure for every model, on validation images. Rising while the training loss "
         "falls would be overfitting."),
        ("learning_rate", "Learning rate", "learning rate", "At the end of each epoch."),
    )  # fmt: skip
    panels = [
        Panel(
            "history-roc-auc",
            "Validation ROC-AUC",
            plots.epochs(history("validation_roc_auc"), "ROC-AUC", kept),
            f"Validation ROC-AUC by epoch, best: {best}.",
            f"Melanoma against the rest. The mark is the epoch whose weights were kept: {best}.",
        ),
        *(
            Panel(
                f"history-{column.replace('_', '-')}",
                title,
                plots.epochs(history(column), label),
                f"{title} by epoch, first to last: {last(column)}.",
                caption,
            )
            for column, title, label, caption in lines
        ),
    ]
    intro = "One value an epoch, from metrics.csv of each run."
    return Section("training", "Training", intro, tuple(panels))


def _ranking(gathered: Gathered, judged: dict[str, Judged]) -> Section:
    metrics, thresholds = gathered.evaluation.metrics, gathered.evaluation.thresholds
    points = {
        key: (found["sensitivity_at_95"], found["specificity_at_95"])
        for key, found in metrics.items()
    }
    at_95 = {key: counts(found, [thresholds[key]])[0] for key, found in judged.items()}
    areas = {key: _value(found["roc_auc"]) for key, found in metrics.items()}
    averages = {key: _value(found["average_precision"]) for key, found in metrics.items()}
    reached = listed(
        f"the {CALLED[key]} catches {show(Interval(a.value, None, None), percent=True)} of the "
        f"melanomas and refers {percent(1 - _value(b))} of the others"
        for key, (a, b) in points.items()
    )
    referred = listed(
        f"{found.tp} of {found.tp + found.fp} referred by the {CALLED[key]}"
        for key, found in at_95.items()
    )
    chosen = (
        " The thresholds were chosen on these very images: expect a little less elsewhere."
        if gathered.split == "validation"
        else ""
    )
    panels = [
        Panel(
            "roc",
            "ROC",
            plots.roc(judged, points, areas),
            "ROC curves. Areas: " + _values(areas) + f". At the mark {reached}.",
            f"How many false alarms it costs to catch melanomas. At the mark, the "
            f"{100 * DEFAULT_TARGET:g} % setting, {reached}. Whiskers: 95 % intervals.{chosen}",
        ),
        Panel(
            "precision-recall",
            "Precision and recall",
            plots.precision_recall(judged, at_95, averages),
            "Precision-recall curves. Average precision: " + _values(averages) + ".",
            f"How many of the referred images are melanomas. At the mark: {referred}. Depends on "
            "how common melanoma is: far rarer in screening than here.",
        ),
    ]
    intro = "How well the melanoma probability puts melanomas above other images."
    if {"teacher", "student"} <= set(judged):
        panels.append(_pair(gathered, judged))
    return Section("ranking", "Finding melanomas", intro, tuple(panels))


def _probabilities(gathered: Gathered, judged: dict[str, Judged]) -> Section:
    eces = {key: _value(found["ece"]) for key, found in gathered.evaluation.metrics.items()}
    temperatures = {key: found.scores.temperature for key, found in gathered.scored.items()}
    before = {
        key: replace(gathered.scored[key].scores, temperature=1.0).judged()
        for key, temperature in temperatures.items()
        if temperature != 1
    }
    fitted = (
        " Thin: before the temperature, " + _values({k: temperatures[k] for k in before}) + "."
        if before
        else " No temperature was applied: these are the models' own softmax."
    )
    panels = [
        Panel(
            "reliability",
            "Reliability",
            plots.reliability_diagram(judged, before),
            "Reliability diagram. ECE: " + _values(eces) + ".",
            "Of the images given about 30 %, are 30 % melanomas? On the dotted line they are; "
            "below it probabilities are too high. Small marks are few images and mean little. "
            f"Expected calibration error: {_values(eces)}.{fitted}",
        )
    ]
    for key, found in judged.items():
        threshold = gathered.evaluation.thresholds[key]
        at = counts(found, [threshold])[0]
        panels.append(
            Panel(
                f"histogram-{key.replace('_', '-')}",
                f"Probabilities given by the {CALLED[key]}",
                plots.histogram(found, threshold, key),
                f"Histograms of the {CALLED[key]}'s melanoma probabilities of melanomas and "
                f"others, threshold {percent(threshold)}.",
                f"To the right of the threshold, {percent(threshold)}, images are referred: "
                f"{at.tp} of {at.melanomas} melanomas and {at.fp} of {at.others} others.",
            )
        )
    intro = "Whether a probability can be taken at its word, and where the threshold cuts."
    return Section("probabilities", "Probabilities", intro, tuple(panels))


def _classes(gathered: Gathered) -> Section:
    panels = []
    for key, found in gathered.scored.items():
        likeliest = found.scores.probabilities().argmax(1)
        matrix = confusion_matrix(
            found.scores.labels, likeliest, labels=np.arange(len(CLASS_NAMES))
        )
        right = percent(matrix.trace() / matrix.sum())
        panels.append(
            Panel(
                f"confusion-{key.replace('_', '-')}",
                f"Classes named by the {CALLED[key]}",
                plots.confusion(matrix, key),
                f"Confusion matrix of the {CALLED[key]}, {right} on the diagonal. True class, then "
                "how often each was named: "
                + "; ".join(
                    f"{dx} {', '.join(f'{CLASS_NAMES[i]} {row[i]}' for i in np.flatnonzero(row))}"
                    for dx, row in zip(CLASS_NAMES, matrix, strict=True)
                    if row.any()
                )
                + ".",
                f"Images, and percent of each row. {right} of the images get their class. The "
                "decision to refer is another matter: it follows the threshold, not the likeliest "
                "class.",
            )
        )
    intro = "Rows are the truth, columns the class with the highest probability."
    return Section("classes", "Seven classes", intro, tuple(panels))


def _pair(gathered: Gathered, judged: dict[str, Judged]) -> Panel:
    thresholds, agreed = gathered.evaluation.thresholds, gathered.evaluation.agreement
    alike = show(agreed["same_decision_at_95"], percent=True)
    rank = show(agreed["spearman"])
    lines = listed(f"{CALLED[k]} {percent(thresholds[k])}" for k in ("teacher", "student"))
    drawn = np.concatenate([found.probability for found in judged.values()])
    beyond = (
        f" Marks beyond {100 * EDGE:g} % or {100 * (1 - EDGE):g} % stand at the edge."
        if ((drawn < EDGE) | (drawn > 1 - EDGE)).any()
        else ""
    )
    return Panel(
        "scatter",
        "Student against teacher",
        plots.scatter(judged, thresholds),
        f"Scatter of the student's against the teacher's melanoma probability. Same decision for "
        f"{alike} of the images, rank correlation {rank}.",
        f"One mark an image, on the grey line where both say the same. Lines: thresholds, {lines}. "
        f"Upper right both refer, lower left neither does: they decide alike for {alike} of the "
        f"images.{beyond}",
    )


def _value(interval: Interval) -> float:
    return math.nan if interval.value is None else interval.value


def _values(values: dict[str, float]) -> str:
    return listed(f"{CALLED[key]} {value:.3f}" for key, value in values.items())


def listed(parts: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


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
