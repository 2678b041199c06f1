"""What was measured, as the plain values of weights/manifest.json (read by ``mel_demo.manifest``).

A few of them also go into each ONNX file, so that it says by itself what it is.
Knows the file's layout and nothing of how its numbers came about.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mel_demo.manifest import CLASS_NAMES, FORMAT, MELANOMA, Interval, OperatingTable, Preprocessing
from mel_demo.measured import Evidence, Faithfulness, OutOfDistribution
from training.data.splits import SPLITS, Row
from training.learn.run_folder import RunRecord
from training.measure.evaluate import Evaluation
from training.measure.scores import Scores
from training.provenance import sha256

NAME, LICENCE, DOI = "HAM10000", "CC BY-NC 4.0", "10.1038/sdata.2018.161"


def model_entry(
    file: Path,
    record: RunRecord,
    parameters: int,
    data: dict,
    temperature: float,
    evaluations: list[Evaluation],
    table: OperatingTable,
) -> dict:
    """One model's entry, all but its latency. ``data``: of ``data_entry``."""
    return {
        "file": file.name,
        "sha256": sha256(file),
        "bytes": file.stat().st_size,
        "architecture": record.architecture,
        "parameters": parameters,
        "recipe": record.recipe_name,
        "source_commit": record.git_commit,
        "data": data,
        "class_names": list(CLASS_NAMES),
        "temperature": temperature,
        "preprocessing": preprocessing_entry(record.preprocessing),
        "metrics": {found.split: intervals(found.metrics[record.role]) for found in evaluations},
        "operating_table": table_entry(table),
        "training": {
            "epochs": record.epochs,
            "best_epoch": record.best_epoch,
            "seed": record.seed,
            "hours": record.hours,
            "hardware": record.hardware,
            "init": record.init,
            "teacher": record.teacher,
        },
    }


def onnx_metadata(record: RunRecord) -> dict[str, str]:
    """What an ONNX file says of itself; ONNX knows text alone, so lists are JSON."""
    return {
        "format": str(FORMAT),
        "class_names": json.dumps(CLASS_NAMES),
        "preprocessing": json.dumps(preprocessing_entry(record.preprocessing)),
        "architecture": record.architecture,
        "source_commit": record.git_commit,
        "data": f"{NAME}, {LICENCE}, doi {DOI}",
    }


def data_entry(rows: list[Row], record: RunRecord) -> dict:
    """The data set, its licence, the sizes of its splits, and what else was learned from.

    ``rows``: of the splits file.
    """
    by_split = {split: [row for row in rows if row.split == split] for split in SPLITS}
    return {
        "name": NAME,
        "licence": LICENCE,
        "doi": DOI,
        "splits_sha256": record.splits_sha256,
        "images": {split: len(found) for split, found in by_split.items()},
        "melanomas": {s: sum(row.dx == "mel" for row in found) for s, found in by_split.items()},
        "lesions": {s: len({row.lesion_id for row in found}) for s, found in by_split.items()},
        "more": {name: n for name, n in (record.sources or {}).items() if name != NAME},
    }


def external_entry(path: Path | None, scores: Scores | None) -> dict:
    """Which images of other clinics were measured; nothing where none were."""
    if path is None or scores is None:
        return {}
    return {
        "external": {
            "name": "ISIC 2017",
            "licence": "CC0",
            "sha256": sha256(path),
            "images": len(scores.labels),
            "melanomas": int((scores.labels == MELANOMA).sum()),
        }
    }


def preprocessing_entry(preprocessing: Preprocessing) -> dict:
    """How an image becomes the input; read back by ``mel_demo.manifest``."""
    return {
        "size": preprocessing.size,
        "max_aspect_ratio": preprocessing.max_aspect_ratio,
        "resample": "bilinear",
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }


def table_entry(table: OperatingTable) -> dict:
    """Thresholds unrounded: a rounded one might not refer the melanoma it came from."""
    return {
        "rule": table.rule,
        "lesions": {
            "validation": asdict(table.validation_lesions),
            "holdout": asdict(table.holdout_lesions),
        },
        "rows": [
            {
                "threshold": row.threshold,
                "validation": asdict(row.validation),
                "holdout": asdict(row.holdout)
                | {
                    name: interval_entry(getattr(row.holdout_rates, name))
                    for name in ("sensitivity", "specificity", "ppv", "npv")
                },
            }
            for row in table.rows
        ],
    }


def intervals(values: dict[str, Interval]) -> dict:
    """Named intervals, e.g. the metrics of one split."""
    return {name: interval_entry(value) for name, value in values.items()}


def ood_entry(found: OutOfDistribution) -> dict:
    """Which images are refused. The threshold unrounded, so that the counts stay those served."""
    counts = {
        name: {key: asdict(value) | {"rate": interval_entry(value.rate)} for key, value in rows}
        for name, rows in (
            ("dermoscopy", found.dermoscopy.items()),
            ("others", found.others.items()),
        )
    }
    return asdict(found) | counts


def evidence_entry(found: Evidence) -> dict:
    """What the page's figures show. The band's edges stay unrounded, as thresholds do."""
    entry = _rounded(asdict(found))
    entry["conformal"] |= {
        "melanoma": list(found.conformal.melanoma),
        "other_upper": found.conformal.other_upper,
    }
    if found.faithfulness is None:
        del entry["faithfulness"]
    return entry


def faithfulness_entry(found: Faithfulness) -> dict:
    """What `training explain` measured of one model's maps."""
    return _rounded(asdict(found))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def interval_entry(interval: Interval) -> dict:
    """Six digits: far below any interval's width, and readable."""
    return {
        name: None if value is None else round(value, 6) for name, value in asdict(interval).items()
    }
