"""From two runs to a released weights folder: ONNX files, manifest, model cards, all or nothing.

Everything is written to a temporary folder and measured there on the exported files; what stood in
the output folder is replaced at the end. Knows the order of the work; the parts are in ``graph``,
``evaluate``, ``entries`` and ``cards``.
"""

import os
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from torch import nn

from mel_demo.decision.operating_point import DEFAULT_TARGET, choose
from mel_demo.images import normalise, open_image
from mel_demo.inference import Model
from mel_demo.manifest import (
    FILE_NAME,
    FORMAT,
    MELANOMA,
    Manifest,
    ModelSpec,
    load_manifest,
    verify_weights,
)
from mel_demo.measured import OutOfDistribution
from training import provenance
from training.data.measurable import Measurable, Pixels
from training.data.not_dermoscopy import others
from training.data.splits import read_splits
from training.errors import ExportError, RunError
from training.files import write_json, write_text
from training.learn.networks import parameters
from training.learn.run_folder import RunRecord, load_run
from training.measure.evaluate import measure, print_evaluation
from training.measure.metrics import operating_table
from training.measure.profile import evidence, read_groups
from training.measure.scores import Scores, fit_temperature, score_onnx
from training.provenance import command, git_commit, now
from training.release import distance
from training.release.cards import model_card
from training.release.folder import (
    data_entry,
    evidence_entry,
    external_entry,
    intervals,
    model_entry,
    onnx_metadata,
    ood_entry,
)
from training.release.onnx_file import export_onnx
from training.words import megabytes, show

REFUSING = "student"
"""The model whose file says how far an image is from those it learned from."""
CHECKED_IMAGES = 10
TIMED_IMAGES = 50
# Four bytes a weight and little else; more means that something else is in the file.
_MOST_BYTES = {"efficientnet_b1": 26_000_000, "mobilenetv3_small_100": 6_200_000}


@dataclass(frozen=True)
class _Source:
    network: nn.Module
    record: RunRecord


