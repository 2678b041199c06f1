"""What a run has done so far: saved with its state, shown in its metrics file."""

import csv
import io
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from training.config import Recipe
from training.errors import RunError
from training.files import write_text

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
