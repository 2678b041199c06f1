"""Training, end to end on a tiny drawn set: both models, resume after a kill, the errors."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny_trainer import Remembering, trainer
from tests.support.tiny_training import ONE_THREAD, TinyTraining, run, run_by_two, training
from training.errors import TrainingError
from training.learn.run_folder import load_run
from training.learn.session import train_session
from training.recipe import load_recipe


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_two_epochs_leave_weights_record_and_metrics(tiny_training: TinyTraining, role):
    folder = getattr(tiny_training, role)
    network, record = load_run(folder)
    assert (record.role, record.epochs, record.seed) == (role, 2, 7)
    assert record.splits_sha256
    assert record.git_commit
    assert record.recipe["loss"]["name"] == "cross_entropy"
    assert not network.training
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    rows = metrics(folder)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["validation_roc_auc"]) <= 1 for row in rows)


def test_the_loss_falls(tiny_training: TinyTraining):
    losses = [float(row["train_loss"]) for row in metrics(tiny_training.teacher)]
    assert losses[1] < losses[0]


def test_the_student_names_its_teacher(tiny_training: TinyTraining):
    run = json.loads((tiny_training.student / "run.json").read_text())
    assert run["teacher"] == tiny_training.teacher.name, "by its name, not this machine's folder"


def test_resume_after_a_kill_gives_what_no_kill_gives(tiny_training: TinyTraining, tmp_path):
    command = tiny_training.command("student", tmp_path / "killed")
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=ONE_THREAD,
    )
    latest = tmp_path / "killed" / "states" / "latest"
    while not latest.is_file() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert latest.read_text() == "0-2", "killed within the first epoch"

    run([*command, "--resume"])
    assert metrics(tmp_path / "killed") == metrics(tiny_training.student)
    resumed, whole = (
        load_file(folder / "best.safetensors")
        for folder in (tmp_path / "killed", tiny_training.student)
    )
    for key, value in whole.items():
        torch.testing.assert_close(resumed[key], value, rtol=0, atol=0, msg=key)


def test_who_resumes_need_not_name_the_starting_weights_again(tiny_training, tmp_path):
    shutil.copytree(tiny_training.teacher, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"init": "grown.safetensors"}))
    resumed = train_session(
        load_recipe(tiny_training.root / "teacher.yaml"),
        recipe_name="teacher.yaml",
        data=tiny_training.data,
        splits=tiny_training.splits,
        output=tmp_path / "run",
        cache=tiny_training.root / "cache",
        init=None,
        teachers=[],
        resume=True,
    )
    assert (resumed.init, resumed.epochs) == ("grown.safetensors", 2)


def test_two_processes_share_each_batch(tiny_training: TinyTraining, tmp_path):
    run_by_two(tiny_training.command("teacher", tmp_path / "two"))
    assert json.loads((tmp_path / "two" / "run.json").read_text())["hardware"].endswith(
        "2 processes"
    )
    # The same images and views; batch statistics are of half a batch each.
    for two, one in zip(metrics(tmp_path / "two"), metrics(tiny_training.teacher), strict=True):
        assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "holds a run already: go on with --resume"),
        (["--resume", "--epochs", "5"], "another recipe (epochs differ)"),
        (["--arch", "mobilenetv9", "--resume"], "no architecture 'mobilenetv9'"),
    ],
)
def test_a_run_is_not_overwritten_or_mixed_up(tiny_training: TinyTraining, options, message):
    with pytest.raises(TrainingError) as refused:
        run(tiny_training.command("student", tiny_training.student, *options))
    assert message in str(refused.value)


def test_a_student_of_other_splits_is_refused(tiny_training: TinyTraining, tmp_path):
    other = tmp_path / "other.csv"
    run(training("splits", "--data", tiny_training.data, "--output", other, "--seed", 99))
    with pytest.raises(TrainingError, match="other splits"):
        run(tiny_training.command("student", tmp_path / "run", "--splits", str(other)))


def test_the_teacher_sees_exactly_the_view_the_student_sees(tmp_path):
    student, teacher = Remembering(), Remembering()
    run = trainer(tmp_path, student, teacher, **{"distillation.rounds": 0})
    for step in range(2):
        run.run_step(step)
    assert len(student.seen) == len(teacher.seen) == 2
    assert not torch.equal(student.seen[0], student.seen[1])
    for shown_to_student, shown_to_teacher in zip(student.seen, teacher.seen, strict=True):
        assert torch.equal(shown_to_student, shown_to_teacher)
    assert not teacher.training
    assert all(p.grad is None for p in teacher.parameters())
