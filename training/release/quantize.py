"""From the released student to its INT8 file: sweep, record, release of the best that passes.

The sweep sees training and validation images alone; holdout is scored once, for the chosen file.
Knows the order of the work; the parts are in ``sweep``, ``int8``, ``described`` and ``folder``.
"""

import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from rich.console import Console

from mel_demo.images import normalise
from mel_demo.manifest import (
    Manifest,
    ModelSpec,
    Quantisation,
    Target,
    load_manifest,
    verify_weights,
)
from training import provenance
from training.data.frames import prepare_images
from training.data.measurable import HAM10000, Measurable, Pixels
from training.errors import ExportError
from training.files import write_json
from training.measure.evaluate import check_released, print_evaluation, put_together
from training.measure.profile import read_groups
from training.measure.scores import score_onnx
from training.measure.targets import answers, measure_targets
from training.provenance import command, git_commit, now, sha256
from training.release.folder import Release, warn_unclean
from training.release.int8 import Candidate, grid
from training.release.sweep import Gate, Quality, Row, Sweep, path_of, print_sweep, sweep
from training.release.timing import serve

KEY, SOURCE = "student_int8", "student"
CALIBRATION_IMAGES = 256
SEED = 20260723
_SHOWN = 3  # of the refused rows, in the message


def quantize(
    weights: Path,
    given: Measurable,
    output: Path,
    record: Path,
    sweep_only: bool = False,
    candidates: tuple[Candidate, ...] | None = None,
    gate: Gate | None = None,
) -> Manifest | None:
    """Sweep, write ``record``, and release the best candidate that passes ``gate`` into ``output``.

    ``weights``: a folder with manifest and student; ``output`` may be the same. ``candidates``:
    without it ``int8.grid``. Returns the manifest written, None with ``sweep_only``.

    Raises DataError when ``given`` are not the student's splits, ExportError when no candidate
    passes or the file is not served as it was measured. After an error ``output`` is as it was; a
    record of the sweep is kept.
    """
    if not sweep_only:
        warn_unclean()
    candidates, gate = candidates or grid(), gate or Gate()
    spec = load_manifest(weights).models[SOURCE]
    check_released(spec, given, f"the {SOURCE} of {weights}")
    student = verify_weights(spec, weights)
    learned = _learned(given, spec)
    images = normalise(np.concatenate([some for some, _ in learned.values()]), spec.preprocessing)
    validation = given.pixels("validation")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = sweep(
            student,
            candidates,
            images,
            validation.images,
            validation.prepared(spec.preprocessing),
            {name: others for name, (_, others) in learned.items() if name != HAM10000},
            spec.preprocessing,
            gate,
            _metadata(student, spec),
            folder,
        )
        print_sweep(found)
        write_json(record, _record(found, gate, spec, len(images), given.splits))
        Console().print(f"Written to {record}")
        if found.chosen is None:
            raise ExportError(_refusal(found, gate, record))
        if sweep_only:
            return None
        chosen = found.rows[found.chosen]
        file = path_of(folder, found.chosen)
        return _release(file, chosen, gate, weights, output, given, validation)


