"""Saved state of a run: written whole beside the former one, so that a kill never loses both."""

import shutil
from pathlib import Path

from accelerate import Accelerator

from training.errors import RunError
from training.files import write_text

_LATEST = "latest"


def save(accelerator: Accelerator, run: Path, name: str) -> None:
    """Save everything accelerate knows to ``run/states/name`` and point ``latest`` to it."""
    states = run / "states"
    accelerator.save_state(str(states / name))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_text(states / _LATEST, name)
        for old in states.iterdir():
            if old.is_dir() and old.name != name:
                shutil.rmtree(old)
    accelerator.wait_for_everyone()


def load(accelerator: Accelerator, run: Path) -> None:
    """Load the latest state; RunError when there is none."""
    pointer = run / "states" / _LATEST
    if not pointer.is_file():
        raise RunError(f"{run} has no saved state to resume from: start it without --resume.")
    accelerator.load_state(str(run / "states" / pointer.read_text(encoding="utf-8").strip()))


def exists(run: Path) -> bool:
    """Whether ``run`` can be resumed."""
    return (run / "states" / _LATEST).is_file()
