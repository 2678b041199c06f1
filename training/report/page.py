"""One page about a run, a pair of runs or the released files: figures, mistakes, where from.

HTML is one file for the researcher's own use; Markdown, with the figures in a folder beside it, is
for publishing and never holds an image of the data set. Knows the page; the numbers come from
``findings``, the figures from ``panels``.
"""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import yaml
from markupsafe import Markup
from PIL import Image
from rich.console import Console

from mel_demo.manifest import CLASS_NAMES, ModelSpec
from training.data.measurable import Measurable
from training.data.splits import SPLITS
from training.errors import TrainingError
from training.files import write_text
from training.learn.run_folder import RunRecord
from training.measure.evaluate import HOLDOUT_NOTE
from training.provenance import command, git_commit, now, sha256, short_name
from training.release.folder import DOI, LICENCE, NAME
from training.report import svg
from training.report.gather import Findings, gather
from training.report.plots import NAMES
from training.report.sections import class_counts, listed, sections, worst
from training.words import AGREEMENT, DIAGNOSES, METRICS, PERCENT, megabytes, percent, show

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
    images: bool = True,
    count: int = WORST,
) -> None:
    """Write the page of ``weights``, or without them of ``runs`` (folders by role).

    ``output``: a name ending in .html, or in .md, whose figures go to a folder of that name
    without suffix. ``images``: embed thumbnails of the worst mistakes (HTML alone). ``count``:
    mistakes of each kind. Raises TrainingError for another suffix, and as ``gather``; nothing is
    written then.
    """
    if output.suffix not in (".html", ".md"):
        raise TrainingError(
            f"{output} ends in {output.suffix or 'nothing'!r}: the page is written as .html, with "
            "everything in one file, or as .md, with figures in a folder beside it."
        )
    if not runs and weights is None:
        raise TrainingError("Nothing to report on: give --teacher, --student or --weights.")
    if count < 1:
        raise TrainingError(f"{count} mistakes of each kind cannot be shown: give 1 or more.")
    findings = gather(runs, weights, given, split)
    html = output.suffix == ".html"
    page = _content(findings, runs, weights, given.splits, images and html, count)
    folder = output.with_suffix("")
    for section in page["sections"]:
        for panel in section.panels:
            if html:
                page["figures"][panel.name] = Markup(
                    svg.inline(panel.figure, panel.name, panel.alt)
                )
            else:
                file = folder / f"{panel.name}.svg"
                write_text(file, svg.standalone(panel.figure, panel.name, panel.alt))
                page["figures"][panel.name] = f"{folder.name}/{file.name}"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    write_text(output, environment.get_template(f"report{output.suffix}").render(page))
    console = Console(highlight=False)
    if split == "holdout":
        console.print(HOLDOUT_NOTE, style="yellow")
    console.print(f"Written to {output} ({megabytes(output.stat().st_size)} MB)", soft_wrap=True)


def _content(
    findings: Findings,
    runs: dict[str, Path],
    weights: Path | None,
    splits: Path,
    images: bool,
    count: int,
) -> dict:
    """What both templates show."""
    found, keys = findings.evaluation, list(findings.scored)
    judged = next(iter(findings.scored.values())).scores.judged()
    title = listed([NAMES[key] for key in keys])
    return {
        "title": f"{title[0].upper()}{title[1:]} on {found.split}",
        "split": found.split,
        "split_size": f"{found.images} images ({int(judged.melanoma.sum())} melanomas) of "
        f"{found.lesions} lesions",
        "holdout_note": HOLDOUT_NOTE if found.split == "holdout" else None,
        "models": [(key, NAMES[key], _architecture(findings, key)) for key in keys],
        "metrics": [
            (words, [show(found.metrics[key][name], name in PERCENT) for key in keys])
            for name, words in METRICS.items()
        ],
        "agreement": [
            (words, show(found.agreement[name], name in PERCENT))
            for name, words in AGREEMENT.items()
            if name in found.agreement
        ],
        "sections": sections(findings),
        "figures": {},
        "splits": SPLITS,
        "classes": _class_rows(findings),
        "without_curves": not findings.histories,
        "mistakes": _mistakes(findings, count, images),
        "images": images,
        "licence": f"{NAME}, Tschandl et al. 2018, doi {DOI}, {LICENCE}",
        "origin": [
            ("Command", command()),
            ("Git commit", git_commit()),
            ("Written", now()),
            ("Splits", f"{splits.name}, SHA-256 {sha256(splits)}"),
        ],
        "sources": _sources(findings, runs, weights),
    }


