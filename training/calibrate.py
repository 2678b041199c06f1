"""One temperature for a model's logits, fitted on validation. Knows arrays alone."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_BOUNDS = (0.05, 20.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T that minimises the mean of -log softmax(logits / T)[label] (arXiv 1706.04599).

    ``logits`` (N, K); ``labels`` int (N,), index into the K classes. T lies in 0.05..20.
    """
    scores, rows = np.asarray(logits, np.float64), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return -log_softmax(scores / np.exp(log_temperature), axis=1)[rows, labels].mean()

    found = minimize_scalar(loss, bounds=np.log(_BOUNDS), method="bounded")
    return float(np.exp(found.x))
