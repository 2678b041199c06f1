"""How good melanoma probabilities are: point values, and intervals that respect lesions.

ROC-AUC, average precision, ECE, Brier score, the operating table and the rates of a threshold, each
with a 95 % interval by bootstrap over lesions (several images may show one lesion, so images are
not independent). Knows arrays alone: no model, no file. What has no value raises DataError or is
None; it is never 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from mel_demo.decision.operating_point import first_that_catches
from mel_demo.manifest import (
    MELANOMA,
    Counts,
    Interval,
    Lesions,
    LesionsBySplit,
    OperatingRow,
    OperatingTable,
    Rates,
    Yield,
)
from training.errors import DataError
from training.measure.intervals import Array, Bootstrap, divide, fractions, interval

ECE_BINS = 15
RULE = (
    "refer when probability >= threshold; one row per distinct melanoma probability on validation; "
    "for a target sensitivity, the largest threshold that catches at least that share of the "
    "validation melanomas"
)


STEPS = (*(step / 50 for step in range(1, 40)), *(step / 200 for step in range(160, 201)))
"""Shares caught: each 2 %, and each half percent from 80 % on."""
THIN_RULE = (
    "refer when probability >= threshold; rows are the largest thresholds that catch each 2 %, and "
    "from 80 % on each half percent, of the positives of validation; for a target sensitivity, the "
    "largest threshold that catches at least that share"
)


@dataclass(frozen=True, eq=False)
class Judged:
    """A split as one model judged it; DataError where nothing could be measured on it.

    ``melanoma`` bool (N,), the truth (or any skin cancer, where that is the target);
    ``probability`` float64 (N,) of it, in [0, 1]; ``lesion_ids`` (N,). Both truths must occur.
    """

    melanoma: Array
    probability: Array
    lesion_ids: Array

    def __post_init__(self) -> None:
        if not len(self.melanoma) == len(self.probability) == len(self.lesion_ids):
            raise ValueError(
                f"{len(self.melanoma)} labels, {len(self.probability)} probabilities and "
                f"{len(self.lesion_ids)} lesions do not belong together"
            )
        inside = (self.probability >= 0) & (self.probability <= 1)  # False for NaN
        if not inside.all():
            raise DataError(
                f"{self.probability[~inside][0]!r} is not a probability: the model's output is "
                "damaged."
            )
        if not self.melanoma.any() or self.melanoma.all():
            raise DataError(
                f"{int(self.melanoma.sum())} of {len(self.melanoma)} images are melanoma: nothing "
                "can be measured without both melanomas and others."
            )

    def lesions(self) -> Lesions:
        """Distinct lesions by truth."""
        ids = [len(np.unique(self.lesion_ids[rows])) for rows in (self.melanoma, ~self.melanoma)]
        return Lesions(*ids)


class Metric:
    """A number that says how good a split's probabilities are: of the split, or of its resamples.

    Made of a function that takes the times each image is drawn, (resamples, N).
    """

    def __init__(self, values: Callable[[Judged, Array], Array]):
        self._values = values
        self.__doc__ = values.__doc__

    @overload
    def __call__(self, judged: Judged) -> float: ...

    @overload
    def __call__(self, judged: Judged, weights: Array) -> Array: ...

    def __call__(self, judged: Judged, weights: Array | None = None) -> float | Array:
        """The value; with ``weights`` one a resample (resamples,), NaN where it has none."""
        if weights is None:
            return float(self._values(judged, np.ones((1, len(judged.melanoma))))[0])
        return self._values(judged, weights)


@Metric
def roc_auc(judged: Judged, weights: Array) -> Array:
    """Area under the ROC curve, ties counted half."""
    tp, fp = _cumulative(judged, weights)
    # Within a tie half of the step up lies below: the trapezoid under one step of the curve.
    area = (np.diff(fp, prepend=0) * (tp - np.diff(tp, prepend=0) / 2)).sum(1)
    return divide(area, tp[:, -1] * fp[:, -1])


@Metric
def average_precision(judged: Judged, weights: Array) -> Array:
    """Sum of precision times the step in recall over descending scores, as scikit-learn's."""
    tp, fp = _cumulative(judged, weights)
    # Before the first drawn image the precision is 0 / 0, but so is the step in recall.
    precision = np.nan_to_num(divide(tp, tp + fp))
    return divide((np.diff(tp, prepend=0) * precision).sum(1), tp[:, -1])


