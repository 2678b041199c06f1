"""What a run has done so far: saved with its state, shown in its metrics file."""

import csv
import io
import json
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn

from mel_demo.manifest import Preprocessing
from training.errors import RunError
from training.files import write_json, write_text
from training.learn.networks import as_released, build
from training.recipe import Recipe

METRICS = "metrics.csv"
COLUMNS = ("train_loss", "learning_rate", "validation_roc_auc", "validation_cross_entropy")
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
    history: list[dict] = field(default_factory=list)

    def state_dict(self) -> dict:
        """For accelerate, which saves objects that have the pair state_dict, load_state_dict."""
        return asdict(self)

    def load_state_dict(self, state: dict) -> None:
        """The way back."""
        for item in fields(self):
            setattr(self, item.name, state[item.name])

    def end_epoch(self, loss: float, learning_rate: float, validation: dict[str, float]) -> bool:
        """Close the epoch; True when its validation ROC-AUC is the best so far."""
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        row = {"epoch": self.epoch, "train_loss": loss, "learning_rate": learning_rate}
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
        write_text(folder / METRICS, text.getvalue())


def read_metrics(folder: Path) -> dict[str, list[float]]:
    """The columns of a run's metrics file, one value an epoch from the first.

    Holds "epoch" and COLUMNS, and whatever else was measured. RunError when the file is absent or
    lacks a column or a number.
    """
    path = folder / METRICS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise RunError(f"{folder} has no {METRICS} yet: its first epoch is not finished.") from None
    absent = {"epoch", *COLUMNS} - set(rows[0] if rows else ())
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


BEST, RECORD = "best.safetensors", "run.json"


@dataclass(frozen=True)
class RunRecord:
    """What a run folder says of itself in run.json.

    ``hours`` are wall-clock hours of training over all resumed parts; ``init`` says in words where
    the starting weights came from.
    """

    role: str
    architecture: str
    recipe_name: str
    recipe: dict
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
    save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, temporary)
    temporary.replace(folder / BEST)


def save_record(folder: Path, record: RunRecord) -> None:
    """Write run.json."""
    write_json(folder / RECORD, asdict(record))


def load_record(folder: Path) -> RunRecord:
    """Read run.json; RunError when the folder is no run."""
    path = Path(folder) / RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{folder} is no run folder: it has no {RECORD}. Train one with "
            "`python -m training teacher` or `python -m training student`."
        ) from None
    values = {"sources": None, "external_sha256": None} | values  # absent from the first runs
    unknown = set(values) ^ {field.name for field in fields(RunRecord)}
    if unknown:
        raise RunError(f"{path} was written by another version: {', '.join(sorted(unknown))}.")
    pre = values.pop("preprocessing")
    pre["mean"], pre["std"] = tuple(pre["mean"]), tuple(pre["std"])
    return RunRecord(**values, preprocessing=Preprocessing(**pre))


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
    network.load_state_dict(load_file(folder / BEST))
    return as_released(network.eval()), record


RECIPE = "recipe.json"


def refuse_other_recipe(folder: Path, recipe: Recipe) -> None:
    """RunError when ``folder`` holds a run of another recipe, naming what differs."""
    path = folder / RECIPE
    if not path.is_file():
        return
    former = Recipe.model_validate_json(path.read_text(encoding="utf-8")).model_dump()
    changed = [key for key, value in recipe.model_dump().items() if former[key] != value]
    if changed:
        raise RunError(
            f"{folder} was started with another recipe ({', '.join(changed)} differ): resume "
            "it with the same options, or choose another --output."
        )


_LATEST = "latest"


def save_state(accelerator: Accelerator, run: Path, name: str) -> None:
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


def load_state(accelerator: Accelerator, run: Path) -> None:
    """Load the latest state; RunError when there is none."""
    pointer = run / "states" / _LATEST
    if not pointer.is_file():
        raise RunError(f"{run} has no saved state to resume from: start it without --resume.")
    accelerator.load_state(str(run / "states" / pointer.read_text(encoding="utf-8").strip()))


def can_resume(run: Path) -> bool:
    """Whether ``run`` can be resumed."""
    return (run / "states" / _LATEST).is_file()