def _learned(given: Measurable, spec: ModelSpec) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Training images by data set, as far as they are given, to calibrate with and to compare on.

    Both uint8 (M, S, S, 3), drawn at random, and no image in both: ranges that hold for one
    clinic's cameras alone would cut off what others show.
    """
    found = {}
    for name, pixels in given.learned_from(spec.data.more or {}).items():
        order = np.random.default_rng(SEED).permutation(len(pixels.images))
        half = min(CALIBRATION_IMAGES, len(order) // 2)
        drawn = order[:half], order[half : 2 * half]
        some, others = (
            prepare_images(pixels.images.at(rows), spec.preprocessing) for rows in drawn
        )
        found[name] = some, others
    return found


def _metadata(student: Path, spec: ModelSpec) -> dict[str, str]:
    properties = onnx.load(student).metadata_props
    return {item.key: item.value for item in properties} | {"quantised_from": spec.sha256}


def _record(found: Sweep, gate: Gate, spec: ModelSpec, images: int, splits: Path) -> dict[str, Any]:
    return {
        "command": command(),
        "git_commit": git_commit(),
        "written": now(),
        "onnxruntime": onnxruntime.__version__,
        "machine": provenance.describe(),
        "splits_sha256": sha256(splits),
        "measured_on": "validation",
        "student": {"file": spec.file, "sha256": spec.sha256},
        "calibration": {"split": "train", "images": images, "seed": SEED},
        "gate": asdict(gate),
        "single_precision": _row_entry(found.reference),
        "chosen": found.chosen,
        "rows": [_row_entry(row) for row in found.rows],
    }


def _row_entry(row: Row) -> dict[str, Any]:
    return asdict(row) | {"settings": str(row.candidate or "single precision")}


def _refusal(found: Sweep, gate: Gate, record: Path) -> str:
    nearest = sorted(found.rows, key=lambda row: row.divergence)[:_SHOWN]
    # Of the rules that compare, the student passes all; of its size nothing was asked.
    own = replace(found.reference.quality, bytes=0)
    itself = gate.reasons(own, own)
    return "\n".join(
        [
            f"None of {len(found.rows)} INT8 candidates passes the gate, so no file was written. "
            f"The nearest to the {SOURCE}:",
            *(f"- {row.candidate}: {'; '.join(row.reasons)}" for row in nearest),
            *(f"The {SOURCE} itself would be refused: {reason}." for reason in itself),
            f"All rows are in {record}. Add candidates to training/release/int8.py, or release "
            f"another {SOURCE}.",
        ]
    )


def _release(
    file: Path,
    row: Row,
    gate: Gate,
    weights: Path,
    output: Path,
    given: Measurable,
    validation: Pixels,
) -> Manifest:
    """Measure the chosen file as ``export`` does and put it into ``output``, all or nothing."""
    manifest = load_manifest(weights)
    spec = manifest.models[SOURCE]
    with Release(output) as release:
        if output.resolve() != weights.resolve():
            for other in manifest.models.values():
                shutil.copy(verify_weights(other, weights), release.folder)
        target = Path(shutil.copy(file, release.folder / f"{KEY}.onnx"))
        pixels = {
            split: validation if split == "validation" else given.pixels(split)
            for split in given.splits_held
        }
        scores = {
            split: score_onnx(
                target,
                found.images,
                found.prepared(spec.preprocessing),
                spec.preprocessing,
                row.temperature,
            )
            for split, found in pixels.items()
        }
        targets = measure_targets(scores, read_groups(given.data, scores["holdout"].image_ids))
        melanoma = targets["melanoma"]
        for split, found in scores.items():
            said = put_together(split, {KEY: found}, answers({KEY: targets}, split))
            print_evaluation(said, target.name)
        _check_elsewhere(row.quality, spec, melanoma, gate)
        # What the student is and was trained on holds for this file too, nothing measured does; its
        # file alone gives a distance.
        quantised = replace(
            spec,
            key=KEY,
            file=target.name,
            sha256=sha256(target),
            bytes=target.stat().st_size,
            temperature=row.temperature,
            metrics=melanoma.metrics,
            operating_table=melanoma.operating_table,
            evidence=melanoma.evidence,
            skin_cancer=targets["skin_cancer"],
            ood=None,
            quantisation=Quantisation(
                command=command(),
                git_commit=git_commit(),
                from_sha256=spec.sha256,
                settings=str(row.candidate),
                onnxruntime=onnxruntime.__version__,
                written=now(),
                map_correlation=row.quality.map_correlation,
            ),
        )
        latency = serve(quantised, target, validation, scores["validation"], "training quantize")
        models = manifest.models | {KEY: replace(quantised, latency=latency)}
        return release.publish(replace(manifest, models=models))


def _check_elsewhere(quality: Quality, spec: ModelSpec, found: Target, gate: Gate) -> None:
    """ExportError where images of other clinics, asked once, say that too much was lost."""
    if "external" not in found.metrics or "external" not in spec.metrics:
        return
    found_here, before = (
        replace(quality, external_roc_auc=metrics["external"]["roc_auc"].value)
        for metrics in (found.metrics, spec.metrics)
    )
    if reasons := gate.reasons(found_here, before):
        raise ExportError(
            f"The best INT8 file on validation is not released: {'; '.join(reasons)}. Release "
            f"another {SOURCE}."
        )
