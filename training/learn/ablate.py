"""A grid of students: each temperature with each alpha, and one without a teacher, to compare.

Each cell is an ordinary run folder below one folder. The same command again trains what is
missing, goes on with what was interrupted and leaves alone what is finished. Validation only: this
is where temperature and alpha are chosen.
"""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from rich.console import Console

from training.errors import RecipeError
from training.learn import run_folder
from training.learn.run_folder import (
    ANSWERS,
    BEST,
    METRICS_FILE,
    RECORD,
    is_finished,
    load_record,
    load_run,
    read_metrics,
    refuse_other_inputs,
    refuse_other_recipe,
)
from training.learn.session import train_session
from training.learn.trackers import check_tracker
from training.provenance import sha256
from training.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class Cell:
    """One run of the grid; ``temperature`` and ``alpha`` are None for the student alone."""

    name: str
    recipe: Recipe
    temperature: float | None
    alpha: float | None


def parse_numbers(text: str, option: str) -> list[float]:
    """The distinct numbers of "1,2"; RecipeError, naming ``option``, for anything else."""
    try:
        found = list(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        found = []
    if not found or not all(map(math.isfinite, found)):
        raise RecipeError(f"{option} takes numbers separated by commas, such as 1,2: not {text!r}.")
    return found


def ablation_cells(
    recipe: Path,
    temperatures: Sequence[float],
    alphas: Sequence[float],
    seeds: int = 1,
    **replacements: object,
) -> list[Cell]:
    """Every cell for the recipe's seed, then all of them for each of the seeds that follow it.

    ``replacements`` as for ``load_recipe``. Where the recipe keeps the teachers' answers
    (``rounds``), the distilled students see the views of so many epochs again and again, the one
    alone always new ones. Raises RecipeError for a value that no recipe takes.
    """
    if seeds < 1:
        raise RecipeError(f"--seeds is how many seeds each cell is trained with: not {seeds}.")
    first = load_recipe(recipe, **replacements)
    cells = []
    for seed in range(first.seed, first.seed + seeds):
        # Without the suffix for the first, so that more seeds may be added to a finished grid.
        suffix = "" if seed == first.seed else f"-seed{seed}"
        for temperature, alpha in product(temperatures, alphas):
            options = {"distillation.temperature": temperature, "distillation.alpha": alpha}
            given = load_recipe(recipe, **(replacements | options | {"seed": seed}))
            name = f"T{temperature:g}-a{alpha:g}{suffix}"
            cells.append(Cell(name, given, temperature, alpha))
        # Last: what is wrong with the teacher then shows before anything is trained.
        alone = first.model_copy(update={"distillation": None, "seed": seed})
        cells.append(Cell(f"alone{suffix}", alone, None, None))
    return cells


def ablate(
    cells: Sequence[Cell],
    output: Path,
    teachers: Sequence[Path],
    *,
    recipe_name: str,
    data: Path,
    splits: Path,
    cache: Path,
    init: Path | None,
    more: Sequence[Path] = (),
    external: Path | None = None,
    tracker: str | None = None,
) -> bool:
    """Train what is not finished of ``cells`` below ``output``.

    Returns whether this is the process, of several, that goes on to compare them. Raises RunError
    when ``output`` holds a grid of other inputs or a cell of another recipe, before anything is
    trained.
    """
    check_tracker(tracker)
    for folder in teachers:
        load_run(folder)  # raises what is wrong with it
    inputs = {
        "splits": sha256(splits),
        "teachers": [sha256(folder / BEST) for folder in teachers],
        "external": sha256(external) if external else None,
        "init": sha256(init) if init else None,
        "more": [folder.name for folder in more],
    }
    refuse_other_inputs(output, inputs, write=_is_main())
    for cell in cells:
        refuse_other_recipe(output / cell.name, cell.recipe)
    console = Console(quiet=not _is_main())
    for number, cell in enumerate(cells, 1):
        folder = output / cell.name
        title = f"{cell.name}, {number} of {len(cells)}"
        if _is_done(folder, cell.recipe):
            console.print(f"{title}: finished before", highlight=False)
            continue
        resume = run_folder.can_resume(folder)
        console.print(f"{title}: {'resumed' if resume else 'started'}", highlight=False)
        if cell.alpha is not None:
            _share_answers(folder, [output / c.name for c in cells if _same_views(c, cell)])
        train_session(
            cell.recipe,
            folder,
            teachers if cell.alpha is not None else [],
            resume,
            recipe_name=recipe_name,
            data=data,
            splits=splits,
            cache=cache,
            init=init,
            more=more,
            external=external,
            tracker=tracker,
        )
    return _is_main()


def _is_done(folder: Path, recipe: Recipe) -> bool:
    if not all((folder / name).is_file() for name in (RECORD, METRICS_FILE, BEST)):
        return False
    record = load_record(folder)
    # The record is written just before the metrics: a kill in between leaves a row to be made.
    written = len(read_metrics(folder)["epoch"]) == record.epochs
    return written and is_finished(record.epochs, record.best_epoch, recipe)


def _same_views(one: Cell, other: Cell) -> bool:
    return one.alpha is not None and one.recipe.seed == other.recipe.seed


def _share_answers(folder: Path, others: Sequence[Path]) -> None:
    """Take over the kept answers of a cell with the same views, where the recipe keeps them.

    They depend on teachers, views and seed, not on temperature or alpha.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for other in others:
        if (other / ANSWERS).is_file():
            # There already, or no links here: then the teachers are asked again.
            with suppress(OSError):
                os.link(other / ANSWERS, folder / ANSWERS)


def _is_main() -> bool:
    # As Accelerator will read it: who asks first settles how many processes there are.
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).is_main_process
