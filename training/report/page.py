"""One page about a run, a pair of runs or the released files: figures, mistakes, where from.

Markdown, with the figures in a folder beside it. Thumbnails of mistakes are for the researcher's
own use: the data set's images may not be redistributed. Knows the page; the numbers come from
``gather``, the figures from ``sections``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import yaml
from PIL import Image
from rich.console import Console

from mel_demo.manifest import CLASS_NAMES, TARGETS, ModelSpec
from training.data.measurable import Measurable
from training.data.splits import SPLITS
from training.errors import TrainingError
from training.files import replacing, write_text
from training.learn.run_folder import RunRecord
from training.measure.evaluate import HOLDOUT_NOTE, Answers
from training.measure.intervals import Bootstrap
from training.measure.metrics import rates
from training.provenance import command, git_commit, now, sha256, short_name
from training.release.described import DOI, LICENCE, NAME
from training.report import svg
from training.report.gather import Gathered, gather
from training.report.plots import CALLED
from training.report.sections import class_counts, listed, sections, worst
from training.words import (
    AGREEMENT,
    CLASS_METRICS,
    DIAGNOSES,
    METRICS,
    PERCENT,
    SETTINGS,
    TARGET_METRICS,
    megabytes,
    percent,
    show,
)

WORST = 6
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Shown:
    """An image among the mistakes. ``said``: (key, model, probability in words, referred)."""

    image_id: str
    diagnosis: str
    said: tuple[tuple[str, str, str, bool], ...]
    thumbnail: str | None


def write_report(
    output: Path,
    given: Measurable,
    runs: dict[str, Path],
    weights: Path | None = None,
    split: str = "validation",
    images: bool = False,
    count: int = WORST,
) -> None:
    """Write the page of ``weights``, or without them of ``runs`` (folders by role).

    ``output``: a name ending in .md; figures go to a folder of that name without suffix.
    ``images``: thumbnails of the worst mistakes go there too. ``count``: mistakes of each kind.
    Raises TrainingError for another suffix, and as ``gather``; nothing is written then.
    """
    if output.suffix != ".md":
        raise TrainingError(
            f"{output} ends in {output.suffix or 'nothing'!r}: the page is Markdown, with its "
            "figures in a folder beside it. Give a name that ends in .md."
        )
    if not runs and weights is None:
        raise TrainingError("Nothing to report on: give --teacher, --student or --weights.")
    if count < 1:
        raise TrainingError(f"{count} mistakes of each kind cannot be shown: give 1 or more.")
    gathered = gather(runs, weights, given, split)
    folder = output.with_suffix("")
    page = _content(gathered, runs, weights, given.splits, folder if images else None, count)
    for section in page["sections"]:
        for panel in section.panels:
            file = folder / f"{panel.name}.svg"
            write_text(file, svg.standalone(panel.figure, panel.name, panel.alt))
            page["figures"][panel.name] = f"{folder.name}/{file.name}"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=False,  # Markdown, in which only the alternative texts are HTML
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    write_text(output, environment.get_template("report.md").render(page))
    console = Console(highlight=False)
    if split == "holdout":
        console.print(HOLDOUT_NOTE, style="yellow")
    console.print(f"Written to {output} ({megabytes(output.stat().st_size)} MB)", soft_wrap=True)


def _content(
    gathered: Gathered,
    runs: dict[str, Path],
    weights: Path | None,
    splits: Path,
    thumbnails: Path | None,
    count: int,
) -> dict[str, Any]:
    """What the template shows; ``thumbnails``: folder that they are written to, if at all."""
    found, keys = gathered.evaluation, list(gathered.scored)
    judged = next(iter(gathered.scored.values())).scores.judged()
    title = listed([CALLED[key] for key in keys])
    return {
        "title": f"{title[0].upper()}{title[1:]} on {found.split}",
        "split": found.split,
        "split_size": f"{found.images} images ({int(judged.melanoma.sum())} melanomas) of "
        f"{found.lesions} lesions",
        "holdout_note": HOLDOUT_NOTE if found.split == "holdout" else None,
        "models": [(key, CALLED[key], _architecture(gathered, key)) for key in keys],
        "metrics": _rows(found, METRICS),
        "classes_measured": _rows(found, CLASS_METRICS),
        "skin_cancer": _rows(found.skin_cancer, TARGET_METRICS["skin_cancer"]),
        "settings": {target: _settings(gathered, target) for target in TARGETS},
        "agreement": [
            (words, show(found.agreement[name], name in PERCENT))
            for name, words in AGREEMENT.items()
            if name in found.agreement
        ],
        "sections": sections(gathered),
        "figures": {},
        "splits": SPLITS,
        "classes": _class_rows(gathered),
        "without_curves": not gathered.histories,
        "mistakes": _mistakes(gathered, count, thumbnails),
        "images": thumbnails is not None,
        "licence": f"{NAME}, Tschandl et al. 2018, doi {DOI}, {LICENCE}",
        "origin": [
            ("Command", command()),
            ("Git commit", git_commit()),
            ("Written", now()),
            ("Splits", f"{splits.name}, SHA-256 {sha256(splits)}"),
        ],
        "sources": _sources(gathered, runs, weights),
    }


def _rows(found: Answers | None, wanted: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Each of the metrics ``wanted`` that was measured, in words, with every model's value."""
    metrics = list(found.metrics.values()) if found else []
    return [
        (words, [show(of[name], name in PERCENT) for of in metrics])
        for name, words in wanted.items()
        if metrics and name in metrics[0]
    ]