@Metric
def brier(judged: Judged, weights: Array) -> Array:
    """Mean squared difference of probability and truth (melanoma against the rest)."""
    errors = (judged.probability - judged.melanoma) ** 2
    return divide(weights @ errors, weights.sum(1))


@Metric
def ece(judged: Judged, weights: Array) -> Array:
    """Expected calibration error of the melanoma probability (arXiv 1706.04599, eq. 3).

    Equal-width bins [a, b), the last one closed, so that a probability of 1 is counted.
    """
    edges = np.linspace(0, 1, ECE_BINS + 1)
    of_bin = np.searchsorted(edges[1:-1], judged.probability, side="right")
    gaps = np.zeros((len(of_bin), ECE_BINS))
    gaps[np.arange(len(of_bin)), of_bin] = judged.probability - judged.melanoma
    return divide(np.abs(weights @ gaps).sum(1), weights.sum(1))


def counts(judged: Judged, thresholds: Sequence[float]) -> list[Counts]:
    """Images by decision and truth at each threshold."""
    refer = judged.probability[:, None] >= np.asarray(thresholds)
    tp, fp = refer[judged.melanoma].sum(0), refer[~judged.melanoma].sum(0)
    melanomas, others = int(judged.melanoma.sum()), int((~judged.melanoma).sum())
    return [
        Counts(tp=int(t), fp=int(f), fn=melanomas - int(t), tn=others - int(f))
        for t, f in zip(tp, fp, strict=True)
    ]


def rates(judged: Judged, thresholds: Sequence[float], bootstrap: Bootstrap) -> list[Rates]:
    """Sensitivity, specificity, PPV and NPV over images at each threshold, with intervals."""
    refer = judged.probability[:, None] >= np.asarray(thresholds)
    melanoma = np.broadcast_to(judged.melanoma[:, None], refer.shape)
    parts = {
        "sensitivity": (refer, melanoma),
        "specificity": (~refer, ~melanoma),
        "ppv": (melanoma, refer),
        "npv": (~melanoma, ~refer),
    }
    found = {
        name: fractions(part & whole, whole, bootstrap) for name, (part, whole) in parts.items()
    }
    return [Rates(**{name: found[name][i] for name in parts}) for i in range(len(thresholds))]


def thresholds_of(judged: Judged) -> list[float]:
    """The distinct probabilities of melanomas, descending: what lies between refers no more."""
    return [float(t) for t in np.unique(judged.probability[judged.melanoma])[::-1]]


def point_at(judged: Judged, target: float) -> tuple[float, Counts]:
    """The threshold that the served rule chooses for a target sensitivity, and its counts."""
    thresholds = thresholds_of(judged)
    counted = counts(judged, thresholds)
    index = first_that_catches(counted, target)
    return thresholds[index], counted[index]


def operating_table(
    validation: Judged, holdout: Judged, external: Judged | None = None, thin: bool = False
) -> OperatingTable:
    """Thresholds from validation; what they yield on holdout, and elsewhere where it was measured.

    Thresholds are the probabilities themselves, unrounded: JSON gives the same floats back, so a
    melanoma that set a threshold is referred by it. ``thin``: only those of STEPS, to keep a table
    of many positives small.
    """
    thresholds = thresholds_of(validation)
    if thin:
        counted = counts(validation, thresholds)
        kept = {first_that_catches(counted, step) for step in STEPS}
        thresholds = [thresholds[index] for index in sorted(kept)]
    elsewhere = [None] * len(thresholds) if external is None else yields(external, thresholds)
    rows = zip(
        thresholds,
        counts(validation, thresholds),
        yields(holdout, thresholds),
        elsewhere,
        strict=True,
    )
    lesions = LesionsBySplit(
        validation.lesions(), holdout.lesions(), None if external is None else external.lesions()
    )
    return OperatingTable(
        THIN_RULE if thin else RULE,
        lesions,
        tuple(OperatingRow(*row) for row in rows),
    )


