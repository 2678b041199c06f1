"""`training explain`: measure released models' evidence maps and write it beside their metrics.

Puts together ``faithfulness`` and ``masks``; the manifest gets the result, the model cards its
table, a JSON file all of it. Torch networks are needed for gradients: each must give the released
file's own logits. A file that no run gives, INT8, has its own maps measured alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from mel_demo.decision import map_trust
from mel_demo.images import normalise
from mel_demo.manifest import (
    FILE_NAME,
    MELANOMA,
    Faithfulness,
    Interval,
    Manifest,
    MapOverlap,
    ModelSpec,
    load_manifest,
    plain,
    verify_weights,
)
from training.data.ham10000 import Images
from training.data.masks import MASKS, read_masks
from training.data.measurable import Measurable, Pixels
from training.errors import DataError, ExportError
from training.files import write_json
from training.learn.cam import WithEvidence, head_of
from training.measure.evaluate import check_released
from training.measure.intervals import Bootstrap, interval
from training.measure.maps import MASK_MEASURES, MEASURES, SERVED, all_maps, normalised, road
from training.measure.scores import open_session
from training.provenance import command, git_commit, now
from training.release.folder import Release
from training.release.origin import released_run
from training.words import show

ROLES = ("teacher", "student")
_SEED = 20261123
_BATCH = 16


@dataclass(frozen=True)
class Amount:
    """How many images of a split are measured: on mask measures, and on ROAD, which is slow."""

    images: int = 400
    road: int = 40


def explain(
    weights: Path,
    runs: dict[str, Path],
    given: Measurable,
    record: Path,
    masks: Path | None = None,
    amount: Amount | None = None,
    compare_only: bool = False,
) -> Manifest:
    """Measure the maps of all released models, and return the manifest with what was found.

    ``runs``: the runs they were exported from, by role. Of other models with evidence the served
    maps are measured, by the lesion masks alone. ``masks``: the folder of lesion masks,
    within the data by default. ``record``: JSON with everything, ``amount`` included.
    ``compare_only``: measure on validation, to choose the served method by; only ``record`` is
    written and holdout stays closed. Raises DataError for masks that are missing or do not fit,
    RunError for a run that is not the released model's, ExportError for a manifest without
    evidence. After an error ``weights`` is as it was.
    """
    amount = amount or Amount()
    manifest = load_manifest(weights)
    for role in ROLES:
        if manifest.models[role].evidence is None:
            raise ExportError(
                f"The {role} of {weights} was exported without evidence: export again with "
                "`python -m training export`."
            )
    explained = {key: spec for key, spec in manifest.models.items() if spec.evidence}
    for key, spec in explained.items():
        check_released(spec, given, f"the {key} of {weights}")
    validation = given.pixels("validation")
    measured = validation if compare_only else given.pixels("holdout")
    rows = _sample(measured.images, amount.images)
    networks = {
        role: released_run(runs[role], manifest.models[role], weights, f"--{role}")[0]
        for role in ROLES
    }
    masks = masks or given.data / MASKS
    found = {
        key: _measure(networks[key], spec, measured, rows, masks, amount.road)
        if key in networks
        else _measure_file(verify_weights(spec, weights), spec, measured, rows, masks)
        for key, spec in explained.items()
    }
    content = {
        "command": command(),
        "written": now(),
        "git_commit": git_commit(),
        "split": "validation" if compare_only else "holdout",
        "images": len(rows),
        "road_images": min(amount.road, len(rows)),
        "faithfulness": {role: plain(value) for role, value in found.items()},
    }
    if compare_only:
        write_json(record, content)
    else:
        shared = _overlap(networks, manifest, validation, amount.images)
        write_json(record, content | {"map_overlap": shared and plain(shared)})
        with Release(weights) as release:
            manifest = release.publish(_complete(manifest, found, shared))
    _print(found)
    completed = "" if compare_only else f"{weights / FILE_NAME}, the model cards and "
    Console().print(f"Written to {completed}{record}")
    return manifest


def _complete(
    manifest: Manifest, found: dict[str, Faithfulness], shared: MapOverlap | None
) -> Manifest:
    """The manifest with what was found."""
    models = dict(manifest.models)
    for role, faithfulness in found.items():
        spec = models[role]
        evidence = spec.evidence and replace(spec.evidence, faithfulness=faithfulness)
        models[role] = replace(spec, evidence=evidence)
    return replace(manifest, models=models, map_overlap=shared or manifest.map_overlap)


def _measure(
    network: nn.Module,
    spec: ModelSpec,
    pixels: Pixels,
    rows: np.ndarray,
    masks: Path,
    road_images: int,
) -> Faithfulness:
    images = pixels.images.at(rows)
    lesions = _lesions(images, spec, masks)
    batch = normalise(pixels.prepared(spec.preprocessing)[rows], spec.preprocessing)
    layer = head_of(network).target_layer()
    scores: dict[str, dict[str, list[np.ndarray]]] = {}
    for start in track(range(0, len(rows), _BATCH), f"Explaining the {spec.key}"):
        part = slice(start, start + _BATCH)
        tensor = torch.from_numpy(batch[part])
        for name, maps in all_maps(network, layer, tensor, _SEED + start).items():
            held = scores.setdefault(name, {measure: [] for measure in MEASURES})
            for measure, measured in MASK_MEASURES.items():
                held[measure].append(measured(maps, lesions[part]))
            wanted = max(0, min(road_images - start, len(maps)))
            if wanted:
                held["road"].append(road(network, tensor[:wanted], maps[:wanted]))
    return Faithfulness(
        images=len(rows),
        served=SERVED,
        methods={
            name: {
                measure: _mean(np.concatenate(values), images.lesion_ids)
                for measure, values in held.items()
            }
            for name, held in scores.items()
        },
    )


def _measure_file(
    file: Path, spec: ModelSpec, pixels: Pixels, rows: np.ndarray, masks: Path
) -> Faithfulness:
    """The served maps of a file, one image at a time as they are served, by the lesion masks."""
    images = pixels.images.at(rows)
    lesions = _lesions(images, spec, masks)
    batch = normalise(pixels.prepared(spec.preprocessing)[rows], spec.preprocessing)
    session = open_session(file)
    cams = [
        session.run(["cam"], {"image": one[None]})[0][0, MELANOMA]
        for one in track(batch, f"Explaining the {spec.key}")
    ]
    maps = normalised(np.stack(cams), spec.preprocessing.size)
    return Faithfulness(
        images=len(rows),
        served=SERVED,
        methods={
            SERVED: {
                measure: _mean(measured(maps, lesions), images.lesion_ids)
                for measure, measured in MASK_MEASURES.items()
            }
        },
    )


def _lesions(images: Images, spec: ModelSpec, masks: Path) -> np.ndarray:
    """Where the lesions are in what a model judges, bool (N, S, S); DataError where nowhere."""
    lesions = read_masks(masks, images, spec.preprocessing)
    if not lesions.any((1, 2)).all():
        empty = images.image_ids[int(np.flatnonzero(~lesions.any((1, 2)))[0])]
        raise DataError(f"The mask of {empty} is empty in the part that the {spec.key} judges.")
    return lesions


def _mean(values: np.ndarray, lesion_ids: np.ndarray) -> Interval:
    """Mean over images that have a value, with a 95 % interval over lesions; all None without."""
    held = np.isfinite(values)
    if not held.any():
        return Interval(None, None, None)
    bootstrap = Bootstrap(lesion_ids[: len(values)][held])
    sums = bootstrap.sums(np.stack([values[held], np.ones(held.sum())], axis=1))
    return interval(float(values[held].mean()), sums[:, 0] / sums[:, 1])


def _overlap(
    networks: dict[str, nn.Module],
    manifest: Manifest,
    pixels: Pixels,
    count: int,
) -> MapOverlap | None:
    """Overlaps of teacher's and student's served maps, of the same and of two images.

    None where no image has two maps that are not empty.
    """
    rows = _sample(pixels.images, count)
    maps = {
        role: np.concatenate(list(_served(networks[role], manifest.models[role], pixels, rows)))
        for role in ROLES
    }
    same, other = (
        [
            value
            for pair in zip(maps["teacher"], second, strict=True)
            if (value := map_trust.overlap(*pair)) is not None
        ]
        for second in (maps["student"], np.roll(maps["student"], 1, axis=0))
    )
    if not (same and other):
        return None
    return MapOverlap(
        usual=round(float(np.median(same)), 4),
        chance=round(float(np.quantile(other, 0.95)), 4),
        images=len(same),
    )


def _served(
    network: nn.Module, spec: ModelSpec, pixels: Pixels, rows: np.ndarray
) -> Iterator[np.ndarray]:
    """The maps as the page has them, by the closed form, (N, h, w)."""
    explained = WithEvidence(network).eval()
    prepared = pixels.prepared(spec.preprocessing)[rows]
    for start in range(0, len(rows), _BATCH):
        batch = torch.from_numpy(normalise(prepared[start : start + _BATCH], spec.preprocessing))
        with torch.inference_mode():
            yield explained(batch)[1][:, MELANOMA].numpy()


def _sample(images: Images, count: int) -> np.ndarray:
    """Rows of at most ``count`` images, half of them melanomas as far as there are, seeded."""
    rng = np.random.default_rng(_SEED)
    melanoma = rng.permutation(np.flatnonzero(images.labels == MELANOMA))[: count // 2]
    others = rng.permutation(np.flatnonzero(images.labels != MELANOMA))[: count - len(melanoma)]
    return rng.permutation(np.concatenate([melanoma, others]))


def _print(found: dict[str, Faithfulness]) -> None:
    columns = [(key, measure) for key, one in found.items() for measure in one.methods[one.served]]
    table = Table("maps", *(f"{key}: {measure}" for key, measure in columns))
    for name in next(iter(found.values())).methods:
        methods = {key: one.methods.get(name) for key, one in found.items()}
        cells = [show(held[measure]) if (held := methods[key]) else "" for key, measure in columns]
        table.add_row(name, *cells)
    Console().print(table)
