"""From a recipe and folders to a finished run: what the commands teacher and student share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from accelerate.utils import set_seed
from rich.console import Console
from torch import nn

from mel_demo.manifest import CLASS_NAMES, MELANOMA, Preprocessing
from training.data.external import read_external, training_images
from training.data.frames import cached_frames, frames_of, join_frames, prepare_images
from training.data.ham10000 import cameras_of, read_split
from training.data.isic import SQUASHED_ASPECT, read_extra
from training.data.masks import MASKS, mask_path
from training.data.splits import read_splits
from training.errors import DataError, ExportError, RecipeError
from training.learn.batches import Batches
from training.learn.cam import head_of
from training.learn.loop import Run, train
from training.learn.networks import build, has_one_size
from training.learn.run_folder import BEST, RunRecord, load_record, load_run, refuse_taken
from training.learn.sources import offsets as source_offsets
from training.learn.trackers import check_tracker
from training.provenance import sha256, short_name
from training.recipe import Recipe

MASK_HEIGHT = 96  # pixels of a lesion mask as it is kept: evidence maps are far coarser


def train_session(
    recipe: Recipe,
    output: Path,
    teachers: Sequence[Path] | None,
    resume: bool,
    *,
    recipe_name: str,
    data: Path,
    splits: Path,
    cache: Path,
    init: Path | None,
    more: Sequence[Path] = (),
    external: Path | None = None,
    tracker: str | GeneralTracker | None = None,
) -> RunRecord:
    """Build the network, read the data and train; says how well, and returns the record.

    ``init`` replaces the recipe's pretrained weights; ``teachers`` are run folders, none for an
    empty sequence, and None where nobody said, which a recipe that distils refuses; ``more`` are
    folders of ISIC challenges to learn from as well, without the images that ``external`` keeps
    out; ``tracker``: see ``training.learn.trackers``. Raises TrainingError for whatever the caller
    can mend.
    """
    check_tracker(tracker)
    if recipe.start_size not in (None, recipe.size) and has_one_size(recipe.architecture):
        raise RecipeError(
            f"{recipe.architecture} takes images of one size: give --set start_size={recipe.size}."
        )
    if teachers is None and recipe.distillation is not None:
        raise RecipeError(
            f"{recipe_name} distils from a tutor: give its run folder with --tutor (train it with "
            "--recipe training/recipes/tutor.yaml), or learn from the labels with --alone."
        )
    if teachers and recipe.distillation is None:
        raise RecipeError(f"{recipe_name} has no `distillation`, and a teacher was given.")
    accelerator = _accelerator(recipe, tracker)
    set_seed(recipe.seed)  # before the network, whose fresh weights are random
    network = build(
        recipe.architecture,
        pretrained=recipe.pretrained and not resume,
        init=None if resume else init,
        drop_rate=recipe.drop_rate,
        drop_path_rate=recipe.drop_path_rate,
        size=recipe.size,
    )
    refuse_taken(output, recipe, resume)
    console = Console(highlight=False, soft_wrap=True, quiet=not accelerator.is_main_process)
    _refuse_or_say_what_cannot_follow(recipe, network, console)
    preprocessing = Preprocessing(
        size=recipe.size,
        max_aspect_ratio=recipe.max_aspect_ratio,
        mean=recipe.mean,
        std=recipe.std,
    )
    kept_out = sha256(external) if external is not None and external.is_file() else None
    guides = [_guide(folder, splits, kept_out, preprocessing) for folder in teachers or ()]
    with accelerator.main_process_first():  # which writes the cache, if there is none
        batches = _batches(recipe, preprocessing, data, splits, cache, more, external)
    refuse_unfit(batches.labels, batches.validation_labels)
    record = train(
        Run(
            folder=output,
            recipe=recipe,
            recipe_name=recipe_name,
            network=network,
            preprocessing=preprocessing,
            # Whoever resumes need not name the starting weights again.
            init=load_record(output).init if resume else _origin(recipe, init),
            teachers=[network for network, _ in guides],
            teacher_sizes=[size for _, size in guides],
            teacher_folders=[short_name(folder) for folder in teachers or ()],
            inputs={
                "splits": batches.splits_sha256,
                "teachers": [sha256(folder / BEST) for folder in teachers or ()],
                "external": batches.external_sha256,
                "data": batches.data_sha256,
            },
            resume=resume,
        ),
        batches,
        accelerator,
    )
    console.print(
        f"{record.role} {record.architecture}: best validation ROC-AUC {record.best_roc_auc:.4f} "
        f"in epoch {record.best_epoch} of {record.epochs}, {record.hours:.2f} h, {output}"
    )
    return record


def refuse_unfit(training: np.ndarray, validation: np.ndarray) -> None:
    """DataError where there is nothing to learn or to measure; labels int64 (N,) and (M,).

    Found before training: afterwards the metrics would be no numbers.
    """
    seen = np.bincount(training, minlength=len(CLASS_NAMES))
    absent = [name for name, images in zip(CLASS_NAMES, seen, strict=False) if not images]
    if absent:
        raise DataError(
            f"No training image shows {', '.join(absent)}: a network learns all seven classes. "
            "Divide the images again with `python -m training splits`."
        )
    melanomas = int((validation == MELANOMA).sum())
    if not 0 < melanomas < len(validation):
        raise DataError(
            f"{melanomas} of {len(validation)} validation images are melanomas: ROC-AUC, by which "
            "weights are kept, needs melanomas and others. Divide the images again with "
            "`python -m training splits`."
        )


def _refuse_or_say_what_cannot_follow(recipe: Recipe, network: nn.Module, console: Console) -> None:
    """Before training: `export` takes only what the evidence map has a closed form for.

    RecipeError where the recipe's own loss needs that map.
    """
    try:
        head_of(network)
    except ExportError as error:
        if recipe.lesion_weight:
            raise RecipeError(
                f"{recipe.architecture} has no evidence map that could be taught to lie on the "
                f"lesion: give --set lesion_weight=0. {error}"
            ) from error
        console.print(
            f"{recipe.architecture} can be trained and teach, but not be exported. {error}",
            style="yellow",
            markup=False,
        )


def _accelerator(recipe: Recipe, tracker: str | GeneralTracker | None) -> Accelerator:
    try:
        accelerator = Accelerator(mixed_precision=recipe.mixed_precision, log_with=tracker)
        # Of fp16 on a CPU accelerate makes single precision, without a word.
        if recipe.mixed_precision == "fp16" and not accelerator.native_amp:
            raise ValueError("it needs a GPU")
    except ValueError as error:
        raise RecipeError(
            f"mixed_precision {recipe.mixed_precision} cannot be had here ({error}): give "
            "--set mixed_precision=no, or bf16."
        ) from error
    return accelerator


def _guide(
    folder: Path, splits: Path, kept_out: str | None, preprocessing: Preprocessing
) -> tuple[nn.Module, int]:
    """A teacher's network, and the size of its views in pixels.

    RecipeError where it saw other data or sees other views.
    """
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
    # Of another size is the same view, which the teacher is shown at its own.
    if replace(record.preprocessing, size=preprocessing.size) != preprocessing:
        raise RecipeError(
            f"The teacher sees {record.preprocessing}, the student {preprocessing}: both "
            "must be given the same view. Train them with the same crop and normalisation."
        )
    return network, record.preprocessing.size


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
    data_sha256 = {"HAM10000": parts[0].sha256}
    labels, sources = list(training.labels), {"HAM10000": len(training.labels)}
    cameras = list(cameras_of(data, training))
    masks = None
    if recipe.lesion_weight:
        folder = data / MASKS
        if not folder.is_dir():
            raise DataError(
                f"The recipe learns where lesions lie, and there is no folder {folder}: fetch the "
                "masks (doi 10.7910/DVN/DBW86T), or give --set lesion_weight=0."
            )
        files = {image_id: mask_path(folder, image_id) for image_id in training.image_ids}
        masks = frames_of(files, cache, MASK_HEIGHT)
        data_sha256["lesion masks"] = masks.sha256
    if more and external is None:
        raise RecipeError(
            "More images need --external, the file that says which of them are kept out of "
            "training: make it with `python -m training external`."
        )
    kept = read_external(external) if external is not None else {}
    known = {row.image_id for row in read_splits(splits)}
    for folder in more:
        found = training_images(read_extra(folder, known), kept)
        known |= {extra.image_id for extra in found}
        if not found:
            continue
        # Frames of one shape, so that a batch is one array.
        height = parts[0].pixels.shape[1]
        paths = {extra.image_id: extra.path for extra in found}
        frames = frames_of(paths, cache, height, SQUASHED_ASPECT, enlarge=True)
        parts.append(frames)
        data_sha256[found[0].source] = frames.sha256
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
        external_sha256=sha256(external) if external is not None and more else None,
        data_sha256=data_sha256,
        offsets=offsets,
        masks=masks,
        validation_sources=cameras_of(data, validation),
    )


def _origin(recipe: Recipe, init: Path | None) -> str:
    """Where the starting weights come from, in words."""
    if init is not None:
        return f"{init.name} (SHA-256 {sha256(init)[:12]}...)"
    return f"timm {recipe.architecture}, ImageNet" if recipe.pretrained else "random"
