"""Tiny weights whose two models were measured differently.

The tables of tiny_weights are the same for teacher and student: a page that showed one
model's numbers under the other's name would look right. Here the student's thresholds are half the
teacher's (so a mid-grey image is referred by both at target 0.95 and by the student alone at 0.80);
it catches one melanoma less and refers half as many others again.
"""

import json
from pathlib import Path

from tests.support.tiny_weights import MELANOMAS, OTHERS, write_tiny_weights


def write_weights_apart(folder: Path, **options: bool) -> Path:
    """As ``write_tiny_weights``, with its options.

    With ``elsewhere``, the teacher's figures of other clinics and of any skin cancer are the
    student's of the holdout, so that no table stands in for another.
    """
    path = write_tiny_weights(folder, **options) / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    teacher, student = (manifest["models"][key] for key in ("teacher", "student"))
    for index, row in enumerate(student["operating_table"]["rows"]):
        row["threshold"] = round(row["threshold"] / 2, 3)
        row["validation"] |= {"fp": 4 * index, "tn": OTHERS - 4 * index}
        tp, fp = max(index - 1, 0), 3 * index
        fn, tn = MELANOMAS - tp, OTHERS - fp
        rates = {
            "sensitivity": tp / MELANOMAS,
            "specificity": tn / OTHERS,
            "ppv": tp / (tp + fp) if tp + fp else None,
            "npv": tn / (tn + fn),
        }
        row["holdout"] = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
        for name, value in rates.items():
            low, high = (None, None) if value is None else (0.9 * value, 0.9 * value + 0.1)
            row["holdout"][name] = {"value": value, "low": low, "high": high}
        if options.get("elsewhere"):
            teacher["operating_table"]["rows"][index]["external"] = row["holdout"]
            elsewhere = teacher["skin_cancer"]["operating_table"]["rows"][index]
            elsewhere |= {name: row[name] for name in ("threshold", "validation", "holdout")}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return folder
