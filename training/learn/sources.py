"""The camera shortcut: a source with few melanomas must not teach that its camera shows none.

Of HAM10000's sources one has 13 melanomas among 2,767 training images, another 481 among 2,332. A
network that learns from the labels alone reads the camera and calls the first benign. While it
learns, each image's melanoma logit is therefore moved by what its source alone says,

    log-odds of melanoma in the source - log-odds of melanoma in HAM10000,

as logit adjustment does for classes (arXiv 2007.07314, eq. 10): what the source explains need not
be explained by the pixels. Nothing is moved when serving. Knows arrays alone.
"""

import numpy as np

SENSITIVITY = 0.95
FEWEST = 20  # benign images of a source below which no specificity is told


def offsets(melanoma: np.ndarray, sources: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What each image's source says of melanoma, in log-odds: float32 (N,).

    ``melanoma`` bool (N,), ``sources`` names (N,); ``reference`` bool (N,): the images whose share
    of melanomas is the one that probabilities are wanted for. Half an image of either kind is added
    to every count, so that a source without melanomas is only unlikely to have one.
    """
    found = np.empty(len(melanoma), np.float64)
    for source in np.unique(sources):
        rows = sources == source
        found[rows] = _log_odds(melanoma[rows])
    return (found - _log_odds(melanoma[reference])).astype(np.float32)


def _log_odds(melanoma: np.ndarray) -> float:
    return float(np.log((melanoma.sum() + 0.5) / ((~melanoma).sum() + 0.5)))


def specificities(
    probability: np.ndarray, melanoma: np.ndarray, sources: np.ndarray | None
) -> dict[str, float]:
    """Specificity where 95 % of all melanomas are found: "specificity_all" and of each source."""
    threshold = np.quantile(probability[melanoma], 1 - SENSITIVITY, method="lower")
    cleared = probability < threshold
    found = {"specificity_all": float(cleared[~melanoma].mean())}
    for source in () if sources is None else np.unique(sources):
        benign = ~melanoma & (sources == source)
        if benign.sum() >= FEWEST:
            found[f"specificity_{source}"] = float(cleared[benign].mean())
    return found
