"""Finished runs of a grid side by side: as data, as a printed table, as one figure.

Measures nothing: every number is from the runs' own records and metrics files.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from training.files import write_json
from training.learn.ablate import Cell
from training.learn.run_folder import RunRecord, load_record, read_metrics
from training.provenance import command, git_commit, now
from training.report.plots import COLOURS

_COMPARED = {
    "roc_auc": "melanoma ROC-AUC, higher is better",
    "balanced_accuracy": "balanced accuracy, higher is better",
    "cross_entropy": "cross-entropy (nats), lower is better",
}


def write_comparison(
    cells: Sequence[Cell], folder: Path, teachers: Sequence[Path], console: Console
) -> dict[str, Any]:
    """Print ``compare_cells``, and write it below ``folder`` as ablate.json and ablate.svg."""
    found = compare_cells(cells, folder, teachers)
    print_table(found, console)
    write_json(folder / "ablate.json", found)
    draw_comparison(found, folder / "ablate.svg")
    console.print(f"{folder / 'ablate.json'} and ablate.svg beside it")
    return found


def compare_cells(cells: Sequence[Cell], folder: Path, teachers: Sequence[Path]) -> dict[str, Any]:
    """What the finished ``cells`` below ``folder`` found on validation, as plain values.

    ``rows``: one for each (temperature, alpha), and one for the student alone, with ``runs`` (one
    a seed) and, over them, the ``mean`` and the ``spread`` (standard deviation, None for one seed)
    of the metrics in _COMPARED. A run's metrics are those of its epoch with the best ROC-AUC: of
    the weights it keeps. ``budget`` is what one run was given and what all took.
    """
    grouped: dict[tuple[float | None, float | None], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.temperature, cell.alpha), []).append(cell)
    rows = [_row(key, group, folder) for key, group in grouped.items()]
    record, recipe = load_record(folder / cells[0].name), cells[0].recipe
    guides = [(teacher.name, load_record(teacher)) for teacher in teachers]
    return {
        "command": command(),
        "created": now(),
        "git_commit": git_commit(),
        "splits_sha256": record.splits_sha256,
        "split": "validation",
        "architecture": record.architecture,
        "recipe": record.recipe_name,
        "init": record.init,
        "sources": record.sources,
        "teachers": [
            {"folder": name, "architecture": guide.architecture, "roc_auc": guide.best_roc_auc}
            for name, guide in guides
        ],
        "hardware": record.hardware,
        "budget": {
            "epochs": recipe.epochs,
            "images_seen": recipe.epochs * _images_an_epoch(record),
            "size": recipe.size,
            "rounds": recipe.distillation.rounds if recipe.distillation else 0,
            "runs": len(cells),
            "hours": round(sum(run["hours"] for row in rows for run in row["runs"]), 3),
        },
        "rows": rows,
    }


def _row(
    key: tuple[float | None, float | None], cells: Sequence[Cell], folder: Path
) -> dict[str, Any]:
    runs = [_run(folder / cell.name) for cell in cells]
    values = {name: [run[name] for run in runs] for name in _COMPARED}
    return {
        "name": "alone" if key[0] is None else cells[0].name,
        "temperature": key[0],
        "alpha": key[1],
        "mean": {name: statistics.fmean(each) for name, each in values.items()},
        "spread": {
            name: statistics.stdev(each) if len(each) > 1 else None for name, each in values.items()
        },
        "runs": runs,
    }


def _run(folder: Path) -> dict[str, Any]:
    record = load_record(folder)
    history = read_metrics(folder)
    return {
        "folder": folder.name,
        "seed": record.seed,
        "teacher": record.teacher is not None,
        "git_commit": record.git_commit,
        "epochs": record.epochs,
        "best_epoch": record.best_epoch,
        "images_seen": record.epochs * _images_an_epoch(record),
        "hours": record.hours,
        **{name: history[f"validation_{name}"][record.best_epoch - 1] for name in _COMPARED},
    }


def _images_an_epoch(record: RunRecord) -> int:
    """Whole batches only: the loop leaves out the rest."""
    batch_size = record.recipe["batch_size"]
    return sum((record.sources or {}).values()) // batch_size * batch_size


def print_table(found: dict[str, Any], console: Console) -> None:
    """One line a row of ``compare_cells``, and the budget below."""
    several = len(found["rows"][0]["runs"])
    table = Table(
        "T", "alpha", "ROC-AUC", "balanced accuracy", "cross-entropy", "best epoch", "hours",
        title=f"{found['architecture']}, validation" + (f", {several} seeds" * (several > 1)),
    )  # fmt: skip
    for row in found["rows"]:
        alone = row["temperature"] is None
        table.add_row(
            "alone" if alone else f"{row['temperature']:g}",
            "" if alone else f"{row['alpha']:g}",
            *(_shown(row["mean"][name], row["spread"][name]) for name in _COMPARED),
            ", ".join(str(run["best_epoch"]) for run in row["runs"]),
            f"{sum(run['hours'] for run in row['runs']):.2f}",
        )
    console.print(table)
    console.print(
        f"{_budget(found)} Metrics are those of the epoch with the best ROC-AUC"
        + (", mean ± standard deviation over seeds." if several > 1 else "."),
        highlight=False,
    )


def draw_comparison(found: dict[str, Any], path: Path) -> None:
    """Write ``compare_cells``'s rows as a figure: one panel a metric, one line a row.

    Marks differ in shape as well as in colour, and the footer says what they are.
    """
    rows = found["rows"]
    labels = [
        "without a teacher"
        if row["temperature"] is None
        else f"T = {row['temperature']:g}, α = {row['alpha']:g}"
        for row in rows
    ]
    # The salt and the absent date make the same numbers give the same file.
    with rc_context({"svg.hashsalt": "mel_demo", "font.size": 10}):
        figure = Figure(figsize=(10.5, 2.0 + 0.42 * len(rows)), layout="constrained")
        panels = figure.subplots(1, len(_COMPARED), sharey=True)
        for axes, (name, title) in zip(panels, _COMPARED.items(), strict=True):
            _panel(axes, rows, name)
            axes.set_title(title, fontsize=10)
        panels[0].set_yticks(range(len(rows)), labels)
        panels[0].set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
        figure.suptitle(f"{found['architecture']} on validation", fontweight="bold")
        marks = "Dashed: the student without a teacher."
        if len(rows[0]["runs"]) > 1:
            marks += " Hollow: single seeds; filled, with its bar: mean ± standard deviation."
        figure.supxlabel(f"{marks}\n{_budget(found)}", fontsize=9)
        figure.savefig(path, metadata={"Date": None})


def _panel(axes: Axes, rows: Sequence[dict[str, Any]], name: str) -> None:
    for place, row in enumerate(rows):
        alone = row["temperature"] is None
        colour, mark = (COLOURS["student"], "s") if alone else (COLOURS["teacher"], "o")
        mean, spread = row["mean"][name], row["spread"][name]
        if alone:
            axes.axvline(mean, color=colour, linestyle="--", linewidth=1, zorder=1)
        if spread is not None:
            each = [run[name] for run in row["runs"]]
            axes.plot(each, [place] * len(each), mark, color=colour, markersize=4, fillstyle="none")
        axes.errorbar(
            mean, place, xerr=spread, fmt=mark, color=colour, markersize=7, capsize=3, zorder=3
        )
        axes.annotate(
            f"{mean:.3f}", (mean, place), xytext=(0, 7), textcoords="offset points", ha="center",
            fontsize=9, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, zorder=2,
        )  # fmt: skip
    axes.margins(x=0.15)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _budget(found: dict[str, Any]) -> str:
    budget = found["budget"]
    seen = f"{budget['images_seen']:,}".replace(",", " ")
    return (
        f"Each run: {budget['epochs']} epochs at {budget['size']} px, {seen} images seen. "
        f"All {budget['runs']} runs: {budget['hours']:.2f} hours on {found['hardware']}."
    )


def _shown(mean: float, spread: float | None) -> str:
    return f"{mean:.4f}" if spread is None else f"{mean:.4f} ± {spread:.4f}"
