"""A released file becomes a run again: it computes the same, learns on, and teaches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mel_demo.images import normalise
from mel_demo.manifest import load_manifest
from tests.support.tiny_export import export_tiny
from tests.support.tiny_training import TinyTraining, run
from training.data.frames import prepare_images
from training.data.ham10000 import read_split
from training.errors import ExportError, RunError
from training.learn.networks import build
from training.learn.run_folder import BEST, load_run
from training.measure.scores import open_session
from training.release.restore import restore, unfolded


@pytest.fixture
def released(tiny_training: TinyTraining) -> Path:
    return export_tiny(tiny_training)


@pytest.mark.parametrize("model", ["teacher", "student"])
def test_a_restored_run_computes_what_the_file_does(tiny_training, released, tmp_path, model):
    restore(released, model, tiny_training.data, tiny_training.splits, tmp_path / "run")
    network, record = load_run(tmp_path / "run")
    spec = load_manifest(released).models[model]
    assert record.architecture == spec.architecture
    assert spec.sha256[:12] in record.init
    images = read_split(tiny_training.data, tiny_training.splits, "train")
    pixels = normalise(prepare_images(images, spec.preprocessing), spec.preprocessing)
    (logits,) = open_session(released / spec.file).run(["logits"], {"image": pixels})
    with torch.no_grad():
        np.testing.assert_allclose(network(torch.from_numpy(pixels)), logits, atol=0.02)
        # Batch by batch, as it learns, it must be near that as well, or it would forget at once.
        fresh = build(spec.architecture, init=tmp_path / "run" / BEST).train()
        learning = fresh(torch.from_numpy(pixels)).numpy()
    assert np.corrcoef(learning.ravel(), logits.ravel())[0, 1] > 0.9


def test_a_student_learns_from_a_restored_teacher(tiny_training, released, tmp_path):
    restore(released, "teacher", tiny_training.data, tiny_training.splits, tmp_path / "teacher")
    options = ["--teacher", str(tmp_path / "teacher"), "--set", "epochs=1"]
    said = run(tiny_training.command("student", tmp_path / "student", *options))
    assert "best validation ROC-AUC" in said


def test_what_cannot_be_restored_is_refused(tiny_training, released, tmp_path):
    data, splits = tiny_training.data, tiny_training.splits
    with pytest.raises(RunError, match=r"no model 'pupil'.*teacher, student"):
        restore(released, "pupil", data, splits, tmp_path / "run")
    with pytest.raises(RunError, match="is a run already"):
        restore(released, "teacher", data, splits, tiny_training.teacher)
    with pytest.raises(ExportError, match="not those of timm's mobilenetv3_small_100"):
        unfolded(released / "student.onnx", "mobilenetv3_small_100", torch.zeros(2, 3, 64, 64))
