"""A tiny HAM10000-shaped set and runs on it through the real command line, for several tests."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from tests.support.lesions import CLASSES, write_ham10000
from training.__main__ import app
from training.data.measurable import Measurable

# Networks this small are slower on several threads than on one.
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
RECIPE = """
role: {role}
architecture: {architecture}
pretrained: false
size: 64
cache_height: 48
epochs: 2
batch_size: 8
learning_rate: 5.0e-3
warmup_epochs: 0.5
ema_decay: 0.9
checkpoint_steps: 2
seed: 7
loss: {{name: cross_entropy}}
{more}
"""


@dataclass(frozen=True)
class TinyTraining:
    """Folders of the tiny set and of what was trained on it."""

    data: Path
    splits: Path
    root: Path
    teacher: Path
    student: Path

    @property
    def given(self) -> Measurable:
        """What the runs are measured on."""
        return Measurable(self.data, self.splits)

    def command(self, role: str, output: Path, *options: str) -> list[str]:
        """The training command of ``role`` with the tiny recipe, writing to ``output``."""
        distil = "distillation: {temperature: 1.0, alpha: 0.5}" if role == "student" else ""
        # Of the families of the released pair, as small as timm has them.
        architecture = "test_efficientnet" if role == "teacher" else "mobilenetv3_small_050"
        recipe = self.root / f"{role}.yaml"
        recipe.write_text(RECIPE.format(role=role, architecture=architecture, more=distil))
        teacher = ["--teacher", str(self.teacher)] if role == "student" else []
        return training(
            role, "--recipe", recipe, "--data", self.data, "--splits", self.splits,
            "--cache", self.root / "cache", "--output", output, *teacher, *options,
        )  # fmt: skip


def training(*arguments: object) -> list[str]:
    """``python -m training ...`` as a command."""
    return [sys.executable, "-m", "training", *map(str, arguments)]


def run(command: list[str]) -> str:
    """A training command that must succeed, in this process: another takes longer to import torch
    than to train. Returns what it printed."""
    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, command[3:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def run_by_two(command: list[str]) -> str:
    """``run`` in two processes that share the work, on the CPU."""
    launcher = str(Path(sys.executable).with_name("torchrun"))
    done = subprocess.run(
        [launcher, "--nproc_per_node", "2", *command[1:]],
        capture_output=True, text=True, timeout=240,
        env=ONE_THREAD | {"ACCELERATE_USE_CPU": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_tiny(root: Path) -> TinyTraining:
    """Make the set, split it and train both models for two epochs."""
    counts = dict.fromkeys(CLASSES, 8) | {"nv": 14, "mel": 14}
    tiny = TinyTraining(
        data=write_ham10000(root / "ham", counts),
        splits=root / "splits.csv",
        root=root,
        teacher=root / "runs" / "teacher",
        student=root / "runs" / "student",
    )
    run(training("splits", "--data", tiny.data, "--output", tiny.splits))
    run(tiny.command("teacher", tiny.teacher))
    run(tiny.command("student", tiny.student))
    return tiny
