"""Measure released models or a run on validation, or once on holdout, and write what was found.

Thresholds always come from validation, by the served rule. Knows how to score and what to compare;
the formulas are in ``metrics``, ``agreement`` and ``intervals``.
"""

import shlex
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mel_demo.manifest import (
    Interval,
    Manifest,
    Preprocessing,
    load_manifest,
    verify_weights,
)
from mel_demo.operating_point import DEFAULT_TARGET, choose
from training.agreement import agreement
from training.data import Images, prepare_images, read_split
from training.errors import DataError
from training.files import git_commit, sha256, write_json
from training.intervals import Bootstrap
from training.metrics import operating_table, summary
from training.models import load_record, load_run
from training.scores import Scores, score_network, score_onnx
from training.words import show

SPLITS = ("validation", "holdout")
HOLDOUT_NOTE = (
    "Holdout measured: look at it once per released model, and choose nothing by what it says."
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
    """The images of a split, decoded once for each preprocessing that asks for them."""

    def __init__(self, data: Path, splits: Path, split: str):
        if split not in SPLITS:
            raise DataError(f"Split {split!r} cannot be measured: choose {' or '.join(SPLITS)}.")
        self.images: Images = read_split(data, splits, split)
        self._prepared: dict[Preprocessing, np.ndarray] = {}

    def prepared(self, preprocessing: Preprocessing) -> np.ndarray:
        """uint8 (N, S, S, 3), as served."""
        if preprocessing not in self._prepared:
            self._prepared[preprocessing] = prepare_images(self.images, preprocessing)
        return self._prepared[preprocessing]


@dataclass(frozen=True, eq=False)
class Scored:
    """A model's scores on one split, and its threshold at the default target sensitivity."""

    scores: Scores
    threshold: float


def evaluate_weights(
    weights: Path, data: Path, splits: Path, split: str = "validation", output: Path | None = None
) -> Evaluation:
    """Measure the exported files at the thresholds of their manifest; prints, and writes JSON.

    Raises DataError when ``splits`` are not the ones the models were trained on: their holdout
    might hold training images.
    """
    manifest = load_weights(weights, splits)
    scored = score_weights(manifest, weights, Pixels(data, splits, split))
    return _report(measure_scored(split, scored), str(weights), splits, output)


def evaluate_run(
    run: Path, data: Path, splits: Path, split: str = "validation", output: Path | None = None
) -> Evaluation:
    """Measure a run's best weights in torch; the threshold is chosen on validation either way.

    Raises DataError when the run was trained on other splits.
    """
    record = load_record(run)
    check_splits(splits, record.splits_sha256, f"the run {run}")
    scored = score_run(run, pixels_to_judge(data, splits, split), split)
    return _report(measure_scored(split, {record.role: scored}), str(run), splits, output)


def load_weights(weights: Path, splits: Path) -> Manifest:
    """The manifest of ``weights``; DataError unless all its models were trained on ``splits``."""
    manifest = load_manifest(weights)
    for key, spec in manifest.models.items():
        check_splits(splits, str(spec.data.get("splits_sha256")), f"the {key} of {weights}")
    return manifest


def pixels_to_judge(data: Path, splits: Path, split: str) -> dict[str, Pixels]:
    """The images of validation, where thresholds are chosen, and of ``split``."""
    return {name: Pixels(data, splits, name) for name in dict.fromkeys(("validation", split))}


def score_weights(manifest: Manifest, weights: Path, pixels: Pixels) -> dict[str, Scored]:
    """Run every exported file, compared with its SHA-256 before; thresholds are the manifest's."""
    return {
        key: Scored(
            score_onnx(
                verify_weights(spec, weights),
                pixels.images,
                pixels.prepared(spec.preprocessing),
                spec.preprocessing,
                spec.temperature,
            ),
            choose(spec.operating_table, DEFAULT_TARGET).threshold,
        )
        for key, spec in manifest.models.items()
    }


def score_run(run: Path, pixels: dict[str, Pixels], split: str) -> Scored:
    """Run a run's best weights in torch on ``split``; ``pixels`` as of ``pixels_to_judge``."""
    network, record = load_run(run)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scores = {
        name: score_network(
            network,
            found.images,
            found.prepared(record.preprocessing),
            record.preprocessing,
            device,
        )
        for name, found in pixels.items()
    }
    judged = scores["validation"].judged()
    threshold = choose(operating_table(judged, judged), DEFAULT_TARGET).threshold
    return Scored(scores[split], threshold)


def measure_scored(split: str, scored: dict[str, Scored]) -> Evaluation:
    """``measure`` for models that carry their thresholds."""
    return measure(
        split,
        {key: found.scores for key, found in scored.items()},
        {key: found.threshold for key, found in scored.items()},
    )


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
    if found.split == "holdout":
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