def export(
    teacher: Path,
    student: Path,
    given: Measurable,
    output: Path,
    photographs: Path | None = None,
) -> Manifest:
    """Release two runs into ``output`` and return the manifest written there.

    ``photographs``: a folder of what is no dermoscopy, see ``not_dermoscopy.others``. Temperatures
    are fitted on validation. Raises DataError when ``given`` are not the splits of both runs,
    RunError when a run has the other role, ExportError when a file is not equal to its source or is
    not served as it was measured. After an error ``output`` is as it was.
    """
    sources = {
        "teacher": _load("teacher", teacher, given),
        "student": _load("student", student, given),
    }
    splits = ("validation", "holdout", *(["external"] if given.external else []))
    pixels = {split: given.pixels(split) for split in splits}
    refusing = sources[REFUSING]
    fitted = distance.fit(
        refusing.network,
        refusing.record.preprocessing,
        given.learned_from(refusing.record.sources or ()),
        others("choice", photographs),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the output, so that files can be moved there in one step.
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as name:
        folder = Path(name)
        for role, source in sources.items():
            refuses = fitted.distance if role == REFUSING else None
            _export_checked(source, pixels["validation"], folder / f"{role}.onnx", refuses)
        scores = {
            split: {
                role: score_onnx(
                    folder / f"{role}.onnx",
                    found.images,
                    found.prepared(source.record.preprocessing),
                    source.record.preprocessing,
                )
                for role, source in sources.items()
            }
            for split, found in pixels.items()
        }
        scores = _calibrated(scores)
        content = _content(folder, sources, scores, given)
        refusals = distance.measure(
            folder / f"{REFUSING}.onnx",
            fitted,
            pixels,
            others("report", photographs),
            refusing.record.preprocessing,
        )
        _print_refusals(refusals)
        content["models"][REFUSING]["ood"] = ood_entry(refusals)
        write_json(folder / FILE_NAME, content)
        for key, spec in load_manifest(folder).models.items():
            content["models"][key]["latency"] = serve(
                spec,
                folder,
                pixels["validation"],
                scores["validation"][key],
                "python -m training export",
            )
        write_json(folder / FILE_NAME, content)
        manifest = load_manifest(folder)
        for key, spec in manifest.models.items():
            write_text(folder / f"{key}.md", model_card(spec))
        move(folder, output)
    Console().print(f"Written: {output / FILE_NAME}, weights and model cards beside it")
    return manifest


def _calibrated(scores: dict[str, dict[str, Scores]]) -> dict[str, dict[str, Scores]]:
    """The same logits at each model's temperature, fitted on validation."""
    temperatures = {
        role: fit_temperature(found.logits, found.labels)
        for role, found in scores["validation"].items()
    }
    return {
        split: {
            role: replace(found, temperature=temperatures[role]) for role, found in models.items()
        }
        for split, models in scores.items()
    }


def _load(role: str, folder: Path, given: Measurable) -> _Source:
    network, record = load_run(folder)
    if record.role != role:
        raise RunError(f"{folder} is the run of a {record.role}: give it as --{record.role}.")
    given.check(record.splits_sha256, record.external_sha256, f"the run {folder}")
    return _Source(network, record)


def _print_refusals(found: OutOfDistribution) -> None:
    console = Console(highlight=False)
    console.print(f"Not dermoscopy from a distance of {found.threshold:.3f} on: {found.rule}")
    for name, counts in (found.dermoscopy | found.others).items():
        console.print(f"refused, {name}: {counts.refused} of {counts.images} {show(counts.rate)}")


def _export_checked(
    source: _Source, validation: Pixels, path: Path, distance: nn.Module | None
) -> None:
    preprocessing = source.record.preprocessing
    rows = _spread(validation.images.labels == MELANOMA)
    images = normalise(validation.prepared(preprocessing)[rows], preprocessing)
    found = export_onnx(source.network, images, path, onnx_metadata(source.record), distance)
    size = path.stat().st_size
    console = Console(highlight=False)
    console.print(
        f"{path.name}: {megabytes(size)} MB. On {len(rows)} validation images, largest difference "
        f"from torch: logits {found.logits:.1e}; from pytorch-grad-cam: maps {found.cam:.1e}"
    )
    most = _MOST_BYTES.get(source.record.architecture, size)
    if size > most:
        console.print(f"{path.name} has {size} bytes, expected {most} at most", style="yellow")


def _spread(melanoma: np.ndarray) -> np.ndarray:
    """Rows of the images an export is checked on: half melanomas, evenly over the split."""
    halves = []
    for rows in (np.flatnonzero(melanoma), np.flatnonzero(~melanoma)):
        halves.extend(rows[np.linspace(0, len(rows) - 1, CHECKED_IMAGES // 2).round().astype(int)])
    return np.array(halves)


def _content(
    folder: Path,
    sources: dict[str, _Source],
    scores: dict[str, dict[str, Scores]],
    given: Measurable,
) -> dict:
    """The manifest's values, all but the latencies."""
    tables = {
        role: operating_table(scores["validation"][role].judged(), scores["holdout"][role].judged())
        for role in sources
    }
    thresholds = {role: choose(table, DEFAULT_TARGET).threshold for role, table in tables.items()}
    evaluations = [measure(split, found, thresholds) for split, found in scores.items()]
    for found in evaluations:
        print_evaluation(found, "exported models")
    groups = read_groups(given.data, scores["holdout"]["teacher"].image_ids)
    rows = read_splits(given.splits)
    aside = external_entry(given.external, scores.get("external", {}).get("teacher"))
    return {
        "format": FORMAT,
        "created": now(),
        "exported_by": {"command": command(), "git_commit": git_commit()},
        "agreement": {found.split: intervals(found.agreement) for found in evaluations},
        "models": {
            role: model_entry(
                folder / f"{role}.onnx",
                source.record,
                parameters(source.network),
                data_entry(rows, source.record) | aside,
                scores["validation"][role].temperature,
                evaluations,
                tables[role],
            )
            | {
                "latency": {},
                "evidence": evidence_entry(
                    evidence(
                        scores["validation"][role].judged(),
                        scores["holdout"][role].judged(),
                        thresholds[role],
                        groups,
                    )
                ),
            }
            for role, source in sources.items()
        },
    }


def serve(spec: ModelSpec, folder: Path, pixels: Pixels, scores: Scores, by: str) -> dict:
    """Judge images one by one as the page does; the manifest's entry on latency, measured ``by``.

    ``scores``: of the images of ``pixels``. Raises ExportError when the file is not served with the
    probabilities that it was measured with.
    """
    model = Model(spec, verify_weights(spec, folder))
    measured = scores.judged().probability
    times = []
    for index, path in enumerate(pixels.images.paths[:TIMED_IMAGES]):
        prediction = model.predict(open_image(path))
        if prediction.melanoma_probability != measured[index]:
            raise ExportError(
                f"The {spec.key} is served with a melanoma probability of "
                f"{prediction.melanoma_probability!r} for {path.name}, but was measured with "
                f"{measured[index]!r}: mel_demo.inference and training.measure.scores differ."
            )
        times.append(prediction.milliseconds)
    return {
        "milliseconds": round(statistics.median(times), 1),
        "note": f"median of {len(times)} images of HAM10000, one at a time, cropped, scaled and "
        f"judged by mel_demo.inference; {provenance.describe()}; by `{by}`",
    }


def move(folder: Path, output: Path) -> None:
    """Replace the files of ``output``; killed half-way it has no manifest, never a wrong one."""
    output.mkdir(exist_ok=True)
    (output / FILE_NAME).unlink(missing_ok=True)
    files = sorted(folder.iterdir(), key=lambda file: file.name == FILE_NAME)  # manifest last
    for file in files:
        os.replace(file, output / file.name)
