"""What the page's figures show of a released model, measured from scores that exist already.

Distribution, reliability, decision curve and subgroups on holdout; quantiles for the uncertain band
on validation. Knows arrays alone: no model, no file. ``mel_demo.measured`` says what each part is.
"""

import math
from collections.abc import Mapping

import numpy as np

from mel_demo.measured import Conformal, Distribution, Evidence, NetBenefit, ReliabilityBin
from training.intervals import Bootstrap, fractions, interval
from training.metrics import ECE_BINS, Judged
from training.subgroups import subgroups

OTHER_ALPHA = 0.10
"""Share of other lesions that may be referred outright: one in ten is what a clinic would bear."""
# Log-odds of the distribution's inner edges: from 0.03 % to 99.1 %, half a unit a bin.
_EDGES = np.arange(-8, 5, 0.5)
THRESHOLDS = tuple(percent / 100 for percent in range(1, 51))
"""Probabilities at which net benefit is measured: nobody waits for more than even odds."""


def evidence(
    validation: Judged, holdout: Judged, threshold: float, groups: Mapping[str, np.ndarray]
) -> Evidence:
    """All parts but faithfulness, which `training explain` adds.

    ``threshold``: of the 95 % setting. ``groups``: of the holdout images, ``subgroups``.
    """
    bootstrap = Bootstrap(holdout.lesion_ids)
    return Evidence(
        distribution=distribution(holdout),
        reliability=reliability(holdout, bootstrap),
        net_benefit=net_benefit(holdout, bootstrap),
        subgroups=subgroups(holdout, threshold, groups),
        conformal=conformal(validation),
    )


def distribution(judged: Judged) -> Distribution:
    """Images by melanoma probability, in bins of equal width in log-odds; the outer ones open."""
    edges = np.concatenate([[0], 1 / (1 + np.exp(-_EDGES)), [1]])
    counted = {
        name: tuple(int(n) for n in np.histogram(judged.probability[rows], edges)[0])
        for name, rows in (("melanoma", judged.melanoma), ("other", ~judged.melanoma))
    }
    return Distribution(tuple(float(edge) for edge in edges), **counted)


def reliability(judged: Judged, bootstrap: Bootstrap) -> tuple[ReliabilityBin, ...]:
    """The bins of the ECE (``metrics.ece``) that hold images."""
    edges = np.linspace(0, 1, ECE_BINS + 1)
    of_bin = np.searchsorted(edges[1:-1], judged.probability, side="right")
    inside = of_bin[:, None] == np.arange(ECE_BINS)
    observed = fractions(inside & judged.melanoma[:, None], inside, bootstrap)
    return tuple(
        ReliabilityBin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            images=int(inside[:, index].sum()),
            predicted=float(judged.probability[inside[:, index]].mean()),
            observed=observed[index],
        )
        for index in range(ECE_BINS)
        if inside[:, index].any()
    )


def net_benefit(judged: Judged, bootstrap: Bootstrap) -> tuple[NetBenefit, ...]:
    """tp / n - fp / n * t / (1 - t) for t of THRESHOLDS (Vickers and Elkin 2006)."""
    thresholds = np.asarray(THRESHOLDS)
    price = thresholds / (1 - thresholds)
    refer = judged.probability[:, None] >= thresholds
    gain = np.where(judged.melanoma[:, None], refer, -price * refer)
    values = gain.mean(0)
    drawn = bootstrap.sums(np.ones((len(judged.melanoma), 1)))
    draws = bootstrap.sums(gain) / drawn
    share = judged.melanoma.mean()
    return tuple(
        NetBenefit(
            threshold=float(threshold),
            model=interval(float(values[index]), draws[:, index]),
            refer_all=float(share - (1 - share) * price[index]),
        )
        for index, threshold in enumerate(thresholds)
    )


def conformal(judged: Judged) -> Conformal:
    """Each validation lesion's worst image: melanomas' lowest, others' highest probability.

    ``other_upper`` is the ceil((n + 1) * (1 - alpha))-th smallest of the n others (split conformal,
    arXiv 1209.2673), 1 where n is too small to promise alpha.
    """
    lowest = _by_lesion(judged, judged.melanoma, np.minimum)
    highest = _by_lesion(judged, ~judged.melanoma, np.maximum)
    rank = math.ceil((len(highest) + 1) * (1 - OTHER_ALPHA))
    return Conformal(
        melanoma=tuple(float(value) for value in lowest),
        other_alpha=OTHER_ALPHA,
        other_upper=float(highest[rank - 1]) if rank <= len(highest) else 1.0,
        other_lesions=len(highest),
    )


def _by_lesion(judged: Judged, rows: np.ndarray, worst: np.ufunc) -> np.ndarray:
    """The worst probability of each lesion among ``rows``, ascending."""
    _, lesion = np.unique(judged.lesion_ids[rows], return_inverse=True)
    order = np.argsort(lesion, kind="stable")
    starts = np.flatnonzero(np.diff(lesion[order], prepend=-1))
    return np.sort(worst.reduceat(judged.probability[rows][order], starts))
