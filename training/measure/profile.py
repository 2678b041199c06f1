"""What the page's figures show of a released model, measured from scores that exist already.

Distribution, reliability, decision curve and subgroups on holdout; quantiles for the uncertain band
on validation. Knows arrays alone: no model, no file. ``mel_demo.manifest`` says what each part is.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mel_demo.manifest import (
    Conformal,
    Distribution,
    Evidence,
    Interval,
    NetBenefit,
    ReliabilityBin,
    Scores,
    Subgroup,
)
from training.data.ham10000 import find_metadata
from training.data.tables import read_table
from training.measure.intervals import Array, Bootstrap, fractions, interval
from training.measure.metrics import ECE_BINS, Judged, rates, roc_auc

OTHER_ALPHA = 0.10
"""Share of other lesions that may be referred outright: one in ten is what a clinic would bear."""
# Log-odds of the distribution's inner edges: from 0.03 % to 99.1 %, half a unit a bin.
_EDGES = np.arange(-8, 5, 0.5)
THRESHOLDS = tuple(percent / 100 for percent in range(1, 51))
"""Probabilities at which net benefit is measured: nobody waits for more than even odds."""


def evidence(
    validation: Judged,
    holdout: Judged,
    threshold: float,
    groups: Mapping[str, Array],
    external: Judged | None = None,
    sources: tuple[Subgroup, ...] = (),
) -> Evidence:
    """All parts but faithfulness, which `training explain` adds.

    ``threshold``: of the 95 % setting. ``groups``: of the holdout images, ``subgroups``.
    ``sources``: images of other clinics by data set.
    """
    bootstrap = Bootstrap(holdout.lesion_ids)
    return Evidence(
        distribution=distribution(holdout),
        reliability=reliability(holdout, bootstrap),
        net_benefit=net_benefit(holdout, bootstrap),
        subgroups=subgroups(holdout, threshold, groups),
        conformal=conformal(validation),
        scores={
            split: by_truth(found)
            for split, found in (("holdout", holdout), ("external", external))
            if found is not None
        },
        external_sources=sources or None,
    )


def by_truth(judged: Judged) -> Scores:
    """Every image's probability, ascending."""
    positive, negative = (
        tuple(sorted(judged.probability[rows].tolist()))
        for rows in (judged.melanoma, ~judged.melanoma)
    )
    return Scores(positive, negative)


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


def _by_lesion(judged: Judged, rows: Array, worst: np.ufunc) -> Array:
    """The worst probability of each lesion among ``rows``, ascending."""
    _, lesion = np.unique(judged.lesion_ids[rows], return_inverse=True)
    order = np.argsort(lesion, kind="stable")
    starts = np.flatnonzero(np.diff(lesion[order], prepend=-1))
    return np.sort(worst.reduceat(judged.probability[rows][order], starts))


FEWEST = 20
"""Lesions of either truth below which a group is marked small: a sensitivity measured on 20 has an
interval of about 40 percentage points, so that nothing can be concluded."""
AGES = ((30, "under 30"), (45, "30-44"), (60, "45-59"), (75, "60-74"))
_COLUMNS = {
    "sex": "sex",
    "age": "age",
    "localization": "site",
    "dx_type": "confirmation",
    "dataset": "source",
}
_UNDEFINED = Interval(None, None, None)


def read_groups(data: Path, image_ids: tuple[str, ...]) -> dict[str, Array]:
    """Each image's group by division ("sex", "age", "site", "confirmation", "source").

    Columns that the metadata lacks are left out.
    """
    rows = read_table(find_metadata(data), ("image_id",))
    lines = {line["image_id"]: line for _, line in rows}
    held = [lines[image_id] for image_id in image_ids]
    found = {}
    for column, name in _COLUMNS.items():
        if all(column in line for line in held):
            say = _age if name == "age" else _value
            found[name] = np.array([say(line[column]) for line in held])
    return found


def subgroups(
    judged: Judged, threshold: float, groups: Mapping[str, Array]
) -> dict[str, tuple[Subgroup, ...]]:
    """Every group of every division, in the order of ``AGES`` or by size, "unknown" last."""
    return {
        name: tuple(
            _subgroup(judged, threshold, group, of_image == group) for group in _order(of_image)
        )
        for name, of_image in groups.items()
    }


def _order(of_image: Array) -> list[str]:
    names, counts = np.unique(of_image, return_counts=True)
    ages = [label for _, label in AGES]
    return [
        str(name)
        for _, name in sorted(
            zip(-counts, names, strict=True),
            key=lambda found: (
                found[1] == "unknown",
                ages.index(found[1]) if found[1] in ages else len(ages),
                *found,
            ),
        )
    ]


def _subgroup(judged: Judged, threshold: float, name: str, rows: Array) -> Subgroup:
    melanoma, lesions = judged.melanoma[rows], judged.lesion_ids[rows]
    of_truth = [len(np.unique(lesions[truth])) for truth in (melanoma, ~melanoma)]
    values = dict.fromkeys(("roc_auc", "sensitivity", "specificity"), _UNDEFINED)
    bootstrap = Bootstrap(lesions)
    if min(of_truth):
        part = Judged(melanoma, judged.probability[rows], lesions)
        draws = roc_auc(part, bootstrap.image_weights())
        values["roc_auc"] = interval(roc_auc(part), draws, min(of_truth))
        at = rates(part, [threshold], bootstrap)[0]
        values |= {"sensitivity": at.sensitivity, "specificity": at.specificity}
    else:
        refer = judged.probability[rows] >= threshold
        right, rate = (refer, "sensitivity") if melanoma.any() else (~refer, "specificity")
        values[rate] = fractions(right[:, None], np.ones_like(right)[:, None], bootstrap)[0]
    return Subgroup(
        name=name,
        images=int(rows.sum()),
        lesions=len(np.unique(lesions)),
        melanomas=int(melanoma.sum()),
        small=min(of_truth) < FEWEST,
        **values,
    )


def _value(text: str) -> str:
    return text.strip() or "unknown"


def _age(text: str) -> str:
    try:
        years = float(text)
    except ValueError:
        return "unknown"
    return next((label for limit, label in AGES if years < limit), "75 and over")
