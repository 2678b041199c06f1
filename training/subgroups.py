"""For whom a model works: its holdout metrics by sex, age, body site, confirmation and source.

Knows arrays and the metadata's columns; no model. HAM10000 says nothing of skin tone.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mel_demo.measured import Interval, Subgroup
from training.data import METADATA
from training.intervals import Bootstrap, fractions, interval
from training.metrics import Judged, rates, roc_auc

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


def read_groups(data: Path, image_ids: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Each image's group by division ("sex", "age", "site", "confirmation", "source").

    Columns that the metadata lacks are left out.
    """
    with (Path(data) / METADATA).open(newline="", encoding="utf-8-sig") as file:
        lines = {line["image_id"]: line for line in csv.DictReader(file)}
    held = [lines[image_id] for image_id in image_ids]
    found = {}
    for column, name in _COLUMNS.items():
        if all(column in line for line in held):
            say = _age if name == "age" else _value
            found[name] = np.array([say(line[column]) for line in held])
    return found


def subgroups(
    judged: Judged, threshold: float, groups: Mapping[str, np.ndarray]
) -> dict[str, tuple[Subgroup, ...]]:
    """Every group of every division, in the order of ``AGES`` or by size, "unknown" last."""
    return {
        name: tuple(
            _subgroup(judged, threshold, group, of_image == group) for group in _order(of_image)
        )
        for name, of_image in groups.items()
    }


def _order(of_image: np.ndarray) -> list[str]:
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


def _subgroup(judged: Judged, threshold: float, name: str, rows: np.ndarray) -> Subgroup:
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
