"""python -m training ablate: a grid that a kill does not lose, its table and its figure."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from rich.console import Console

from tests.support.tiny_training import TinyTraining, run, run_by_two, training
from training.errors import RecipeError, RunError
from training.learn import run_folder
from training.learn.ablate import ablate, ablation_cells, parse_numbers
from training.learn.run_folder import ANSWERS
from training.report.ablation import compare_cells, draw_comparison, print_table

CELLS = ("T1-a0.5", "T2-a0.5", "alone")


class Killed(BaseException):
    """Ends the command at once, wherever it is: what is on disk stays as a kill leaves it."""


def command(tiny: TinyTraining, output: Path, *options: str) -> list[str]:
    """Two distilled students and one alone; the distilled ones share the views of one round."""
    return training(
        "ablate", "--recipe", tiny.root / "student.yaml", "--data", tiny.data,
        "--splits", tiny.splits, "--cache", tiny.root / "cache", "--teacher", tiny.teacher,
        "--output", output, "--temperatures", "1,2", "--alphas", "0.5",
        "--set", "distillation.rounds=1", *options,
    )  # fmt: skip


def written(folder: Path) -> dict[Path, int]:
    """When each file of a folder was last written, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def killed_grid(tiny_training, tmp_path_factory):
    """A grid killed in its second cell and started again: its folder, what was there, the output.

    tests/test_training.py kills a run with a signal; here it is the grid that must go on.
    """
    output = tmp_path_factory.mktemp("ablate") / "grid"
    save = run_folder.save_state

    def save_and_die(accelerator, folder, name):
        save(accelerator, folder, name)
        if folder.name == CELLS[1]:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.learn.run_folder.save_state", save_and_die)
        with pytest.raises(Killed):
            run(command(tiny_training, output))
    assert (output / CELLS[1] / "states" / "latest").read_text() == "0-2"
    assert not (output / "ablate.json").exists()
    before = written(output / CELLS[0])
    answers = (output / CELLS[1] / ANSWERS).stat().st_ino
    return output, before, answers, run(command(tiny_training, output))


def test_the_same_command_finishes_a_killed_grid(killed_grid):
    output, before, _, printed = killed_grid
    assert f"{CELLS[0]}, 1 of 3: finished before" in printed
    assert f"{CELLS[1]}, 2 of 3: resumed" in printed
    assert f"{CELLS[2]}, 3 of 3: started" in printed
    assert written(output / CELLS[0]) == before, "a finished cell is not touched"
    for cell in CELLS:
        assert json.loads((output / cell / "run.json").read_text())["epochs"] == 2


def test_each_row_has_the_numbers_of_its_metrics_file(killed_grid):
    output = killed_grid[0]
    found = json.loads((output / "ablate.json").read_text())
    assert [row["name"] for row in found["rows"]] == list(CELLS)
    assert [(row["temperature"], row["alpha"]) for row in found["rows"]] == [
        (1.0, 0.5), (2.0, 0.5), (None, None),
    ]  # fmt: skip
    for row in found["rows"]:
        (only,) = row["runs"]
        with (output / row["name"] / "metrics.csv").open() as file:
            epochs = list(csv.DictReader(file))
        best = max(epochs, key=lambda epoch: float(epoch["validation_roc_auc"]))
        assert only["best_epoch"] == int(best["epoch"])
        for name, mean in row["mean"].items():
            assert mean == only[name] == float(best[f"validation_{name}"])
            assert row["spread"][name] is None


def test_the_file_says_what_it_was_made_from_and_what_it_cost(killed_grid, tiny_training):
    found = json.loads((killed_grid[0] / "ablate.json").read_text())
    record = json.loads((tiny_training.teacher / "run.json").read_text())
    assert found["command"].startswith("python ")
    assert str(tiny_training.root) not in json.dumps(found), "no folders of this machine"
    assert found["splits_sha256"] == record["splits_sha256"]
    assert found["split"] == "validation"
    commits = {run["git_commit"] for row in found["rows"] for run in row["runs"]}
    assert commits == {found["git_commit"]}
    images = sum(found["sources"].values()) // 8 * 8
    assert found["budget"]["epochs"] == 2
    assert found["budget"]["images_seen"] == 2 * images


def test_the_printed_table_has_every_cell(killed_grid):
    lines = [line.split() for line in killed_grid[3].replace("│", " ").splitlines()]
    found = json.loads((killed_grid[0] / "ablate.json").read_text())
    for row in found["rows"]:
        first = ["alone"] if row["name"] == "alone" else [f"{row['temperature']:g}", "0.5"]
        shown = [*first, *(f"{value:.4f}" for value in row["mean"].values())]
        assert any(line[: len(shown)] == shown for line in lines), shown


def test_only_the_cell_alone_has_no_teacher(killed_grid):
    records = {name: json.loads((killed_grid[0] / name / "run.json").read_text()) for name in CELLS}
    assert [name for name, record in records.items() if record["teacher"] is None] == ["alone"]
    assert records["alone"]["recipe"]["distillation"] is None
    assert not (killed_grid[0] / "alone" / ANSWERS).exists()


def test_cells_of_one_seed_ask_the_teacher_once(killed_grid):
    output, _, answers, _ = killed_grid
    assert (output / CELLS[0] / ANSWERS).stat().st_ino == answers


