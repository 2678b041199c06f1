"""Trackers: told the recipe and every epoch, once resumed too; absent packages are named."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate.tracking import GeneralTracker

from tests.support.tiny_training import ONE_THREAD, TinyTraining, run, training
from training.errors import RecipeError
from training.learn.session import train_session
from training.learn.trackers import flat, tracking
from training.recipe import load_recipe


class Killed(BaseException):
    """Ends the run at once."""


class Memory(GeneralTracker):
    """A tracker of accelerate's own kind that keeps what it is told."""

    name = "memory"
    requires_logging_directory = False

    def __init__(self, die_at: int | None = None) -> None:
        super().__init__()
        self.config, self.rows, self.ended, self.die_at = {}, [], False, die_at

    @property
    def tracker(self) -> list:
        return self.rows

    def start(self) -> None:
        pass

    def store_init_configuration(self, values: dict) -> None:
        self.config = values

    def log(self, values: dict, step: int | None = None, **kwargs: object) -> None:
        self.rows.append((step, dict(values)))
        if step == self.die_at:
            raise Killed

    def finish(self) -> None:
        self.ended = True


@pytest.fixture(scope="module")
def killed_and_resumed(tiny_training: TinyTraining, tmp_path_factory):
    """The folder of a run killed as its first epoch was logged and then resumed; both trackers."""
    output = tmp_path_factory.mktemp("tracked") / "run"
    first, second = Memory(die_at=1), Memory()

    def train(tracker: Memory, resume: bool) -> None:
        train_session(
            load_recipe(tiny_training.root / "teacher.yaml"),
            recipe_name="teacher.yaml", data=tiny_training.data, splits=tiny_training.splits,
            output=output, cache=tiny_training.root / "cache", init=None, teachers=[],
            resume=resume, tracker=tracker,
        )  # fmt: skip

    with pytest.raises(Killed):
        train(first, resume=False)
    train(second, resume=True)
    return output, first, second


def test_each_epoch_is_logged_as_it_stands_in_metrics(killed_and_resumed):
    output, _, second = killed_and_resumed
    with (output / "metrics.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert second.rows == [(1, rows[0]), (2, rows[1])]


def test_who_is_killed_while_logging_logs_the_same_epoch_again(killed_and_resumed):
    _, first, second = killed_and_resumed
    ((step, row),) = first.rows
    assert step == 1
    assert row | {"seconds": 0} == second.rows[0][1] | {"seconds": 0}


def test_the_tracker_is_told_the_recipe_in_primitive_values(killed_and_resumed):
    output, first, second = killed_and_resumed
    recipe = json.loads((output / "recipe.json").read_text())
    assert first.config == second.config == flat(recipe)
    assert first.config["loss.name"] == "cross_entropy"
    assert first.config["mean"] == "0.485, 0.456, 0.406"
    kinds = {type(value) for value in first.config.values()}
    assert kinds <= {bool, float, int, str, type(None)}


def test_the_tracker_is_closed_also_when_the_run_is_not_finished(killed_and_resumed):
    assert [tracker.ended for tracker in killed_and_resumed[1:]] == [True, True]


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_a_resumed_run_goes_on_in_the_same_run_of_the_tracker(tmp_path, monkeypatch, name):
    given = []
    accelerator = SimpleNamespace(
        log_with=[name],
        trackers=[],
        init_trackers=lambda project, config, init_kwargs: given.append((project, init_kwargs)),
    )
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(Path(__file__).parents[3] / "training/recipes/teacher.yaml")
    for resume in (False, True, False):
        with tracking(accelerator, Path("runs/teacher"), recipe, resume):
            pass
    assert {project for project, _ in given} == {"mel_demo"}
    started, resumed, restarted = (kwargs[name] for _, kwargs in given)
    assert {run["name"] for run in (started, resumed, restarted)} == {"runs/teacher"}
    assert [run["resume"] for run in (started, resumed, restarted)] == ["never", "allow", "never"]
    if name == "wandb":
        assert started["id"] == resumed["id"] != restarted["id"]


def test_a_folder_of_this_machine_is_not_told(tmp_path):
    given = []
    accelerator = SimpleNamespace(
        log_with=["wandb"],
        trackers=[],
        init_trackers=lambda project, config, init_kwargs: given.append(init_kwargs),
    )
    recipe = load_recipe(Path(__file__).parents[3] / "training/recipes/teacher.yaml")
    with tracking(accelerator, tmp_path / "run", recipe, False):
        pass
    assert given[0]["wandb"]["name"] == "run"


@pytest.mark.parametrize("command", ["teacher", "student", "ablate"])
@pytest.mark.parametrize("tracker", ["trackio", "wandb"])
def test_a_tracker_that_is_not_installed_is_named_before_any_training(
    tiny_training: TinyTraining, tmp_path, monkeypatch, command, tracker
):
    monkeypatch.setattr("training.learn.trackers.get_available_trackers", list)
    role = "teacher" if command == "teacher" else "student"
    options = tiny_training.command(role, tmp_path / "run", "--tracker", tracker)[4:]
    with pytest.raises(RecipeError, match=f"pip install {tracker}"):
        run(training(command, *options))
    assert not (tmp_path / "run").exists()


READ = {
    "trackio": """
import json, trackio
for run in trackio.Api().runs("mel_demo"):
    print(json.dumps({"name": run.name, "rows": trackio.sqlite_storage.SQLiteStorage.get_logs(
        "mel_demo", run.name, run_id=run.id)}))
""",
}


@pytest.mark.skipif(not importlib.util.find_spec("trackio"), reason="trackio is not installed")
def test_trackio_keeps_the_epochs_of_a_resumed_run_as_one(tiny_training: TinyTraining, tmp_path):
    environment = ONE_THREAD | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    output = tmp_path / "run"
    command = tiny_training.command("teacher", output, "--tracker", "trackio")
    kill = (
        "import sys; import training.learn.loop as loop; save = loop.state.save\n"
        "def die(accelerator, folder, name):\n"
        "    save(accelerator, folder, name)\n"
        "    if name == '1-0': raise KeyboardInterrupt\n"
        "loop.state.save = die\n"
        "from training.__main__ import main; main()"
    )
    killed = subprocess.run(
        [sys.executable, "-c", kill, *command[3:]], capture_output=True, env=environment
    )
    assert killed.returncode != 0
    assert (output / "states" / "latest").read_text() == "1-0"
    subprocess.run([*command, "--resume"], check=True, capture_output=True, env=environment)
    told = subprocess.run(
        [sys.executable, "-c", READ["trackio"]], check=True, capture_output=True, text=True,
        env=environment,
    ).stdout  # fmt: skip
    (only,) = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert only["name"] == "run"
    assert [row["step"] for row in only["rows"]] == [1, 2]
    with (output / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for told_row, row in zip(only["rows"], rows, strict=True):
        assert told_row["validation_roc_auc"] == float(row["validation_roc_auc"])


@pytest.mark.skipif(not importlib.util.find_spec("wandb"), reason="wandb is not installed")
def test_wandb_keeps_the_epochs_offline(tiny_training: TinyTraining, tmp_path):
    environment = ONE_THREAD | {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    command = tiny_training.command("teacher", tmp_path / "run", "--tracker", "wandb")
    subprocess.run(command, check=True, capture_output=True, env=os.environ | environment)
    identity = (tmp_path / "run" / "tracker.id").read_text().strip()
    (kept,) = (tmp_path / "wandb").glob(f"offline-run-*-{identity}/*.wandb")
    assert kept.stat().st_size > 0
    assert b"validation_roc_auc" in kept.read_bytes()
