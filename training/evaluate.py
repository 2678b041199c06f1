"""Measure released models or a run on validation, or once on holdout or on images of other clinics.

Thresholds always come from validation, by the served rule. Knows how to score and what to compare;
the formulas are in ``metrics``, ``agreement`` and ``intervals``.
"""

import shlex
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mel_demo.manifest import Interval, Preprocessing, load_manifest, verify_weights
from mel_demo.operating_point import DEFAULT_TARGET, choose
from training.agreement import agreement
from training.calibrate import fit_temperature
from training.data import Images, prepare_images, read_split
from training.errors import DataError
from training.external import external_images, read_external
from training.files import git_commit, sha256, write_json
from training.intervals import Bootstrap
from training.isic import read_extra
from training.metrics import operating_table, summary
from training.models import load_run
from training.scores import Scores, score_network, score_onnx
from training.words import show

SPLITS = ("validation", "holdout", "external")
HOLDOUT_NOTE = (
    "Measured on images kept aside: look at them once per released model, and choose nothing by "
    "what they say."
)


@dataclass(frozen=True)
class Evaluation:
    """What one split says of some models: ``metrics[model][name]``, ``agreement[name]``."""

    split: str
    images: int
    lesions: int
    thresholds: dict[str, float]
    metrics: dict[str, dict[str, Interval]]
    agreement: dict[str, Interval]


class Pixels:
    """Images, decoded once for each preprocessing that asks for them."""

    def __init__(self, images: Images):
        self.images = images
        self._prepared: dict[Preprocessing, np.ndarray] = {}

    def prepared(self, preprocessing: Preprocessing) -> np.ndarray:
        """uint8 (N, S, S, 3), as served."""
        if preprocessing not in self._prepared:
            self._prepared[preprocessing] = prepare_images(self.images, preprocessing)
        return self._prepared[preprocessing]


@dataclass(frozen=True)
class Measurable:
    """Where measurements come from: HAM10000, its splits, and images of other clinics if given.

    ``isic2017`` and ``external`` (the file of ``training external``) belong together.
    """

    data: Path
    splits: Path
    isic2017: Path | None = None
    external: Path | None = None

    def pixels(self, split: str) -> Pixels:
        """Images of a split; DataError for one that cannot be measured."""
        if split not in SPLITS:
            raise DataError(f"Split {split!r} cannot be measured: choose {' or '.join(SPLITS)}.")
        if split != "external":
            return Pixels(read_split(self.data, self.splits, split))
        if self.isic2017 is None or self.external is None:
            raise DataError(
                "Images of other clinics are measured with both --isic2017 FOLDER and --external "
                "FILE (`python -m training external` makes it)."
            )
        kept_out = read_external(self.external)
        return Pixels(external_images(read_extra(self.isic2017), kept_out))

    def check(self, splits_sha256: str, external_sha256: str | None, whose: str) -> None:
        """DataError unless these are the files of a model: its training may hold other images."""
        check_splits(self.splits, splits_sha256, whose)
        if self.external is None or external_sha256 is None:
            return
        if not self.external.is_file() or sha256(self.external) != external_sha256:
            raise DataError(
                f"{self.external} is not the file that {whose} was trained with "
                f"({external_sha256[:12]}...): its external images may be training images."
            )


def evaluate_weights(
    weights: Path, given: Measurable, split: str = "validation", output: Path | None = None
) -> Evaluation:
    """Measure the exported files at the thresholds of their manifest; prints, and writes JSON.

    Raises DataError when the splits are not the ones the models were trained on: their holdout
    might hold training images.
    """
    manifest = load_manifest(weights)
    for key, spec in manifest.models.items():
        external = (spec.data.get("external") or {}).get("sha256")
        given.check(str(spec.data.get("splits_sha256")), external, f"the {key} of {weights}")
    pixels = given.pixels(split)
    scores, thresholds = {}, {}
    for key, spec in manifest.models.items():
        scores[key] = score_onnx(
            verify_weights(spec, weights),
            pixels.images,
            pixels.prepared(spec.preprocessing),
            spec.preprocessing,
            spec.temperature,
        )
        thresholds[key] = choose(spec.operating_table, DEFAULT_TARGET).threshold
    return _report(measure(split, scores, thresholds), str(weights), given.splits, output)