def test_the_figure_names_every_cell_and_is_the_same_again(killed_grid, tmp_path):
    found = json.loads((killed_grid[0] / "ablate.json").read_text())
    draw_comparison(found, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (killed_grid[0] / "ablate.svg").read_bytes()
    # matplotlib leaves the text of each drawn label as a comment beside its outlines.
    text = (killed_grid[0] / "ablate.svg").read_text()
    for label in ("T = 1, α = 0.5", "T = 2, α = 0.5", "without a teacher", "ROC-AUC"):
        assert label in text
    assert ElementTree.fromstring(text).tag.endswith("svg")
    draw_comparison(found, tmp_path / "figure.png")
    assert len(Image.open(tmp_path / "figure.png").convert("RGB").getcolors(100_000)) > 50


def test_several_seeds_show_their_mean_and_spread(killed_grid, tmp_path):
    found = json.loads((killed_grid[0] / "ablate.json").read_text())
    for row in found["rows"]:
        row["runs"] *= 2
        row["spread"] = dict.fromkeys(row["mean"], 0.0125)
    console = Console(file=io.StringIO(), width=120)
    print_table(found, console)
    draw_comparison(found, tmp_path / "seeds.svg")
    assert "± 0.0125" in console.file.getvalue()
    assert "standard deviation" in (tmp_path / "seeds.svg").read_text()


def test_spread_is_the_standard_deviation_over_seeds(tiny_training, tmp_path):
    first = ablation_cells(tiny_training.root / "student.yaml", [1], [0.5])[0]
    cells = [first, replace(first, name="T1-a0.5-seed8")]
    for cell, loss in zip(cells, (1.0, 2.0), strict=True):
        shutil.copytree(tiny_training.student, tmp_path / cell.name)
        path = tmp_path / cell.name / "metrics.csv"
        rows = list(csv.DictReader(path.open()))
        with path.open("w") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(row | {"validation_cross_entropy": loss} for row in rows)
    (row,) = compare_cells(cells, tmp_path, [tiny_training.teacher])["rows"]
    assert row["mean"]["cross_entropy"] == 1.5
    assert row["spread"]["cross_entropy"] == pytest.approx(0.5**0.5)
    assert row["spread"]["roc_auc"] == 0


def test_a_grid_has_every_cell_for_every_seed(tiny_training):
    cells = ablation_cells(tiny_training.root / "student.yaml", [1, 2], [0.5, 0.9], 2, epochs=3)
    names = [cell.name for cell in cells]
    assert names[:5] == ["T1-a0.5", "T1-a0.9", "T2-a0.5", "T2-a0.9", "alone"]
    assert names[5:] == [f"{name}-seed8" for name in names[:5]]
    assert {cell.recipe.seed for cell in cells[5:]} == {8}
    assert {cell.recipe.epochs for cell in cells} == {3}
    given = cells[2].recipe.distillation
    assert (given.temperature, given.alpha) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("temperatures", "alphas", "seeds", "message"),
    [
        ("1,x", "0.5", 1, r"--temperatures takes numbers .*'1,x'"),
        ("", "0.5", 1, r"--temperatures takes numbers"),
        ("nan", "0.5", 1, r"--temperatures takes numbers"),
        ("0", "0.5", 1, r"distillation.temperature: .*greater than 0"),
        ("1", "0.5,1.5", 1, r"distillation.alpha: .*got 1.5"),
        ("1", "0.5", 0, r"--seeds is how many .*not 0"),
    ],
)
def test_values_that_no_grid_takes(tiny_training, temperatures, alphas, seeds, message):
    recipe = tiny_training.root / "student.yaml"

    def cells():
        values = parse_numbers(temperatures, "--temperatures"), parse_numbers(alphas, "--alphas")
        return ablation_cells(recipe, *values, seeds)

    with pytest.raises(RecipeError, match=message):
        cells()


def again(killed_grid, tiny, **changed):
    """The grid once more, in this process, with something changed."""
    options = {"epochs": changed.pop("epochs", 2), "distillation.rounds": 1}
    cells = ablation_cells(tiny.root / "student.yaml", [1, 2], [0.5], **options)
    given = {
        "recipe_name": "student.yaml", "data": tiny.data, "splits": tiny.splits,
        "output": killed_grid[0], "cache": tiny.root / "cache", "init": None,
        "teachers": [tiny.teacher],
    }  # fmt: skip
    return ablate(cells, **(given | changed))


def test_a_finished_grid_trains_nothing_again(killed_grid, tiny_training, monkeypatch):
    def train(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("training.learn.ablate.train_session", train)
    before = [written(killed_grid[0] / cell) for cell in CELLS]
    assert again(killed_grid, tiny_training), "goes on to compare them"
    assert [written(killed_grid[0] / cell) for cell in CELLS] == before


def test_two_processes_are_one_grid(killed_grid, tiny_training):
    printed = run_by_two(command(tiny_training, killed_grid[0]))
    assert printed.count("finished before") == len(CELLS), "said by one of them"


def test_a_grid_of_another_recipe_is_refused(killed_grid, tiny_training):
    with pytest.raises(RunError, match=r"T1-a0\.5 was started with another recipe \(epochs differ"):
        again(killed_grid, tiny_training, epochs=3)


def test_a_grid_of_another_teacher_is_refused(killed_grid, tiny_training):
    with pytest.raises(RunError, match=r"started with other files: the teachers \(\w{12} then"):
        again(killed_grid, tiny_training, teachers=[tiny_training.student])


def test_a_teacher_that_is_no_run_is_found_before_anything_is_trained(tiny_training, tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        again([tmp_path / "grid"], tiny_training, teachers=[tmp_path])
    assert not (tmp_path / "grid").exists()
