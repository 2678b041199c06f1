"""Measure released models or a run on validation, or once on holdout or on images of other clinics.

Thresholds always come from validation, by the served rule. Knows how to score and what to compare;
the formulas are in ``metrics`` and ``intervals``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mel_demo.decision.operating_point import DEFAULT_TARGET, choose
from mel_demo.manifest import (
    TARGETS,
    Interval,
    Manifest,
    ModelSpec,
    Target,
    load_manifest,
    verify_weights,
)
from training.data.measurable import Measurable, Pixels
from training.errors import DataError, ExportError
from training.files import write_json
from training.learn.run_folder import load_record, load_run
from training.measure.classes import class_metrics
from training.measure.intervals import Bootstrap
from training.measure.metrics import Judged, agreement, point_at, rates, summary
from training.measure.scores import Scores, fit_temperature, score_network, score_onnx
from training.provenance import command, git_commit, now, sha256
from training.words import SETTINGS, show

HOLDOUT_NOTE = (
    "Measured on images kept aside: look at them once per released model, and choose nothing by "
    "what they say."
)


TOLERANCE, NUDGE = 0.002, 1e-5
AT_THRESHOLD = {"sensitivity_at_95": "sensitivity", "specificity_at_95": "specificity"}


@dataclass(frozen=True)
class Answers:
    """What models do on one of ``manifest.TARGETS``: ``metrics[model][name]``.

    Sensitivity and specificity are those at ``thresholds[model]``.
    """

    thresholds: dict[str, float]
    metrics: dict[str, dict[str, Interval]]


@dataclass(frozen=True)
class Evaluation(Answers):
    """What one split says of some models: of melanoma, of any skin cancer, how far they agree.

    ``skin_cancer``: None where a model's threshold for it is not known.
    """

    split: str
    images: int
    lesions: int
    agreement: dict[str, Interval]
    skin_cancer: Answers | None


@dataclass(frozen=True, eq=False)
class Scored:
    """A model's scores on one split, and its thresholds from validation.

    ``settings[target][sensitivity]``: the threshold of each of SETTINGS, by target.
    """

    scores: Scores
    settings: dict[str, dict[float, float]]

    @property
    def threshold(self) -> float:
        """Melanoma's, at the default target sensitivity."""
        return self.settings["melanoma"][DEFAULT_TARGET]


def evaluate_weights(
    weights: Path, given: Measurable, split: str = "validation", output: Path | None = None
) -> Evaluation:
    """Measure the exported files at the thresholds of their manifest; prints, and writes JSON.

    Raises DataError when the splits are not the ones the models were trained on: their holdout
    might hold training images; afterwards ExportError where the manifest says something else.
    """
    manifest = load_weights(weights, given)
    scored = score_weights(manifest, weights, given.pixels(split))
    found = _report(evaluate_scores(split, scored), str(weights), given.splits, output)
    if differences := differences_from(manifest, found, scored):
        raise ExportError(
            f"{weights} does not do what its manifest says, by more than {TOLERANCE:g} on {split}:"
            + "".join(f"\n- {line}" for line in differences)
            + "\nFetch or export the weights again; INT8 files differ a little between processors."
        )
    written = any(split in spec.metrics for spec in manifest.models.values())
    Console().print(
        f"These are the manifest's figures, to {TOLERANCE:g} (rates also where a probability is "
        f"{NUDGE:g} of itself beside the threshold: processors differ in the last bits)."
        if written
        else f"The manifest has no figures of {split} to compare with."
    )
    return found


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
    return _report(evaluate_scores(split, {record.role: scored}), str(run), given.splits, output)


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
            {
                name: {aim: choose(target.operating_table, aim).threshold for aim in SETTINGS}
                for name, target in targets_of(spec).items()
            },
        )
        for key, spec in manifest.models.items()
    }


def targets_of(spec: ModelSpec) -> dict[str, Target]:
    """The questions that a released model was measured on, by name, melanoma first."""
    return {name: spec.target(name) for name in TARGETS if name == "melanoma" or spec.skin_cancer}


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
    judged = {target: scores["validation"].judged(target) for target in TARGETS}
    settings = {
        target: {aim: point_at(found, aim)[0] for aim in SETTINGS}
        for target, found in judged.items()
    }
    return Scored(scores[split], settings)


def evaluate_scores(split: str, scored: Mapping[str, Scored]) -> Evaluation:
    """Metrics of every model, all with the same resamples, and how far teacher and student agree.

    Raises DataError when the scores are not of the same images in one order.
    """
    scores = {key: found.scores for key, found in scored.items()}
    _check_same_images(scores)
    answers = {}
    for target in TARGETS:
        if all(target in found.settings for found in scored.values()):
            thresholds = {key: x.settings[target][DEFAULT_TARGET] for key, x in scored.items()}
            metrics = {key: metrics_of(x, thresholds[key], target) for key, x in scores.items()}
            answers[target] = Answers(thresholds, metrics)
    return put_together(split, scores, answers)


