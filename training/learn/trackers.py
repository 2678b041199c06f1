"""Experiment trackers, through accelerate: off unless asked for, never a dependency.

A tracker is told what a run folder says as well: the recipe once, each row of metrics.csv when its
epoch ends. Knows neither network nor data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, get_available_trackers

from training.errors import RecipeError
from training.files import write_text
from training.provenance import short_name
from training.recipe import Recipe

PROJECT = "mel_demo"
# wandb knows a run by this, not by its name; trackio needs no such file.
ID_FILE = "tracker.id"


def check_tracker(tracker: str | GeneralTracker | None) -> None:
    """RecipeError when the tracker's package is not installed: accelerate would log nothing."""
    if tracker is None or isinstance(tracker, GeneralTracker):
        return
    if tracker not in [str(known) for known in get_available_trackers()]:
        raise RecipeError(
            f"--tracker {tracker} needs a package that is not installed: "
            f"`python -m pip install {tracker}`, or train without --tracker."
        )


@contextmanager
def tracking(
    accelerator: Accelerator, folder: Path, recipe: Recipe, resume: bool
) -> Iterator[None]:
    """Open what ``accelerator`` was given as ``log_with``, and close it however the run ends.

    The tracker's run is named like ``folder``; a resumed run goes on in the tracker's former one.
    Without a tracker nothing happens.
    """
    if accelerator.log_with:
        name = short_name(folder)
        again = "allow" if resume else "never"
        accelerator.init_trackers(
            PROJECT,
            config=flat(recipe.model_dump(mode="json")),
            init_kwargs={
                "trackio": {"name": name, "resume": again},
                "wandb": {"name": name, "resume": again, "id": _identity(folder, resume)},
            },
        )
    try:
        yield
    finally:
        # Not accelerator.end_training(), which also ends the process group: `ablate` trains the
        # next cell in it.
        for tracker in accelerator.trackers:
            tracker.finish()


def flat(values: dict, prefix: str = "") -> dict[str, bool | float | int | str | None]:
    """Nested values as one level of primitive ones: dotted keys, sequences as "0.5, 0.9"."""
    found: dict[str, bool | float | int | str | None] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            found[prefix + key] = ", ".join(map(str, value))
        else:
            found[prefix + key] = value
    return found


def _identity(folder: Path, resume: bool) -> str:
    """An identifier kept in the run folder: a new one for a new run."""
    path = folder / ID_FILE
    if not (resume and path.is_file()):
        write_text(path, uuid4().hex + "\n")
    return path.read_text(encoding="utf-8").strip()
