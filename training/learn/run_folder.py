"""A run's folder: what the run was started with, has done, is, and goes on from.

``recipe.json`` and ``inputs.json`` are written once, when it starts, and compared when it goes on;
``metrics.csv``, ``run.json``, ``best.safetensors`` and ``states/`` follow every epoch. Whatever is
damaged is named. Knows nothing of how a network is trained.
"""

import csv
import io
import json
import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from mel_demo.manifest import Preprocessing
from training.errors import RunError
from training.files import write_json, write_text
from training.learn.networks import as_released, build
from training.recipe import Recipe

BEST, RECORD, METRICS_FILE = "best.safetensors", "run.json", "metrics.csv"
RECIPE, INPUTS, ANSWERS = "recipe.json", "inputs.json", "guide.npy"
METRIC_COLUMNS = ("train_loss", "learning_rate", "validation_roc_auc", "validation_cross_entropy")
"""What ``read_metrics`` promises, beside the epoch."""


def is_finished(epochs: int, best_epoch: int, recipe: Recipe) -> bool:
    """Whether a run that has done ``epochs``, the best of them ``best_epoch``, is at its end."""
    return epochs >= recipe.epochs or epochs - best_epoch >= recipe.patience


@dataclass
class Progress:
    """Position in the run (``epoch`` and ``step`` to do next) and its history, one dict an epoch.

    ``loss_sum`` is over the steps of the unfinished epoch; ``seconds`` is time spent training.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    images: int = 0
    best_epoch: int = 0
    best_roc_auc: float = 0.0
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """For accelerate, which saves objects that have the pair state_dict, load_state_dict."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The way back."""
        for item in fields(self):
            setattr(self, item.name, state[item.name])

    def end_epoch(self, loss: float, learning_rate: float, validation: dict[str, float]) -> bool:
        """Close the epoch; True when its validation ROC-AUC is the best so far."""
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        row: dict[str, float] = {
            "epoch": self.epoch,
            "train_loss": loss,
            "learning_rate": learning_rate,
        }
        row |= {f"validation_{name}": value for name, value in validation.items()}
        self.history.append(row | {"seconds": round(self.seconds, 1)})
        better = validation["roc_auc"] > self.best_roc_auc
        if better:
            self.best_epoch, self.best_roc_auc = self.epoch, validation["roc_auc"]
        return better

    def write_metrics(self, folder: Path) -> None:
        """Write the history as CSV, one row an epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.history)
        write_text(folder / METRICS_FILE, text.getvalue())


def has_epochs(folder: Path) -> bool:
    """Whether it was trained here: a restored or averaged run has no epochs of its own."""
    return (folder / RECIPE).is_file()


def read_metrics(folder: Path) -> dict[str, list[float]]:
    """The columns of a run's metrics file, one value an epoch from the first.

    Holds "epoch" and METRIC_COLUMNS, and whatever else was measured. RunError when the file is
    absent or lacks a column or a number.
    """
    path = folder / METRICS_FILE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise RunError(
            f"{folder} has no {METRICS_FILE} yet: its first epoch is not finished."
        ) from None
    absent = {"epoch", *METRIC_COLUMNS} - set(rows[0] if rows else ())
    if absent:
        raise RunError(f"{path} lacks the column(s) {', '.join(sorted(absent))}.")
    columns: dict[str, list[float]] = {name: [] for name in rows[0]}
    for number, row in enumerate(rows, start=2):
        for name, values in columns.items():
            try:
                values.append(float(row[name]))
            except (TypeError, ValueError):
                raise RunError(f"{path}, line {number}: {name} is {row[name]!r}.") from None
    return columns


@dataclass(frozen=True)
class RunRecord:
    """What a run folder says of itself in run.json.

    ``hours`` are wall-clock hours of training over all resumed parts; ``init`` says in words where
    the starting weights came from.
    """

    role: str
    architecture: str
    recipe_name: str
    recipe: dict[str, Any]
    preprocessing: Preprocessing
    git_commit: str
    seed: int
    splits_sha256: str
    init: str
    epochs: int
    best_epoch: int
    best_roc_auc: float
    hours: float
    hardware: str
    images_per_second: float
    teacher: str | None = None
    sources: dict[str, int] | None = None
    external_sha256: str | None = None


def save_best(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Write weights in one step: a kill leaves the old file or the new one."""
    temporary = folder / (BEST + ".tmp")
    own = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    with _saving(folder):
        save_file(own, temporary)
        temporary.replace(folder / BEST)


