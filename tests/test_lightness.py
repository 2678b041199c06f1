"""What loads with what, in fresh interpreters: import-linter sees imports, not their cost."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TRAINING_ONLY = (
    *("torch", "torchvision", "timm", "accelerate", "sklearn", "scipy", "skimage"),
    *("onnx", "pytorch_grad_cam", "cv2", "matplotlib", "training"),
)
PAGE, MODELS, HUB = ("gradio",), ("onnxruntime",), ("huggingface_hub",)


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("app, mel_demo.ui, mel_demo.cli", TRAINING_ONLY),
        ("mel_demo.batch, mel_demo.doctor, mel_demo.pictures.report", (*PAGE, *TRAINING_ONLY)),
        ("mel_demo.findings, mel_demo.decision.operating_point", (*PAGE, *MODELS, *HUB)),
        ("training.__main__, training.recipe, training.provenance", ("torch", "timm", *PAGE)),
    ],
)
def test_nothing_heavy_comes_along(modules: str, absent: tuple[str, ...]) -> None:
    code = (
        f"import {modules}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()).intersection(absent)


def test_gradio_starts_without_writing_stubs() -> None:
    """Half of its start goes into files for editors; what the page needs of it stays."""
    code = (
        "import mel_demo.ui.upload, gradio.component_meta as meta, gradio as gr\n"
        "print(meta.create_or_modify_pyi.__module__, gr.Image().change is not None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["mel_demo.ui.stubless", "True"], done.stderr