def _settings(gathered: Gathered, target: str) -> list[tuple[str, list[str]]]:
    """At each setting every model's sensitivity and specificity; empty where they are not known."""
    columns = []
    for found in gathered.scored.values():
        if target not in found.settings:
            return []
        judged = found.scores.judged(target)
        thresholds = [found.settings[target][aim] for aim in SETTINGS]
        columns.append(
            [
                f"{show(rate.sensitivity, True)}, {show(rate.specificity, True)}"
                for rate in rates(judged, thresholds, Bootstrap(judged.lesion_ids))
            ]
        )
    return [
        (f"{100 * aim:g} %", list(cells)) for aim, *cells in zip(SETTINGS, *columns, strict=True)
    ]


def _architecture(gathered: Gathered, key: str) -> str:
    if gathered.manifest is not None:
        return gathered.manifest.models[key].architecture
    return gathered.records[key].architecture


def _class_rows(gathered: Gathered) -> list[tuple[str, list[str]]]:
    """Each class, and all, with "images / lesions" of each split."""
    found = class_counts(gathered.rows)
    rows = [
        (dx, [f"{found[split][dx][0]} / {found[split][dx][1]}" for split in SPLITS])
        for dx in CLASS_NAMES
    ]
    sums = (np.sum(list(found[split].values()), axis=0) for split in SPLITS)
    return [*rows, ("all", [f"{images} / {lesions}" for images, lesions in sums])]


def _mistakes(gathered: Gathered, count: int, thumbnails: Path | None) -> list[dict[str, Any]]:
    """For each model its worst mistakes, each with what every model said of it."""
    scores = {key: found.scores for key, found in gathered.scored.items()}
    judged = {key: found.judged() for key, found in scores.items()}
    thresholds = gathered.evaluation.thresholds
    first = next(iter(scores.values()))
    pixels = None
    if thumbnails is not None:
        preprocessing = (
            next(iter(gathered.manifest.models.values()))
            if gathered.manifest is not None
            else next(iter(gathered.records.values()))
        ).preprocessing
        pixels = gathered.pixels.prepared(preprocessing)

    def shown(row: int) -> Shown:
        said = []
        for key, found in judged.items():
            probability = float(found.probability[row])
            said.append((key, CALLED[key], percent(probability), probability >= thresholds[key]))
        return Shown(
            image_id=first.image_ids[row],
            diagnosis=DIAGNOSES[CLASS_NAMES[first.labels[row]]],
            said=tuple(said),
            thumbnail=None
            if pixels is None or thumbnails is None
            else _thumbnail(pixels[row], thumbnails / f"{first.image_ids[row]}.jpg"),
        )

    listed = []
    for key, found in judged.items():
        rows = worst(found, count)
        missed = int((found.probability[found.melanoma] < thresholds[key]).sum())
        alarmed = int((found.probability[~found.melanoma] >= thresholds[key]).sum())
        listed.append(
            {
                "key": key,
                "model": CALLED[key],
                "threshold": percent(thresholds[key]),
                "lists": (
                    (
                        "Melanomas given the lowest probability",
                        f"{missed} of {int(found.melanoma.sum())} are below the threshold.",
                        [shown(row) for row in rows.missed],
                    ),
                    (
                        "Others given the highest probability",
                        f"{alarmed} of {int((~found.melanoma).sum())} are referred.",
                        [shown(row) for row in rows.alarmed],
                    ),
                ),
            }
        )
    return listed


def _thumbnail(pixels: np.ndarray, path: Path) -> str:
    """Write the view a model sees, uint8 (S, S, 3); how the page names it."""
    with replacing(path) as file:
        Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return f"{path.parent.name}/{path.name}"


def _sources(
    gathered: Gathered, runs: dict[str, Path], weights: Path | None
) -> list[dict[str, Any]]:
    """Where each model comes from: rows of name and value, and the whole recipe if known."""
    listed = []
    for key, scored in gathered.scored.items():
        record = gathered.records.get(key)
        rows = (
            _released_rows(gathered.manifest.models[key])
            if gathered.manifest is not None
            else _run_rows(gathered.records[key], runs[key])
        )
        recipe = yaml.safe_dump(record.recipe, sort_keys=False) if record is not None else None
        rows.append(("Threshold", f"{scored.threshold:.6f}"))
        rows.append(("Temperature", f"{scored.scores.temperature:g}"))
        listed.append({"key": key, "model": CALLED[key], "rows": rows, "recipe": recipe})
    return listed


def _run_rows(record: RunRecord, folder: Path) -> list[tuple[str, str]]:
    return [
        ("Run", short_name(folder)),
        ("Architecture", record.architecture),
        ("Recipe", record.recipe_name),
        ("Trained at commit", record.git_commit),
        ("Starting weights", record.init),
        (
            "Learned from",
            ", ".join(f"{count:,} images of {name}" for name, count in record.sources.items())
            if record.sources
            else "not recorded",
        ),
        ("Teachers", record.teacher or "none"),
        ("Epochs", f"{record.epochs}, kept: {record.best_epoch}"),
        ("Seed", str(record.seed)),
        ("Time", f"{record.hours:g} h on {record.hardware}"),
    ]


def _released_rows(spec: ModelSpec) -> list[tuple[str, str]]:
    training = spec.training
    return [
        ("File", f"{spec.file}, {megabytes(spec.bytes)} MB, SHA-256 {spec.sha256}"),
        ("Architecture", f"{spec.architecture}, {spec.parameters:,} parameters"),
        ("Recipe", spec.recipe),
        ("Trained at commit", spec.source_commit),
        ("Starting weights", training.init),
        ("Epochs", f"{training.epochs}, kept: {training.best_epoch or 'not recorded'}"),
        ("Seed", str(training.seed)),
        ("Time", f"{training.hours} h on {training.hardware}"),
    ]
