"""The mean of runs is a run: of their weights, measured, and only of what belongs together."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny_training import TinyTraining, run, training
from training.errors import DataError, RunError
from training.learn.run_folder import BEST, load_record, load_run, save_best, save_record
from training.measure.evaluate import score_run
from training.measure.metrics import roc_auc
from training.release.average import average


@pytest.fixture
def gone_on(tiny_training: TinyTraining, tmp_path: Path) -> Path:
    """The tiny teacher, trained on for an epoch."""
    start = ["--init", str(tiny_training.teacher / BEST), "--set", "epochs=1"]
    run(tiny_training.command("teacher", tmp_path / "gone-on", *start))
    return tmp_path / "gone-on"


def test_the_mean_of_runs_is_a_run_that_says_so(tiny_training, gone_on, tmp_path):
    runs, output = [tiny_training.teacher, gone_on], tmp_path / "mean"
    options = [option for one in runs for option in ("--run", one)]
    where = ["--data", tiny_training.data, "--splits", tiny_training.splits]
    said = run(training("average", *options, *where, "--output", output))
    _, record = load_run(output)
    first, last, mean = (load_file(folder / BEST) for folder in (*runs, output))
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (first[name] + last[name]) / 2)
    scored = score_run(output, tiny_training.given, "validation").scores
    assert record.best_roc_auc == pytest.approx(roc_auc(scored.judged()))
    assert f"{record.best_roc_auc:.4f}" in said
    assert f"{gone_on}:" in said
    report = tmp_path / "report.md"
    run(training("report", *where, "--teacher", output, "--output", report))
    assert "the mean of the weights of" in report.read_text(encoding="utf-8")
    assert record.epochs == 3
    assert "gone-on" in record.init
    assert "teacher" in record.init


def test_what_has_no_mean_is_refused(tiny_training, gone_on, tmp_path):
    given, teacher = tiny_training.given, tiny_training.teacher
    with pytest.raises(RunError, match="two runs at least"):
        average([teacher], given, tmp_path / "mean")
    with pytest.raises(RunError, match=r"have no mean: they differ in role, student and teacher"):
        average([teacher, tiny_training.student], given, tmp_path / "mean")
    with pytest.raises(RunError, match="is a run already"):
        average([teacher, gone_on], given, gone_on)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    save_best(elsewhere, load_file(teacher / BEST))
    save_record(elsewhere, replace(load_record(teacher), splits_sha256="0" * 64))
    with pytest.raises(RunError, match="differ in splits_sha256"):
        average([teacher, elsewhere], given, tmp_path / "mean")
    with pytest.raises(DataError, match="is not the splits file"):
        average([elsewhere, elsewhere], given, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