def _architecture(findings: Findings, key: str) -> str:
    if findings.manifest is not None:
        return findings.manifest.models[key].architecture
    return findings.records[key].architecture


def _class_rows(findings: Findings) -> list[tuple[str, list[str]]]:
    """Each class, and all, with "images / lesions" of each split."""
    found = class_counts(findings.rows)
    rows = [
        (dx, [f"{found[split][dx][0]} / {found[split][dx][1]}" for split in SPLITS])
        for dx in CLASS_NAMES
    ]
    sums = (np.sum(list(found[split].values()), axis=0) for split in SPLITS)
    return [*rows, ("all", [f"{images} / {lesions}" for images, lesions in sums])]


def _mistakes(findings: Findings, count: int, images: bool) -> list[dict]:
    """For each model its worst mistakes, each with what every model said of it."""
    scores = {key: found.scores for key, found in findings.scored.items()}
    judged = {key: found.judged() for key, found in scores.items()}
    thresholds = findings.evaluation.thresholds
    first = next(iter(scores.values()))
    pixels = None
    if images:
        preprocessing = (
            next(iter(findings.manifest.models.values()))
            if findings.manifest is not None
            else next(iter(findings.records.values()))
        ).preprocessing
        pixels = findings.pixels.prepared(preprocessing)

    def shown(row: int) -> Shown:
        said = []
        for key, found in judged.items():
            probability = float(found.probability[row])
            said.append((key, NAMES[key], percent(probability), probability >= thresholds[key]))
        return Shown(
            image_id=first.image_ids[row],
            diagnosis=DIAGNOSES[CLASS_NAMES[first.labels[row]]],
            said=tuple(said),
            thumbnail=None if pixels is None else _data_url(pixels[row]),
        )

    listed = []
    for key, found in judged.items():
        rows = worst(found, count)
        missed = int((found.probability[found.melanoma] < thresholds[key]).sum())
        alarmed = int((found.probability[~found.melanoma] >= thresholds[key]).sum())
        listed.append(
            {
                "key": key,
                "model": NAMES[key],
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


def _data_url(pixels: np.ndarray) -> str:
    """The view a model sees, uint8 (S, S, 3), as a JPEG in a data URL."""
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"


def _sources(findings: Findings, runs: dict[str, Path], weights: Path | None) -> list[dict]:
    """Where each model comes from: rows of name and value, and the whole recipe if known."""
    listed = []
    for key, scored in findings.scored.items():
        record = findings.records.get(key)
        rows = (
            _released_rows(findings.manifest.models[key])
            if findings.manifest is not None
            else _run_rows(record, runs[key])
        )
        recipe = yaml.safe_dump(record.recipe, sort_keys=False) if record is not None else None
        rows.append(("Threshold", f"{scored.threshold:.6f}"))
        rows.append(("Temperature", f"{scored.scores.temperature:g}"))
        listed.append({"key": key, "model": NAMES[key], "rows": rows, "recipe": recipe})
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
        ("Starting weights", str(training.get("init", "not recorded"))),
        (
            "Epochs",
            f"{training.get('epochs', 'not recorded')}, "
            f"kept: {training.get('best_epoch', 'not recorded')}",
        ),
        ("Seed", str(training.get("seed", "not recorded"))),
        (
            "Time",
            f"{training.get('hours', 'not recorded')} h on "
            f"{training.get('hardware', 'a machine not recorded')}",
        ),
    ]