def save_record(folder: Path, record: RunRecord) -> None:
    """Write run.json."""
    write_json(folder / RECORD, asdict(record))


def load_record(folder: Path) -> RunRecord:
    """Read run.json; RunError when the folder is no run."""
    path = Path(folder) / RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values = {"sources": None, "external_sha256": None} | values  # absent from the first runs
        unknown = set(values) ^ {field.name for field in fields(RunRecord)}
        if unknown:
            raise RunError(f"{path} was written by another version: {', '.join(sorted(unknown))}.")
        pre = values.pop("preprocessing")
        pre["mean"], pre["std"] = tuple(pre["mean"]), tuple(pre["std"])
        return RunRecord(**values, preprocessing=Preprocessing(**pre))
    except FileNotFoundError:
        raise RunError(
            f"{folder} is no run folder: it has no {RECORD}. Train one with "
            "`python -m training teacher` or `python -m training student`."
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error


def load_run(folder: Path) -> tuple[nn.Module, RunRecord]:
    """The network of a finished (or running) run with its best weights, in eval mode.

    It is given as it is released (see ``as_released``), so that every later step, from evaluation
    to distillation, sees the network that is served.
    """
    folder = Path(folder)
    record = load_record(folder)
    network = build(record.architecture, size=record.preprocessing.size)
    if not (folder / BEST).is_file():
        raise RunError(f"{folder} has no {BEST} yet: the run has not finished its first epoch.")
    try:
        network.load_state_dict(load_file(folder / BEST))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _damaged(folder / BEST, error) from error
    return as_released(network.eval()), record


Inputs = Mapping[str, Any]
"""The files a run learns from, by SHA-256, under the keys of _IN_WORDS.

A string, None where there is none, a list in any order, or a mapping from data sets.
"""
_IN_WORDS = {
    "splits": "the splits, whose holdout may hold images it has learned from",
    "teachers": "the teachers",
    "external": "the file of external images",
    "data": "the pictures of",
    "init": "the starting weights",
    "more": "the folders of --more",
}


def refuse_taken(folder: Path, recipe: Recipe, resume: bool) -> None:
    """RunError where ``folder`` cannot take this run; found before data is read for minutes."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file: give --output a folder.")
    if resume:
        refuse_other_recipe(folder, recipe)
    elif can_resume(folder):
        raise RunError(
            f"{folder} holds a run already: go on with --resume, or choose another --output."
        )
    # A run that was killed in its first epoch may have weights and no state; it is started again.
    elif (folder / BEST).is_file() and not (has_epochs(folder) and load_record(folder).epochs < 2):
        raise RunError(
            f"{folder} holds weights, which would be lost: choose another --output (--init "
            f"{folder / BEST} starts from them)."
        )


def claim(folder: Path, recipe: Recipe, inputs: Inputs, resume: bool, write: bool = True) -> None:
    """Take the folder for a run, new or resumed, unless it holds another one (RunError).

    A resumed run keeps what was recorded when it began. ``write``: False for all but one process.
    """
    refuse_taken(folder, recipe, resume)
    former = _former_inputs(folder)
    if resume:
        _refuse(folder, former, inputs)
    if not write:
        return
    if not resume and _other_start(folder, recipe, former, inputs):
        # Left by a run that was killed before its first state: answers to other questions.
        (folder / ANSWERS).unlink(missing_ok=True)
    if not resume or not (folder / RECIPE).is_file():
        write_text(folder / RECIPE, recipe.model_dump_json(indent=1) + "\n")
    write_json(folder / INPUTS, {**inputs, **former} if resume else inputs)


def refuse_other_recipe(folder: Path, recipe: Recipe) -> None:
    """RunError when ``folder`` holds a run of another recipe, naming what differs."""
    former = _read(folder / RECIPE)
    if not former:
        return
    wanted = recipe.model_dump(mode="json")
    changed = [key for key in {**former, **wanted} if former.get(key) != wanted.get(key)]
    if changed:
        raise RunError(
            f"{folder} was started with another recipe ({', '.join(changed)} differ): resume "
            "it with the same options, or choose another --output."
        )


def refuse_other_inputs(folder: Path, inputs: Inputs, write: bool) -> None:
    """RunError when ``folder`` was started with other files; with ``write`` it then says these."""
    _refuse(folder, _read(folder / INPUTS), inputs)
    if write:
        write_json(folder / INPUTS, inputs)


def _refuse(folder: Path, former: Inputs, inputs: Inputs) -> None:
    if changed := _changed(former, inputs):
        raise RunError(
            f"{folder} was started with other files: {'; '.join(changed)}. Give the same ones, or "
            "choose another --output."
        )


def _former_inputs(folder: Path) -> dict[str, Any]:
    """What the folder says that it was started with; runs of before said less, in their record."""
    if (folder / INPUTS).is_file() or not (folder / RECORD).is_file():
        return _read(folder / INPUTS)
    record = load_record(folder)
    return {"splits": record.splits_sha256, "external": record.external_sha256}


def _changed(former: Inputs, given: Inputs) -> list[str]:
    """What differs of what both say, in words with both hashes."""
    found = []
    for key, words in _IN_WORDS.items():
        if key not in former or key not in given:
            continue
        was, now = former[key], given[key]
        if isinstance(now, Mapping):
            sets = [name for name in {**was, **now} if was.get(name) != now.get(name)]
            words = f"{words} {', '.join(sets)}"
            was, now = ([of.get(name) for name in sets] for of in (was, now))
        elif isinstance(now, list):
            was, now = sorted(was), sorted(now)
        if was != now:
            found.append(f"{words} ({_short(was)} then, {_short(now)} now)")
    return found


def _short(hashes: str | list[str | None] | None) -> str:
    if isinstance(hashes, list):
        return " and ".join(map(_short, hashes)) or "none"
    return hashes[:12] if hashes else "none"


def _other_start(folder: Path, recipe: Recipe, former: Inputs, given: Inputs) -> bool:
    recorded = _read(folder / RECIPE)
    other = bool(recorded) and recorded != recipe.model_dump(mode="json")
    return other or bool(_changed(former, given))


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is no file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(found, dict):
        raise _damaged(path, TypeError("it holds no object"))
    return found


def _damaged(path: Path, error: Exception) -> RunError:
    reason = str(error).strip().splitlines()
    return RunError(
        f"{path} is damaged ({reason[0] if reason else type(error).__name__}): bring it back from "
        "a copy, or train again with another --output."
    )


_LATEST = "latest"


def save_state(accelerator: Accelerator, run: Path, name: str) -> None:
    """Save everything accelerate knows to ``run/states/name`` and point ``latest`` to it."""
    states = run / "states"
    with _saving(run):
        accelerator.save_state(str(states / name))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_text(states / _LATEST, name)
        for old in states.iterdir():
            if old.is_dir() and old.name != name:
                shutil.rmtree(old)
    accelerator.wait_for_everyone()


def load_state(accelerator: Accelerator, run: Path) -> None:
    """Load the latest state; RunError when there is none."""
    pointer = run / "states" / _LATEST
    if not pointer.is_file():
        raise RunError(f"{run} has no saved state to resume from: start it without --resume.")
    state = run / "states" / pointer.read_text(encoding="utf-8", errors="replace").strip()
    for path in state.glob("random_states_*.pkl"):  # without which accelerate goes on, differently
        if not is_zipfile(path):
            raise _damaged(state, ValueError(f"{path.name} is no archive"))
    try:
        accelerator.load_state(str(state))
    except (
        OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError,
        pickle.UnpicklingError, SafetensorError,
    ) as error:  # fmt: skip
        raise _damaged(state, error) from error


def can_resume(run: Path) -> bool:
    """Whether ``run`` can be resumed."""
    return (run / "states" / _LATEST).is_file()


@contextmanager
def _saving(run: Path) -> Iterator[None]:
    """RunError where a disk is full; torch and safetensors have errors of their own for that."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        raise RunError(
            f"{run} cannot be written ({str(error).strip().splitlines()[0]}). What was saved "
            "before is whole: make room and go on with --resume."
        ) from error
