"""A released file in the manifest's words: what it is and where it came from."""

import json
from collections.abc import Mapping
from pathlib import Path

from mel_demo.manifest import (
    CLASS_NAMES,
    FORMAT,
    MELANOMA,
    Data,
    Elsewhere,
    Latency,
    ModelSpec,
    SplitSizes,
    Target,
    Training,
    plain,
)
from training.data.splits import SPLITS, Row
from training.learn.run_folder import RunRecord
from training.measure.scores import Scores
from training.provenance import sha256

NAME, LICENCE, DOI = "HAM10000", "CC BY-NC 4.0", "10.1038/sdata.2018.161"
LICENCES = {"ISIC 2017": "CC0"}
"""Of images of other clinics; those of the ISIC archive elsewhere are CC BY-NC."""
NOT_TIMED = Latency(milliseconds=0, note="not measured yet")


def describe(
    file: Path,
    record: RunRecord,
    parameters: int,
    temperature: float,
    data: Data,
    targets: Mapping[str, Target],
) -> ModelSpec:
    """The entry of one model, all but its latency. ``targets``: of ``measure_targets``."""
    melanoma = targets["melanoma"]
    return ModelSpec(
        key=record.role,
        file=file.name,
        sha256=sha256(file),
        bytes=file.stat().st_size,
        architecture=record.architecture,
        parameters=parameters,
        recipe=record.recipe_name,
        source_commit=record.git_commit,
        data=data,
        class_names=CLASS_NAMES,
        temperature=temperature,
        preprocessing=record.preprocessing,
        metrics=melanoma.metrics,
        operating_table=melanoma.operating_table,
        evidence=melanoma.evidence,
        skin_cancer=targets["skin_cancer"],
        training=Training(
            epochs=record.epochs,
            best_epoch=record.best_epoch,
            seed=record.seed,
            hours=record.hours,
            hardware=record.hardware,
            init=record.init,
            teacher=record.teacher,
        ),
        latency=NOT_TIMED,
    )


def describe_data(
    rows: list[Row], record: RunRecord, kept_out: Path | None, scores: Mapping[str, Scores]
) -> Data:
    """The data set, its licence, the sizes of its splits, and what else was learned from.

    ``rows``: of the splits file. ``kept_out``: the file that lists images of other clinics.
    ``scores``: by split, those of other clinics where they were measured.
    """
    elsewhere = {
        split: _elsewhere(kept_out, scores[split])
        for split in ("external", "archive")
        if kept_out is not None and split in scores
    }
    by_split = {split: [row for row in rows if row.split == split] for split in SPLITS}
    return Data(
        name=NAME,
        licence=LICENCE,
        doi=DOI,
        splits_sha256=record.splits_sha256,
        images=SplitSizes(**{split: len(found) for split, found in by_split.items()}),
        melanomas=SplitSizes(
            **{split: sum(row.dx == "mel" for row in found) for split, found in by_split.items()}
        ),
        lesions=SplitSizes(
            **{split: len({row.lesion_id for row in found}) for split, found in by_split.items()}
        ),
        more={name: n for name, n in (record.sources or {}).items() if name != NAME},
        **elsewhere,
    )


def _elsewhere(kept_out: Path, scores: Scores) -> Elsewhere:
    sources = ["other clinics"] if scores.sources is None else sorted(set(scores.sources.tolist()))
    licences = dict.fromkeys(LICENCES.get(source, "CC BY-NC") for source in sources)
    return Elsewhere(
        name=" and ".join(sources),
        licence=", ".join(licences),
        sha256=sha256(kept_out),
        images=len(scores.labels),
        melanomas=int((scores.labels == MELANOMA).sum()),
    )


def onnx_metadata(record: RunRecord) -> dict[str, str]:
    """What an ONNX file says of itself; ONNX knows text alone, so lists are JSON."""
    return {
        "format": str(FORMAT),
        "class_names": json.dumps(CLASS_NAMES),
        "preprocessing": json.dumps(plain(record.preprocessing)),
        "architecture": record.architecture,
        "source_commit": record.git_commit,
        "data": f"{NAME}, {LICENCE}, doi {DOI}",
    }
