"""Measure released models or a run on validation, or once on holdout or on images of other clinics.

Thresholds always come from validation, by the served rule. Knows how to score and what to compare;
the formulas are in ``metrics``, ``agreement`` and ``intervals``.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mel_demo.decision.operating_point import DEFAULT_TARGET, choose
from mel_demo.manifest import Interval, Manifest, ModelSpec, load_manifest, verify_weights
from training.data.measurable import Measurable, Pixels
from training.errors import DataError
from training.files import write_json
from training.learn.run_folder import load_record, load_run
from training.measure.classes import class_metrics
from training.measure.intervals import Bootstrap
from training.measure.metrics import agreement, point_at, summary
from training.measure.scores import Scores, fit_temperature, score_network, score_onnx
from training.provenance import command, git_commit, now, sha256
from training.words import show

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


@dataclass(frozen=True, eq=False)
class Scored:
    """A model's scores on one split, and its threshold at the default target sensitivity."""

    scores: Scores
    threshold: float


def evaluate_weights(
    weights: Path, given: Measurable, split: str = "validation", output: Path | None = None
) -> Evaluation:
    """Measure the exported files at the thresholds of their manifest; prints, and writes JSON.

    Raises DataError when the splits are not the ones the models were trained on: their holdout
    might hold training images.
    """
    manifest = load_weights(weights, given)
    scored = score_weights(manifest, weights, given.pixels(split))
    return _report(measure_scored(split, scored), str(weights), given.splits, output)


def evaluate_run(
    run: Path, given: Measurable, split: str = "validation", output: Path | None = None
) -> Evaluation:
    """Measure a run's best weights in torch.

    Temperature and threshold are chosen on validation either way.

    Raises DataError when the run was trained on other splits.
    """
    record = load_record(run)
    given.check(record.splits_sha256, record.external_sha256, f"the run {run}")
    scored = score_run(run, given, split)
    return _report(measure_scored(split, {record.role: scored}), str(run), given.splits, output)


def load_weights(weights: Path, given: Measurable) -> Manifest:
    """The manifest of ``weights``; DataError unless its models were trained on ``given``."""
    manifest = load_manifest(weights)
    for key, spec in manifest.models.items():
        check_released(spec, given, f"the {key} of {weights}")
    return manifest


def check_released(spec: ModelSpec, given: Measurable, whose: str) -> None:
    """DataError unless ``given`` are the splits, and the images of other clinics, of a model."""
    external = spec.data.external
    given.check(spec.data.splits_sha256, external.sha256 if external else None, whose)


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


def score_run(run: Path, given: Measurable, split: str) -> Scored:
    """Run a run's best weights in torch; temperature and threshold are chosen on validation."""
    network, record = load_run(run)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {}
    for name in dict.fromkeys(("validation", split)):
        pixels = given.pixels(name)
        prepared = pixels.prepared(record.preprocessing)
        found[name] = score_network(network, pixels.images, prepared, record.preprocessing, device)
    temperature = fit_temperature(found["validation"].logits, found["validation"].labels)
    scores = {name: replace(plain, temperature=temperature) for name, plain in found.items()}
    threshold, _ = point_at(scores["validation"].judged(), DEFAULT_TARGET)
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
    _check_same_images(scores)
    metrics = {key: metrics_of(found, thresholds[key]) for key, found in scores.items()}
    return compare(split, scores, thresholds, metrics)


def metrics_of(scores: Scores, threshold: float, target: str = "melanoma") -> dict[str, Interval]:
    """A model's metrics on one split, and those of the seven classes beside melanoma's."""
    judged = scores.judged(target)
    found = summary(judged, threshold, Bootstrap(judged.lesion_ids))
    if target == "melanoma":
        found |= class_metrics(scores.labels, scores.probabilities(), scores.lesion_ids)
    return found


def compare(
    split: str,
    scores: dict[str, Scores],
    thresholds: dict[str, float],
    metrics: dict[str, dict[str, Interval]],
) -> Evaluation:
    """What was measured of some models on one split, and how far they agree.

    Raises DataError when the scores are not of the same images in one order.
    """
    _check_same_images(scores)
    first = next(iter(scores.values()))
    agreed = {}
    if {"teacher", "student"} <= set(scores):
        agreed = agreement(
            scores["teacher"].probabilities(),
            scores["student"].probabilities(),
            thresholds["teacher"],
            thresholds["student"],
            Bootstrap(first.lesion_ids),
        )
    return Evaluation(
        split=split,
        images=len(first.image_ids),
        lesions=len(np.unique(first.lesion_ids)),
        thresholds=thresholds,
        metrics=metrics,
        agreement=agreed,
    )


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


def _check_same_images(scores: dict[str, Scores]) -> None:
    if len({found.image_ids for found in scores.values()}) > 1:
        raise DataError("The models were scored on different images, or in different order.")
