"""Temperature scaling (arXiv 1706.04599): one number that makes probabilities mean what they say.

Dividing all logits by T changes no order of classes within an image. Knows arrays alone.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from mel_demo.manifest import MELANOMA
from training.errors import DataError

# Wide enough for any trained network; at its ends something else is wrong.
_LOWEST, _HIGHEST = 0.05, 20.0


def melanoma_log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean negative log-likelihood of "melanoma or not", in nats.

    ``logits`` (N, 7), ``labels`` int (N,), index into CLASS_NAMES.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    log_melanoma = log_softmax(scaled, axis=1)[:, MELANOMA]
    others = logsumexp(np.delete(scaled, MELANOMA, axis=1), axis=1)
    log_other = others - logsumexp(scaled, axis=1)
    return float(-np.where(labels == MELANOMA, log_melanoma, log_other).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least melanoma log-loss: that probability is what the page shows.

    ``logits`` (N, 7) of validation, ``labels`` int (N,). Raises DataError when there is no
    melanoma, or nothing else, to fit to.
    """
    melanomas = int((labels == MELANOMA).sum())
    if not 0 < melanomas < len(labels):
        raise DataError(
            f"{melanomas} of {len(labels)} images are melanoma: a temperature needs both truths."
        )
    found = minimize_scalar(
        lambda log_t: melanoma_log_loss(logits, labels, float(np.exp(log_t))),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))
