"""How good melanoma probabilities are: point values, and intervals that respect lesions.

ROC-AUC, average precision, ECE, Brier score, the operating table and the rates of a threshold, each
with a 95 % interval by bootstrap over lesions (several images may show one lesion, so images are
not independent). Knows arrays alone: no model, no file. What has no value raises DataError or is
None; it is never 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mel_demo.manifest import (
    MELANOMA,
    Counts,
    Interval,
    Lesions,
    OperatingRow,
    OperatingTable,
    Rates,
)
from training.errors import DataError
from training.measure.intervals import Bootstrap, divide, fractions, interval

ECE_BINS = 15
RULE = (
    "refer when probability >= threshold; one row per distinct melanoma probability on validation; "
    "for a target sensitivity, the largest threshold that catches at least that share of the "
    "validation melanomas"
)


@dataclass(frozen=True, eq=False)
class Judged:
    """A split as one model judged it; DataError where nothing could be measured on it.

    ``melanoma`` bool (N,), the truth; ``probability`` float64 (N,) of melanoma, in [0, 1];
    ``lesion_ids`` (N,). Both truths must occur.
    """

    melanoma: np.ndarray
    probability: np.ndarray
    lesion_ids: np.ndarray

    def __post_init__(self):
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


def roc_auc(judged: Judged, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Area under the ROC curve, ties counted half.

    ``weights`` (resamples, N) gives one value a resample, NaN where one truth was not drawn.
    """
    tp, fp = _cumulative(judged, weights)
    # Within a tie half of the step up lies below: the trapezoid under one step of the curve.
    area = (np.diff(fp, prepend=0) * (tp - np.diff(tp, prepend=0) / 2)).sum(1)
    return _one_or_all(divide(area, tp[:, -1] * fp[:, -1]), weights)


def average_precision(judged: Judged, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Sum of precision times the step in recall over descending scores, as scikit-learn's."""
    tp, fp = _cumulative(judged, weights)
    # Before the first drawn image the precision is 0 / 0, but so is the step in recall.
    precision = np.nan_to_num(divide(tp, tp + fp))
    value = divide((np.diff(tp, prepend=0) * precision).sum(1), tp[:, -1])
    return _one_or_all(value, weights)


def brier(judged: Judged, weights: np.ndarray | None = None) -> float | np.ndarray:
    """Mean squared difference of probability and truth (melanoma against the rest)."""
    errors = (judged.probability - judged.melanoma) ** 2
    weights_ = _weights(judged, weights)
    return _one_or_all(weights_ @ errors / weights_.sum(1), weights)


def ece(
    judged: Judged, weights: np.ndarray | None = None, bins: int = ECE_BINS
) -> float | np.ndarray:
    """Expected calibration error of the melanoma probability (arXiv 1706.04599, eq. 3).

    Equal-width bins [a, b), the last one closed, so that a probability of 1 is counted.
    """
    edges = np.linspace(0, 1, bins + 1)
    of_bin = np.searchsorted(edges[1:-1], judged.probability, side="right")
    gaps = np.zeros((len(of_bin), bins))
    gaps[np.arange(len(of_bin)), of_bin] = judged.probability - judged.melanoma
    weights_ = _weights(judged, weights)
    return _one_or_all(np.abs(weights_ @ gaps).sum(1) / weights_.sum(1), weights)


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


def operating_table(
    chosen_on: Judged, measured_on: Judged, bootstrap: Bootstrap | None = None
) -> OperatingTable:
    """Thresholds from ``chosen_on`` (validation), rates from ``measured_on`` (holdout).

    Thresholds are the probabilities themselves, unrounded: JSON gives the same floats back, so a
    melanoma that set a threshold is referred by it.
    """
    thresholds = [float(t) for t in np.unique(chosen_on.probability[chosen_on.melanoma])[::-1]]
    measured = zip(
        thresholds,
        counts(chosen_on, thresholds),
        counts(measured_on, thresholds),
        rates(measured_on, thresholds, bootstrap or Bootstrap(measured_on.lesion_ids)),
        strict=True,
    )
    rows = tuple(OperatingRow(*values) for values in measured)
    return OperatingTable(RULE, rows, chosen_on.lesions(), measured_on.lesions())


def summary(judged: Judged, threshold: float, bootstrap: Bootstrap) -> dict[str, Interval]:
    """The manifest's metrics of one split, at a threshold chosen on validation."""
    weights, lesions = bootstrap.image_weights(), judged.lesions()
    fewer, every = min(lesions.melanoma, lesions.other), bootstrap.weights.shape[1]

    def measured(metric: Callable, involved: int, centred: bool = False) -> Interval:
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


def _cumulative(judged: Judged, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Melanomas and others at or above each distinct score, descending: (resamples, scores)."""
    order = np.argsort(-judged.probability, kind="stable")
    scores, truth = judged.probability[order], judged.melanoma[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    drawn = _weights(judged, weights)[:, order]
    return tuple(np.cumsum(drawn * rows, axis=1)[:, ends] for rows in (truth, ~truth))


def _weights(judged: Judged, weights: np.ndarray | None) -> np.ndarray:
    return np.ones((1, len(judged.melanoma))) if weights is None else weights


def _one_or_all(values: np.ndarray, weights: np.ndarray | None) -> float | np.ndarray:
    return float(values[0]) if weights is None else values


def agreement(
    teacher: np.ndarray,
    student: np.ndarray,
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


def spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation (ties share their mean rank) of each resample, (resamples,).

    ``x``, ``y`` (N,); ``weights`` (resamples, N): times each image is drawn. NaN where undefined.
    """
    total = weights.sum(1, keepdims=True)
    a, b = (_ranks(values, weights) - (total + 1) / 2 for values in (x, y))
    covariance = (weights * a * b).sum(1)
    spread = np.sqrt((weights * a**2).sum(1) * (weights * b**2).sum(1))
    return divide(covariance, spread)


def _spearman_interval(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> Interval:
    value = float(spearman(x, y, np.ones((1, len(x))))[0])
    if np.isnan(value):  # a model that gives every image the same probability has no order
        return Interval(None, None, None)
    return interval(value, spearman(x, y, weights))


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean rank, from 1, of each image among the drawn ones: (resamples, N)."""
    distinct, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(distinct)))
    drawn = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(drawn, axis=1) - (drawn - 1) / 2)[:, group]
