"""Who may know whom, proved in fresh interpreters and over the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mel_demo"
TRAINING_ONLY = (
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "sklearn",
    "scipy",
    "skimage",
    "onnx",
    "pytorch_grad_cam",
    "cv2",
    "matplotlib",
    "training",
)
SERVING = (
    *("numpy", "PIL", "onnxruntime", "gradio", "plotly", "jinja2", "typer", "rich"),
    "huggingface_hub",
)
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = sorted(path.stem for path in PACKAGE.glob("[!_]*.py"))
RUN_MODELS = {"batch", "cli", "doctor", "inference", "screening"}


def loaded_after(statement: str) -> set[str]:
    """Top-level packages in sys.modules after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def imports_of(path: Path) -> set[str]:
    """Dotted names that a source file imports, lazily or not."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def tops_of(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("module", ["mel_demo.cli", "mel_demo.screening", "mel_demo.ui", "app"])
def test_serving_loads_nothing_of_training(module: str) -> None:
    assert not loaded_after(f"import {module}").intersection(TRAINING_ONLY)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_page_loads_gradio(module: str) -> None:
    assert "gradio" not in loaded_after(f"import mel_demo.{module}")


@pytest.mark.parametrize("module", sorted(set(MODULES) - RUN_MODELS))
def test_what_needs_no_model_loads_no_runtime(module: str) -> None:
    assert "onnxruntime" not in loaded_after(f"import mel_demo.{module}")


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "app.py"], ids=named)
def test_serving_imports_only_what_it_installs(path: Path) -> None:
    # On a ZeroGPU Space that package is there, and nowhere else is it asked for.
    allowed = {"mel_demo", "spaces"} if path.name == "app.py" else {"mel_demo"}
    foreign = tops_of(path) - set(sys.stdlib_module_names) - allowed
    assert foreign <= set(SERVING)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_who_knows_gradio_the_runtime_and_the_hub(path: Path) -> None:
    known, place = tops_of(path), path.relative_to(PACKAGE)
    if place.parts[0] != "ui":
        assert "gradio" not in known
    if place != Path("inference.py"):
        assert "onnxruntime" not in known
    if place != Path("hub.py"):
        assert "huggingface_hub" not in known


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_only_the_command_line_knows_the_page(path: Path) -> None:
    place = path.relative_to(PACKAGE)
    if place.parts[0] != "ui" and place != Path("cli.py"):
        assert not [name for name in imports_of(path) if name.startswith("mel_demo.ui")]


PURE = (
    *("conformal.py", "figure_style.py", "figure_words.py", "figures.py", "findings.py"),
    *("operating_point.py", "overlay.py", "people.py", "prevalence.py", "score_figure.py"),
)
INPUT_OUTPUT = {"io", "os", "pathlib", "shutil", "socket", "subprocess", "sys", "tempfile"} | {
    "urllib",
    "http",
    "time",
    "logging",
}


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_do_no_input_or_output(name: str) -> None:
    path = PACKAGE / name
    assert not tops_of(path) & INPUT_OUTPUT
    calls = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"open", "print", "input", "save", "load", "write_html", "write_image"}


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "app.py"], ids=named)
def test_no_exception_is_swallowed_whole(path: Path) -> None:
    """``except Exception`` and a bare ``except`` hide bugs as if they were bad uploads."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert ast.unparse(node.type) not in ("Exception", "BaseException")


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "app.py"], ids=named)
def test_every_module_says_what_it_does(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
