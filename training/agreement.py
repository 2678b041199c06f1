"""How far a student says what its teacher says, whatever the truth is.

Reported beside accuracy: two models of equal ROC-AUC may still disagree about the image at hand.
Knows arrays alone: no model, no file.
"""

import numpy as np

from mel_demo.manifest import MELANOMA, Interval
from training.intervals import Bootstrap, divide, interval


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