def evaluate_run(
    run: Path, given: Measurable, split: str = "validation", output: Path | None = None
) -> Evaluation:
    """Measure a run's best weights in torch.

    Temperature and threshold are chosen on validation either way.

    Raises DataError when the run was trained on other splits.
    """
    network, record = load_run(run)
    given.check(record.splits_sha256, record.external_sha256, f"the run {run}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scored = {}
    for name in dict.fromkeys(("validation", split)):
        pixels = given.pixels(name)
        prepared = pixels.prepared(record.preprocessing)
        scored[name] = score_network(network, pixels.images, prepared, record.preprocessing, device)
    temperature = fit_temperature(scored["validation"].logits, scored["validation"].labels)
    scored = {name: replace(found, temperature=temperature) for name, found in scored.items()}
    judged = scored["validation"].judged()
    threshold = choose(operating_table(judged, judged), DEFAULT_TARGET).threshold
    found = measure(split, {record.role: scored[split]}, {record.role: threshold})
    return _report(found, str(run), given.splits, output)


def measure(split: str, scores: dict[str, Scores], thresholds: dict[str, float]) -> Evaluation:
    """Metrics of every model, all with the same resamples, and how far teacher and student agree.

    Raises DataError when the scores are not of the same images in one order.
    """
    first = next(iter(scores.values()))
    if any(other.image_ids != first.image_ids for other in scores.values()):
        raise DataError("The models were scored on different images, or in different order.")
    bootstrap = Bootstrap(first.lesion_ids)
    agreed = {}
    if {"teacher", "student"} <= set(scores):
        agreed = agreement(
            scores["teacher"].probabilities(),
            scores["student"].probabilities(),
            thresholds["teacher"],
            thresholds["student"],
            bootstrap,
        )
    return Evaluation(
        split=split,
        images=len(first.image_ids),
        lesions=len(np.unique(first.lesion_ids)),
        thresholds=thresholds,
        metrics={
            key: summary(found.judged(), thresholds[key], bootstrap)
            for key, found in scores.items()
        },
        agreement=agreed,
    )


def check_splits(splits: Path, wanted: str, whose: str) -> None:
    """DataError unless the splits file is the one with this SHA-256."""
    if not splits.is_file():
        raise DataError(
            f"There is no splits file {splits}. Give the one {whose} was trained on, or make it "
            "again with `python -m training splits`: the same data and seed give the same file."
        )
    found = sha256(splits)
    if found != wanted:
        raise DataError(
            f"{splits} (SHA-256 {found[:12]}...) is not the splits file that {whose} was trained "
            f"on ({wanted[:12]}...): its holdout may hold training images. Give the original file."
        )


def command() -> str:
    """The command line of this process, for the files it writes.

    Absolute paths keep their last part: the rest says nothing to a reader on another machine.
    """
    given = (Path(word).name if Path(word).is_absolute() else word for word in sys.orig_argv[1:])
    return shlex.join(["python", *given])


def now() -> str:
    """UTC date and time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def print_evaluation(found: Evaluation, title: str, console: Console | None = None) -> None:
    """A table of metrics, one column a model, and the agreement below it."""
    console = console or Console()
    models = list(found.metrics)
    table = Table(
        "95 % intervals over lesions",
        *models,
        title=f"{title}: {found.split}, {found.images} images of {found.lesions} lesions",
    )
    for name in found.metrics[models[0]]:
        table.add_row(name, *(show(found.metrics[key][name]) for key in models))
    table.add_row("threshold", *(f"{found.thresholds[key]:.4f}" for key in models))
    console.print(table)
    for name, value in found.agreement.items():
        console.print(f"teacher and student, {name}: {show(value)}", highlight=False)
    if found.split != "validation":
        console.print(HOLDOUT_NOTE, style="yellow")


def _report(found: Evaluation, title: str, splits: Path, output: Path | None) -> Evaluation:
    print_evaluation(found, title)
    if output is not None:
        written = {
            "command": command(),
            "measured": title,
            "git_commit": git_commit(),
            "splits_sha256": sha256(splits),
            "written": now(),
        }
        write_json(output, written | asdict(found))
        Console().print(f"Written to {output}")
    return found
