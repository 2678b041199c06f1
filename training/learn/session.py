"""From a recipe and folders to a finished run: what the commands teacher and student share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from accelerate.utils import set_seed
from torch import nn

from mel_demo.manifest import MELANOMA, Preprocessing
from training.data.frames import cached_frames, frames_of, join_frames, prepare_images
from training.data.ham10000 import FOLDER as MASKS, cameras_of, mask_path, read_split
from training.data.isic import SQUASHED_ASPECT, read_external, read_extra, training_images
from training.data.splits import read_splits
from training.errors import RecipeError
from training.learn.batches import Batches
from training.learn.loop import Run, train
from training.learn.networks import build, has_one_size
from training.learn.run_folder import RunRecord, load_record, load_run
from training.learn.sources import offsets as source_offsets
from training.learn.trackers import check_tracker
from training.provenance import sha256, short_name
from training.recipe import Recipe

MASK_HEIGHT = 96  # pixels of a lesion mask as it is kept: evidence maps are far coarser


def train_session(
    recipe: Recipe,
    *,
    recipe_name: str,
    data: Path,
    splits: Path,
    output: Path,
    cache: Path,
    init: Path | None,
    teachers: Sequence[Path],
    resume: bool,
    more: Sequence[Path] = (),
    external: Path | None = None,
    tracker: str | GeneralTracker | None = None,
) -> RunRecord:
    """Build the network, read the data and train.

    ``init`` replaces the recipe's pretrained weights; ``teachers`` are run folders; ``more`` are
    folders of ISIC challenges to learn from as well, without the images that ``external`` keeps
    out; ``tracker``: see ``training.learn.trackers``. Raises TrainingError for whatever the caller
    can mend.
    """
    check_tracker(tracker)
    if recipe.start_size not in (None, recipe.size) and has_one_size(recipe.architecture):
        raise RecipeError(
            f"{recipe.architecture} takes images of one size: give --start-size {recipe.size}."
        )
    accelerator = Accelerator(mixed_precision=recipe.mixed_precision, log_with=tracker)
    set_seed(recipe.seed)  # before the network, whose fresh weights are random
    network = build(
        recipe.architecture,
        pretrained=recipe.pretrained and not resume,
        init=None if resume else init,
        drop_rate=recipe.drop_rate,
        drop_path_rate=recipe.drop_path_rate,
        size=recipe.size,
    )
    preprocessing = Preprocessing(
        size=recipe.size,
        max_aspect_ratio=recipe.max_aspect_ratio,
        mean=recipe.mean,
        std=recipe.std,
    )
    kept_out = sha256(external) if external is not None and external.is_file() else None
    if teachers and recipe.distillation is None:
        raise RecipeError(f"{recipe_name} has no `distillation`, and a teacher was given.")
    guides = [_guide(folder, splits, kept_out, preprocessing) for folder in teachers]
    with accelerator.main_process_first():  # which writes the cache, if there is none
        batches = _batches(recipe, preprocessing, data, splits, cache, more, external)
    return train(
        Run(
            folder=output,
            recipe=recipe,
            recipe_name=recipe_name,
            network=network,
            preprocessing=preprocessing,
            # Whoever resumes need not name the starting weights again.
            init=load_record(output).init if resume else _origin(recipe, init),
            teachers=guides,
            teacher_folders=[short_name(folder) for folder in teachers],
            resume=resume,
        ),
        batches,
        accelerator,
    )


def _guide(
    folder: Path, splits: Path, kept_out: str | None, preprocessing: Preprocessing
) -> nn.Module:
    """A teacher's network; RecipeError where it saw other data or sees other views."""
    network, record = load_run(folder)
    if record.splits_sha256 != sha256(splits):
        raise RecipeError(
            f"The teacher {folder} was trained on other splits than {splits}: the holdout "
            "of one would be training data of the other."
        )
    if record.external_sha256 is not None and record.external_sha256 != kept_out:
        raise RecipeError(
            f"The teacher {folder} kept other images of other clinics out of training: give the "
            "--external file it was trained with."
        )
    # Of another size is the same view; both networks take any.
    if replace(record.preprocessing, size=preprocessing.size) != preprocessing:
        raise RecipeError(
            f"The teacher sees {record.preprocessing}, the student {preprocessing}: both "
            "must be given the same view. Train them with the same crop and normalisation."
        )
    return network


def _batches(
    recipe: Recipe,
    preprocessing: Preprocessing,
    data: Path,
    splits: Path,
    cache: Path,
    more: Sequence[Path],
    external: Path | None,
) -> Batches:
    """HAM10000's training images and those of ``more``; validation is HAM10000's alone."""
    training, validation = (read_split(data, splits, name) for name in ("train", "validation"))
    parts = [cached_frames(data, training.image_ids, cache, recipe.cache_height)]
    labels, sources = list(training.labels), {"HAM10000": len(training.labels)}
    cameras = list(cameras_of(data, training))
    masks = None
    if recipe.lesion_weight:
        folder = data / MASKS
        files = {image_id: mask_path(folder, image_id) for image_id in training.image_ids}
        masks = frames_of(files, cache, MASK_HEIGHT)
    if more and external is None:
        raise RecipeError(
            "More images need --external, the file that says which of them are kept out of "
            "training: make it with `python -m training external`."
        )
    known = {row.image_id for row in read_splits(splits)}
    for folder in more:
        found = training_images(read_extra(folder, known), read_external(external))
        known |= {extra.image_id for extra in found}
        if not found:
            continue
        # Frames of one shape, so that a batch is one array.
        height = parts[0].pixels.shape[1]
        paths = {extra.image_id: extra.path for extra in found}
        parts.append(frames_of(paths, cache, height, SQUASHED_ASPECT, enlarge=True))
        labels += [extra.label for extra in found]
        sources[found[0].source] = len(found)
        cameras += [found[0].source] * len(found)
    offsets = None
    if recipe.loss.source_adjustment:
        melanoma = np.array(labels) == MELANOMA
        own = np.arange(len(labels)) < len(training.labels)
        offsets = source_offsets(melanoma, np.array(cameras), own)
    return Batches(
        frames=join_frames(parts) if len(parts) > 1 else parts[0],
        labels=np.array(labels, np.int64),
        validation=prepare_images(validation, preprocessing),
        validation_labels=validation.labels,
        splits_sha256=sha256(splits),
        sources=sources,
        external_sha256=sha256(external) if more else None,
        offsets=offsets,
        masks=masks,
        validation_sources=cameras_of(data, validation),
    )


def _origin(recipe: Recipe, init: Path | None) -> str:
    """Where the starting weights come from, in words."""
    if init is not None:
        return f"{init.name} (SHA-256 {sha256(init)[:12]}...)"
    return f"timm {recipe.architecture}, ImageNet" if recipe.pretrained else "random"
