"""weights/manifest.json as frozen data: what each model is, what it was measured to do.

Reads the file, refuses what does not fit with an error that names the key path, and compares the
weights' files with their recorded size and SHA-256. It does not know what a model computes
(``inference``) nor how the numbers were measured (``training.measure.evaluate``).
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mel_demo.checked_json import Node
from mel_demo.errors import ManifestError, WeightsError
from mel_demo.measured import (
    Evidence,
    Interval,
    MapOverlap,
    OutOfDistribution,
    read_evidence,
    read_interval,
    read_map_overlap,
    read_ood,
)

FORMAT = 1
FILE_NAME = "manifest.json"
CLASS_NAMES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
MELANOMA = CLASS_NAMES.index("mel")
MODEL_KEYS = ("teacher", "student", "student_int8")
REQUIRED_MODELS = ("teacher", "student")
METRIC_NAMES = (
    "roc_auc",
    "average_precision",
    "ece",
    "brier",
    "sensitivity_at_95",
    "specificity_at_95",
)
# A rate is written with the counts it comes from; more than rounding between them is a mistake.
_RATE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a model's input: see ``images.prepare`` and ``images.normalise``.

    ``size``: side of the square input in pixels. ``max_aspect_ratio``: longer to shorter side of
    the centre crop, at least 1. ``mean``, ``std``: per RGB channel, of values scaled to 0..1.
    """

    size: int
    max_aspect_ratio: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Counts:
    """Images by decision and truth at one threshold; positive means melanoma."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def melanomas(self) -> int:
        return self.tp + self.fn

    @property
    def others(self) -> int:
        return self.fp + self.tn

    @property
    def images(self) -> int:
        return self.melanomas + self.others


@dataclass(frozen=True)
class Rates:
    """What one threshold yields, each 0..1 with its interval."""

    sensitivity: Interval
    specificity: Interval
    ppv: Interval
    npv: Interval


@dataclass(frozen=True)
class OperatingRow:
    """One threshold (0..1, refer when probability >= threshold) and what it does."""

    threshold: float
    validation: Counts
    holdout: Counts
    holdout_rates: Rates


@dataclass(frozen=True)
class Lesions:
    """Distinct lesions of a split: several images may show one lesion."""

    melanoma: int
    other: int


@dataclass(frozen=True)
class OperatingTable:
    """Thresholds in strictly descending order; the last one catches every validation melanoma."""

    rule: str
    rows: tuple[OperatingRow, ...]
    validation_lesions: Lesions
    holdout_lesions: Lesions


@dataclass(frozen=True)
class ModelSpec:
    """One released model. ``metrics[split][name]`` for the splits validation and holdout, and
    ``external`` where images of other clinics were measured. ``evidence``: what the page's figures
    show, where it was measured. ``ood``: where the file also says how far an image is from those
    it learned from, what that distance means."""

    key: str
    file: str
    sha256: str
    bytes: int
    architecture: str
    parameters: int
    recipe: str
    source_commit: str
    class_names: tuple[str, ...]
    temperature: float
    preprocessing: Preprocessing
    metrics: dict[str, dict[str, Interval]]
    operating_table: OperatingTable
    data: dict[str, Any]
    training: dict[str, Any]
    latency: dict[str, Any]
    evidence: Evidence | None = None
    ood: OutOfDistribution | None = None


@dataclass(frozen=True)
class Manifest:
    """All released models by key, and how far they agree: ``agreement[split][name]``.

    ``map_overlap``: how far the maps of teacher and student do, where that was measured.
    """

    format: int
    created: str
    models: dict[str, ModelSpec]
    agreement: dict[str, dict[str, Interval]]
    map_overlap: MapOverlap | None = None


def load_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``.

    Raises ManifestError, naming the key path, for a file that is missing or has a missing key, a
    wrong type, a number out of range, or counts that contradict each other. Unknown keys pass:
    a later version may add some without a new format.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(
            f"{path}: {error.strerror}. Name a folder that holds {FILE_NAME} and the models "
            "(option --weights or environment variable MEL_WEIGHTS), or fetch the repository again."
        ) from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text. Fetch or export it again.") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path} is not JSON ({error}). Fetch or export it again.") from error
    try:
        return _manifest(Node(content, ""))
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from None


def verify_weights(spec: ModelSpec, folder: Path) -> Path:
    """Path of the model's file, after comparing its size and then its SHA-256 with the manifest.

    Raises WeightsError when the file is missing or differs.
    """
    path = folder / spec.file
    try:
        size = path.stat().st_size
        if size != spec.bytes:
            raise WeightsError(
                f"{path} has {size} bytes, the manifest says {spec.bytes}. {_way_out(path)}"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{path}: {error.strerror}. Fetch the weights again, or export them with "
            "`python -m training export`."
        ) from error
    if digest != spec.sha256:
        raise WeightsError(
            f"{path} has SHA-256 {digest[:12]}..., the manifest says {spec.sha256[:12]}.... "
            f"{_way_out(path)}"
        )
    return path


def _way_out(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(40)
    if start.startswith(b"version https://git-lfs"):
        return "It is a Git LFS pointer: run `git lfs pull`."
    return "It is not the file that was measured: fetch or export manifest and weights together."


def _manifest(root: Node) -> Manifest:
    version = root["format"].integer(low=1)
    if version > FORMAT:
        raise ManifestError(
            f"format: {version} is newer than {FORMAT}, the newest this version reads. "
            "Update mel_demo, or use weights exported by this version."
        )
    models = {}
    for key, node in root["models"].items():
        if key not in MODEL_KEYS:
            raise ManifestError(f"{node.path}: unknown model; known are {', '.join(MODEL_KEYS)}.")
        models[key] = _model(key, node)
    for key in REQUIRED_MODELS:
        root["models"][key]  # refuses when it is missing
    agreement = {split: _metrics(node) for split, node in root["agreement"].items()}
    # One order everywhere, whatever the file's: the page and the table show it.
    ordered = {key: models[key] for key in MODEL_KEYS if key in models}
    maps = read_map_overlap(root["map_overlap"]) if "map_overlap" in root.mapping() else None
    return Manifest(version, root["created"].text(), ordered, agreement, maps)


def _model(key: str, node: Node) -> ModelSpec:
    file = node["file"].text()
    # The name is joined to a folder: a path in it could lead out of that folder.
    if Path(file).name != file or file == ".." or "\\" in file:
        raise node["file"].refuse("a plain file name")
    sha256 = node["sha256"].text()
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise node["sha256"].refuse("64 hexadecimal digits in lower case")
    class_names = tuple(item.text() for item in node["class_names"].elements())
    if class_names != CLASS_NAMES:
        raise node["class_names"].refuse(f"the classes {', '.join(CLASS_NAMES)} in this order")
    temperature = node["temperature"].number()
    if temperature <= 0:
        raise node["temperature"].refuse("greater than 0")
    table = _operating_table(node["operating_table"])
    _check_data(node["data"], table)
    metrics = {}
    for split in ("validation", "holdout"):
        metrics[split] = _metrics(node["metrics"][split])
        for name in METRIC_NAMES:
            node["metrics"][split][name]  # refuses when it is missing
    if "external" in node["metrics"].mapping():
        metrics["external"] = _metrics(node["metrics"]["external"])
    return ModelSpec(
        key=key,
        file=file,
        sha256=sha256,
        bytes=node["bytes"].integer(low=1),
        architecture=node["architecture"].text(),
        parameters=node["parameters"].integer(low=1),
        recipe=node["recipe"].text(),
        source_commit=node["source_commit"].text(),
        class_names=class_names,
        temperature=temperature,
        preprocessing=_preprocessing(node["preprocessing"]),
        metrics=metrics,
        operating_table=table,
        data=node["data"].mapping(),
        training=node["training"].mapping(),
        latency=node["latency"].mapping(),
        evidence=read_evidence(node["evidence"]) if "evidence" in node.mapping() else None,
        ood=read_ood(node["ood"]) if "ood" in node.mapping() else None,
    )


def _preprocessing(node: Node) -> Preprocessing:
    if node["resample"].text() != "bilinear":
        raise node["resample"].refuse("'bilinear', the only resampling this version knows")
    std = tuple(item.number() for item in node["std"].elements(3))
    if min(std) <= 0:
        raise node["std"].refuse("three numbers greater than 0")
    return Preprocessing(
        size=node["size"].integer(low=1),
        max_aspect_ratio=node["max_aspect_ratio"].number(low=1),
        mean=tuple(item.number() for item in node["mean"].elements(3)),
        std=std,
    )


def _metrics(node: Node) -> dict[str, Interval]:
    return {name: read_interval(item) for name, item in node.items()}


def _operating_table(node: Node) -> OperatingTable:
    nodes = node["rows"].elements()
    if not nodes:
        raise node["rows"].refuse("a list of at least one row")
    rows = tuple(_row(item) for item in nodes)
    for before, after, item in zip(rows, rows[1:], nodes[1:], strict=False):
        _check_order(before, after, item)
    if rows[-1].validation.fn:
        raise nodes[-1]["validation"]["fn"].refuse(
            "0: the last threshold must catch every validation melanoma"
        )
    lesions = {split: _lesions(node["lesions"][split]) for split in ("validation", "holdout")}
    return OperatingTable(node["rule"].text(), rows, lesions["validation"], lesions["holdout"])


def _check_order(before: OperatingRow, after: OperatingRow, node: Node) -> None:
    if after.threshold >= before.threshold:
        raise node["threshold"].refuse(
            f"below the threshold before it ({before.threshold!r}): rows descend"
        )
    for split in ("validation", "holdout"):
        old, new = getattr(before, split), getattr(after, split)
        if (new.melanomas, new.others) != (old.melanomas, old.others):
            raise node[split].refuse(
                f"of the same images as the row before it: tp + fn = {old.melanomas} and "
                f"fp + tn = {old.others}"
            )
        if new.tp < old.tp or new.fp < old.fp:
            raise node[split].refuse("at least the tp and fp of the higher threshold before it")


def _row(node: Node) -> OperatingRow:
    validation, holdout = _counts(node["validation"]), _counts(node["holdout"])
    rates = {}
    for name, part, whole in (
        ("sensitivity", holdout.tp, holdout.melanomas),
        ("specificity", holdout.tn, holdout.others),
        ("ppv", holdout.tp, holdout.tp + holdout.fp),
        ("npv", holdout.tn, holdout.tn + holdout.fn),
    ):
        item = node["holdout"][name]
        rates[name] = read_interval(item, 0, 1)
        value = rates[name].value
        if (value is None) != (whole == 0) or (
            value is not None and abs(value - part / whole) > _RATE_TOLERANCE
        ):
            fraction = f"{part} of {whole}" if whole else "null, as nothing is there to divide by"
            raise item["value"].refuse(f"what the counts beside it say ({fraction})")
    return OperatingRow(node["threshold"].number(0, 1), validation, holdout, Rates(**rates))


def _counts(node: Node) -> Counts:
    counts = Counts(**{name: node[name].integer() for name in ("tp", "fp", "fn", "tn")})
    if counts.melanomas == 0 or counts.others == 0:
        raise node.refuse("counts with at least one melanoma and one other image")
    return counts


def _lesions(node: Node) -> Lesions:
    return Lesions(node["melanoma"].integer(low=1), node["other"].integer(low=1))


def _check_data(node: Node, table: OperatingTable) -> None:
    """The page names the data and its licence; the split sizes must be those of the table."""
    node["name"].text()
    node["licence"].text()
    for split in ("validation", "holdout"):
        counts = getattr(table.rows[0], split)
        for name, number in (("images", counts.images), ("melanomas", counts.melanomas)):
            item = node[name][split]
            if item.integer() != number:
                raise item.refuse(f"{number}, the number in operating_table.rows[0].{split}")
