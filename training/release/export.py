"""From two runs to a released weights folder: ONNX files, manifest, model cards, all or nothing.

Everything is measured on the exported files before they take the place of what stood there. Knows
the order of the work; the parts are in ``onnx_file``, ``distance``, ``described`` and ``folder``.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from torch import nn

from mel_demo.images import normalise
from mel_demo.manifest import FORMAT, MELANOMA, Manifest, Origin, OutOfDistribution
from training.data.measurable import Measurable, Pixels
from training.data.not_dermoscopy import others
from training.data.splits import read_splits
from training.errors import RunError
from training.learn.networks import parameters
from training.learn.run_folder import RunRecord, load_run
from training.measure.evaluate import print_evaluation, put_together
from training.measure.profile import read_groups
from training.measure.scores import Scores, fit_temperature, score_onnx
from training.measure.targets import answers, measure_targets
from training.provenance import command, git_commit, now
from training.release import distance
from training.release.described import describe, describe_data, onnx_metadata
from training.release.folder import Release, warn_unclean
from training.release.onnx_file import export_onnx
from training.release.timing import serve
from training.words import megabytes, show

REFUSING = "student"
"""The model whose file says how far an image is from those it learned from."""
CHECKED_IMAGES = 10
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
    warn_unclean()
    sources = {
        "teacher": _load("teacher", teacher, given),
        "student": _load("student", student, given),
    }
    pixels = {split: given.pixels(split) for split in given.splits_held}
    refusing = sources[REFUSING]
    fitted = distance.fit(
        refusing.network,
        refusing.record.preprocessing,
        given.learned_from(refusing.record.sources or ()),
        others("choice", photographs),
    )
    with Release(output) as release:
        files = {role: release.folder / f"{role}.onnx" for role in sources}
        for role, source in sources.items():
            refuses = fitted.distance if role == REFUSING else None
            _export_checked(source, pixels["validation"], files[role], refuses)
        scores = _calibrated(
            {
                split: {
                    role: score_onnx(
                        files[role],
                        found.images,
                        found.prepared(source.record.preprocessing),
                        source.record.preprocessing,
                    )
                    for role, source in sources.items()
                }
                for split, found in pixels.items()
            }
        )
        manifest = _measured(files, sources, scores, given)
        models = dict(manifest.models)
        refusals = distance.measure(
            files[REFUSING],
            fitted,
            pixels,
            others("report", photographs),
            refusing.record.preprocessing,
        )
        _print_refusals(refusals)
        models[REFUSING] = replace(models[REFUSING], ood=refusals)
        for role, spec in models.items():
            found = scores["validation"][role]
            latency = serve(spec, files[role], pixels["validation"], found, "training export")
            models[role] = replace(spec, latency=latency)
        return release.publish(replace(manifest, models=models))


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


def _measured(
    files: dict[str, Path],
    sources: dict[str, _Source],
    scores: dict[str, dict[str, Scores]],
    given: Measurable,
) -> Manifest:
    """The manifest, all but what images are refused and the latencies. ``scores[split][role]``."""
    groups = read_groups(given.data, scores["holdout"]["teacher"].image_ids)
    targets = {
        role: measure_targets({split: found[role] for split, found in scores.items()}, groups)
        for role in sources
    }
    evaluations = [
        put_together(split, found, answers(targets, split)) for split, found in scores.items()
    ]
    for found in evaluations:
        print_evaluation(found, "exported models")
    rows = read_splits(given.splits)
    return Manifest(
        format=FORMAT,
        created=now(),
        exported_by=Origin(command(), git_commit()),
        agreement={found.split: found.agreement for found in evaluations},
        models={
            role: describe(
                files[role],
                source.record,
                parameters(source.network),
                scores["validation"][role].temperature,
                describe_data(
                    rows,
                    source.record,
                    given.external,
                    {split: found[role] for split, found in scores.items()},
                ),
                targets[role],
            )
            for role, source in sources.items()
        },
    )
