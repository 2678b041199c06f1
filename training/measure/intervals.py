"""95 % intervals that respect lesions: bootstrap over lesions, exact bounds where it collapses.

Several images may show one lesion, so images are not independent and lesions are what is drawn.
Knows sums and shares of images; it does not know what is being measured (``metrics``).
"""

from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import beta

from mel_demo.manifest import Interval

Array = np.ndarray[Any, Any]
RESAMPLES = 2000
SEED = 20260723
_TAIL = 0.025


class Bootstrap:
    """Resamples of lesions with replacement, as the number of times each image is drawn.

    ``weights`` float64 (resamples, lesions): multinomial counts. Two models judged on the same
    images get the same resamples.
    """

    def __init__(self, lesion_ids: Array, resamples: int = RESAMPLES, seed: int = SEED):
        names, self.lesion_of = np.unique(lesion_ids, return_inverse=True)
        share = np.full(len(names), 1 / len(names))
        draws = np.random.default_rng(seed).multinomial(len(names), share, size=resamples)
        self.weights = draws.astype(np.float64)
        images = np.arange(len(lesion_ids))
        self._per_lesion = csr_array(
            (np.ones(len(images)), (self.lesion_of, images)), shape=(len(names), len(images))
        )

    def lesion_sums(self, values: Array) -> Array:
        """Sums over each lesion's images: (N, R) -> (lesions, R)."""
        sums: Array = self._per_lesion @ np.asarray(values, np.float64)
        return sums

    def sums(self, values: Array) -> Array:
        """Sums over each resample's images: (N, R) -> (resamples, R)."""
        sums: Array = self.weights @ self.lesion_sums(values)
        return sums

    def image_weights(self) -> Array:
        """Times each image is drawn: (resamples, N)."""
        return self.weights[:, self.lesion_of]


def interval(
    value: float, draws: Array, lesions: int | None = None, centred: bool = False
) -> Interval:
    """The middle 95 % of the resamples' values, except where that would mislead.

    ``draws`` (resamples,): those without a value (NaN) are left out.

    ``lesions``: how many were involved, for a value in [0, 1]. If it is exactly 0 or 1, it is so in
    every resample: an interval of no width, as if the data were endless. There, and wherever all
    resamples agree, the interval is Clopper-Pearson's for as many trials as lesions.

    ``centred``: a resample's ECE has its own noise on top of the sample's, so its percentiles lie
    too high; they are moved by the bootstrap's estimate of that bias, down to 0 at most.
    """
    low, high = (float(bound) for bound in np.nanquantile(draws, (_TAIL, 1 - _TAIL)))
    if lesions is not None and (value in (0.0, 1.0) or low == high):
        low, high = clopper_pearson(value * lesions, lesions)
    elif centred:
        bias = float(np.nanmean(draws)) - value
        low, high = max(low - bias, 0.0), max(high - bias, 0.0)
    return Interval(float(value), low, high)


def fractions(part: Array, whole: Array, bootstrap: Bootstrap) -> list[Interval]:
    """Part of whole, bool (N, R) each, with intervals; three None where the whole is empty."""
    values = divide(part.sum(0), whole.sum(0))
    draws = divide(bootstrap.sums(part), bootstrap.sums(whole))
    lesions = (bootstrap.lesion_sums(whole) > 0).sum(0)
    return [
        Interval(None, None, None)
        if np.isnan(value)
        else interval(float(value), draws[:, i], int(lesions[i]))
        for i, value in enumerate(values)
    ]


def clopper_pearson(successes: float, trials: int) -> tuple[float, float]:
    """The exact 95 % interval of a binomial fraction (Clopper and Pearson 1934); trials >= 1.

    ``successes`` need not be whole: the bounds are quantiles of beta distributions.
    """
    low = beta.ppf(_TAIL, successes, trials - successes + 1) if successes else 0.0
    high = beta.ppf(1 - _TAIL, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)


def divide(part: Array, whole: Array) -> Array:
    """part / whole, NaN where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    quotient: Array = np.full(part.shape, np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient
