"""README: its commands and options exist, its links lead somewhere, its numbers are current."""

import re
from pathlib import Path

import pytest
import typer
import typer.main

from mel_demo.cli import app as serving
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


def test_the_two_commands_come_first():
    first = README.split("```")[1]
    assert first.index("make demo") < first.index("make test")
    assert README.index("make demo") < 60


def test_the_results_table_is_the_manifests():
    assert write_results(ROOT / "weights", ROOT / "README.md", check=True), (
        "README's results are stale: run `python -m training results`"
    )
