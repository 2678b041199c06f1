"""README: its commands and options exist, its links lead somewhere, its numbers are current."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from PIL import ExifTags, Image

from benchmarks import archive_cost
from mel_demo.cli import app as serving
from mel_demo.images import open_image
from mel_demo.rows import REFER, Sheet
from mel_demo.screening import Screener
from tests.support.lesions import draw_lesion
from training.__main__ import app as training
from training.report.results import write_results

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"python -m (mel_demo|training) ([a-z-]+)([^\n`#]*)",
    README + "".join(path.read_text() for path in (ROOT / "training/recipes").glob("*.yaml")),
)


@pytest.mark.parametrize(("module", "name", "rest"), COMMANDS)
def test_commands_and_their_options_exist(module, name, rest):
    group = typer.main.get_command(serving if module == "mel_demo" else training)
    assert name in group.commands, f"python -m {module} has no command {name}"
    known = {
        option
        for item in group.commands[name].params
        for option in (*item.opts, *item.secondary_opts)
    }
    assert set(re.findall(r"--[a-z0-9-]+", rest)) <= known


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)", README))))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_links_lead_to_files_of_the_repository(link):
    assert (ROOT / link).exists()


def test_what_is_to_be_installed_can_be():
    """From the clone: no index has the package."""
    assert "mel-demo[" not in README
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extras in re.findall(r'pip install -e "\.\[([a-z,]+)\]"', README):
        assert set(extras.split(",")) <= set(known)


def test_the_two_commands_come_first():
    first = README.split("```")[1]
    assert first.index("make demo") < first.index("make test")
    assert README.index("make demo") < 60


def test_what_an_archive_costs_is_what_was_measured():
    measured = json.loads((ROOT / "benchmarks/screening.json").read_text(encoding="utf-8"))
    assert archive_cost.filled(README, measured) == README, (
        "README's sentence is stale: run `python -m benchmarks.archive_cost`"
    )


def test_the_results_table_is_the_manifests():
    assert write_results(ROOT / "weights", ROOT / "README.md", check=True), (
        "README's results are stale: run `python -m training results`"
    )


def test_the_onnx_example_gives_the_pages_probability(tmp_path, monkeypatch):
    """Run as a reader would, on a picture that is turned and longer than what is judged."""
    picture = draw_lesion("mel", 3, (640, 360)).convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.save(tmp_path / "lesion.jpg", quality=95, exif=exif)
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    monkeypatch.chdir(tmp_path)
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "onnx" in block
    )
    names: dict[str, Any] = {}
    exec(code, names)
    served = Screener(ROOT / "weights").screen(open_image(tmp_path / "lesion.jpg")).student
    assert names["probability"] == pytest.approx(served.melanoma_probability, abs=1e-4)


def test_the_python_example_decides_as_the_page_does(tmp_path, monkeypatch):
    draw_lesion("mel", 3, (400, 300)).save(tmp_path / "lesion.jpg")
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    monkeypatch.chdir(tmp_path)
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "Screener" in block
    )
    names: dict[str, Any] = {}
    exec(code, names)
    sheet = Sheet(names["screener"].manifest, 0.95)
    decided = {row["model"]: row["decision"] for row in sheet.judged("", names["screening"])}
    assert (decided["student"] == REFER) == names["refer"]