def metrics_of(scores: Scores, threshold: float, target: str = "melanoma") -> dict[str, Interval]:
    """A model's metrics on one split, and those of the seven classes beside melanoma's."""
    judged = scores.judged(target)
    found = summary(judged, threshold, Bootstrap(judged.lesion_ids))
    if target == "melanoma":
        found |= class_metrics(scores.labels, scores.probabilities(), scores.lesion_ids)
    return found


def put_together(
    split: str, scores: Mapping[str, Scores], answers: Mapping[str, Answers]
) -> Evaluation:
    """What was measured of some models on one split, by target, and how far they agree.

    Raises DataError when the scores are not of the same images in one order.
    """
    melanoma = answers["melanoma"]
    _check_same_images(scores)
    first = next(iter(scores.values()))
    agreed = {}
    if {"teacher", "student"} <= set(scores):
        agreed = agreement(
            scores["teacher"].probabilities(),
            scores["student"].probabilities(),
            melanoma.thresholds["teacher"],
            melanoma.thresholds["student"],
            Bootstrap(first.lesion_ids),
        )
    return Evaluation(
        split=split,
        images=len(first.image_ids),
        lesions=len(np.unique(first.lesion_ids)),
        thresholds=melanoma.thresholds,
        metrics=melanoma.metrics,
        agreement=agreed,
        skin_cancer=answers.get("skin_cancer"),
    )


def differences_from(
    manifest: Manifest, found: Evaluation, scored: Mapping[str, Scored]
) -> list[str]:
    """In words, each figure of the manifest that was not measured again, to TOLERANCE."""
    differences = []

    def compare(name: str, written: Interval, measured: list[Interval]) -> None:
        if not any(_alike(written, interval) for interval in measured):
            again = show(measured[0]) if measured else "not measured"
            differences.append(f"{name}: {show(written)} in the manifest, {again} now")

    for key, spec in manifest.models.items():
        for target, released in targets_of(spec).items():
            answers = found if target == "melanoma" else found.skin_cancer
            metrics = answers.metrics[key] if answers else {}
            threshold = answers.thresholds[key] if answers else 0.0
            for name, written in released.metrics.get(found.split, {}).items():
                measured = [metrics[name]] if name in metrics else []
                if name in AT_THRESHOLD and not (measured and _alike(written, measured[0])):
                    measured += _nudged(scored[key].scores.judged(target), threshold, name)
                compare(f"{key}, {target}, {name}", written, measured)
    for name, written in manifest.agreement.get(found.split, {}).items():
        measured = [found.agreement[name]] if name in found.agreement else []
        compare(f"teacher and student, {name}", written, measured)
    return differences


def _alike(one: Interval, other: Interval) -> bool:
    pairs = ((one.value, other.value), (one.low, other.low), (one.high, other.high))
    return all(
        a == b if a is None or b is None else abs(a - b) <= TOLERANCE + 1e-9 for a, b in pairs
    )


def _nudged(judged: Judged, threshold: float, name: str) -> list[Interval]:
    """A rate of thresholds beside this one.

    A threshold is an image's own probability: on another processor, whose sums differ in the last
    bits, that image may fall below it.
    """
    thresholds = [threshold * (1 - NUDGE), threshold * (1 + NUDGE)]
    found = rates(judged, thresholds, Bootstrap(judged.lesion_ids))
    return [getattr(rate, AT_THRESHOLD[name]) for rate in found]


def print_evaluation(found: Evaluation, title: str, console: Console | None = None) -> None:
    """A table of metrics, one column a model, and the agreement below it."""
    console = console or Console()
    models = list(found.metrics)
    table = Table(
        "95 % intervals over lesions",
        *models,
        title=f"{title}: {found.split}, {found.images} images of {found.lesions} lesions",
    )
    _add_rows(table, found)
    if found.skin_cancer is not None:
        table.add_section()
        table.add_row("any skin cancer (akiec, bcc, mel)")
        _add_rows(table, found.skin_cancer)
    console.print(table)
    for name, value in found.agreement.items():
        console.print(f"teacher and student, {name}: {show(value)}", highlight=False)
    if found.split != "validation":
        console.print(HOLDOUT_NOTE, style="yellow")


def _add_rows(table: Table, found: Answers) -> None:
    for name in next(iter(found.metrics.values())):
        table.add_row(name, *(show(metrics[name]) for metrics in found.metrics.values()))
    table.add_row("threshold", *(f"{threshold:.4f}" for threshold in found.thresholds.values()))


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


def _check_same_images(scores: Mapping[str, Scores]) -> None:
    if len({found.image_ids for found in scores.values()}) > 1:
        raise DataError("The models were scored on different images, or in different order.")