def yields(judged: Judged, thresholds: Sequence[float]) -> list[Yield]:
    """Counts and rates at each threshold."""
    rated = rates(judged, thresholds, Bootstrap(judged.lesion_ids))
    return [
        Yield(**vars(counted), **vars(found))
        for counted, found in zip(counts(judged, thresholds), rated, strict=True)
    ]


def summary(judged: Judged, threshold: float, bootstrap: Bootstrap) -> dict[str, Interval]:
    """The manifest's metrics of one split, at a threshold chosen on validation."""
    weights, lesions = bootstrap.image_weights(), judged.lesions()
    fewer, every = min(lesions.melanoma, lesions.other), bootstrap.weights.shape[1]

    def measured(metric: Metric, involved: int, centred: bool = False) -> Interval:
        return interval(metric(judged), metric(judged, weights), involved, centred)

    at_95 = rates(judged, [threshold], bootstrap)[0]
    return {
        "roc_auc": measured(roc_auc, fewer),
        "average_precision": measured(average_precision, fewer),
        "ece": measured(ece, every, centred=True),
        "brier": measured(brier, every),
        "sensitivity_at_95": at_95.sensitivity,
        "specificity_at_95": at_95.specificity,
    }


def _cumulative(judged: Judged, weights: Array) -> tuple[Array, Array]:
    """Melanomas and others at or above each distinct score, descending: (resamples, scores)."""
    order = np.argsort(-judged.probability, kind="stable")
    scores, truth = judged.probability[order], judged.melanoma[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    drawn = weights[:, order]
    tp, fp = (np.cumsum(drawn * rows, axis=1)[:, ends] for rows in (truth, ~truth))
    return tp, fp


def agreement(
    teacher: Array,
    student: Array,
    teacher_threshold: float,
    student_threshold: float,
    bootstrap: Bootstrap,
) -> dict[str, Interval]:
    """Agreement of class probabilities, float64 (N, 7) each, of the same images in one order.

    ``same_decision_at_95``: share of images referred by both or by neither, each at its own
    threshold. ``spearman``: rank correlation of the melanoma probabilities.
    ``mean_absolute_difference``: of the melanoma probabilities. ``kl``: mean over images of
    sum_k t_k log(t_k / s_k) over the seven classes, in nats.
    """
    t, s = teacher[:, MELANOMA], student[:, MELANOMA]
    # softmax may underflow to 0, whose logarithm has no value; 1e-300 stays a float.
    log_ratio = np.log(np.maximum(teacher, 1e-300)) - np.log(np.maximum(student, 1e-300))
    same = (t >= teacher_threshold) == (s >= student_threshold)
    means = np.column_stack([same, np.abs(t - s), (teacher * log_ratio).sum(1)])
    weights = bootstrap.image_weights()
    draws = bootstrap.sums(means) / weights.sum(1)[:, None]
    values = [float(value) for value in means.mean(0)]
    return {
        "same_decision_at_95": interval(values[0], draws[:, 0], bootstrap.weights.shape[1]),
        "spearman": _spearman_interval(t, s, weights),
        "mean_absolute_difference": interval(values[1], draws[:, 1]),
        "kl": interval(values[2], draws[:, 2]),
    }


def spearman(x: Array, y: Array, weights: Array) -> Array:
    """Spearman's rank correlation (ties share their mean rank) of each resample, (resamples,).

    ``x``, ``y`` (N,); ``weights`` (resamples, N): times each image is drawn. NaN where undefined.
    """
    total = weights.sum(1, keepdims=True)
    a, b = (_ranks(values, weights) - (total + 1) / 2 for values in (x, y))
    covariance = (weights * a * b).sum(1)
    spread = np.sqrt((weights * a**2).sum(1) * (weights * b**2).sum(1))
    return divide(covariance, spread)


def _spearman_interval(x: Array, y: Array, weights: Array) -> Interval:
    value = float(spearman(x, y, np.ones((1, len(x))))[0])
    if np.isnan(value):  # a model that gives every image the same probability has no order
        return Interval(None, None, None)
    return interval(value, spearman(x, y, weights))


def _ranks(values: Array, weights: Array) -> Array:
    """Mean rank, from 1, of each image among the drawn ones: (resamples, N)."""
    distinct, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(distinct)))
    drawn = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(drawn, axis=1) - (drawn - 1) / 2)[:, group]
