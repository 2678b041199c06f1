"""From a recipe and folders to a finished run: what the commands teacher and student share."""

from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import set_seed

from mel_demo.manifest import Preprocessing
from training.config import Recipe
from training.data import cached_frames, prepare_images, read_split
from training.errors import RecipeError
from training.files import sha256
from training.loop import Batches, Run, train
from training.models import RunRecord, build, load_record, load_run


def train_session(
    recipe: Recipe,
    *,
    recipe_name: str,
    data: Path,
    splits: Path,
    output: Path,
    cache: Path,
    init: Path | None,
    teacher: Path | None,
    resume: bool,
) -> RunRecord:
    """Build the network, read the data and train.

    ``init`` replaces the recipe's pretrained weights; ``teacher`` is a run folder. Raises
    TrainingError for whatever the caller can mend.
    """
    accelerator = Accelerator(mixed_precision=recipe.mixed_precision)
    set_seed(recipe.seed)  # before the network, whose fresh weights are random
    network = build(
        recipe.architecture,
        pretrained=recipe.pretrained and not resume,
        init=None if resume else init,
        drop_rate=recipe.drop_rate,
        drop_path_rate=recipe.drop_path_rate,
    )
    guide = None
    if teacher is not None:
        if recipe.distillation is None:
            raise RecipeError(f"{recipe_name} has no `distillation`, and a teacher was given.")
        guide, guide_record = load_run(teacher)
        if guide_record.splits_sha256 != sha256(splits):
            raise RecipeError(
                f"The teacher {teacher} was trained on other splits than {splits}: the holdout "
                "of one would be training data of the other."
            )
    preprocessing = Preprocessing(
        size=recipe.size,
        max_aspect_ratio=recipe.max_aspect_ratio,
        mean=recipe.mean,
        std=recipe.std,
    )
    if guide is not None and (guide_record.preprocessing != preprocessing):
        raise RecipeError(
            f"The teacher sees {guide_record.preprocessing}, the student {preprocessing}: both "
            "must be given the same view. Train them with the same size and normalisation."
        )
    training, validation = (read_split(data, splits, name) for name in ("train", "validation"))
    with accelerator.main_process_first():  # which writes the cache, if there is none
        frames = cached_frames(data, training.image_ids, cache, recipe.cache_height)
    batches = Batches(
        frames=frames,
        labels=training.labels,
        validation=prepare_images(validation, preprocessing),
        validation_labels=validation.labels,
        splits_sha256=sha256(splits),
    )
    return train(
        Run(
            folder=output,
            recipe=recipe,
            recipe_name=recipe_name,
            network=network,
            preprocessing=preprocessing,
            # Whoever resumes need not name the starting weights again.
            init=load_record(output).init if resume else _origin(recipe, init),
            teacher=guide,
            teacher_folder=str(teacher) if teacher else None,
            resume=resume,
        ),
        batches,
        accelerator,
    )


def _origin(recipe: Recipe, init: Path | None) -> str:
    """Where the starting weights come from, in words."""
    if init is not None:
        return f"{init.name} (SHA-256 {sha256(init)[:12]}...)"
    return f"timm {recipe.architecture}, ImageNet" if recipe.pretrained else "random"
