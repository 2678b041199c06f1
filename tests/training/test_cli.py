"""python -m training: what its first two commands print, and errors without a traceback."""

import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from tests.support.lesions import write_ham10000
from training.__main__ import app
from training.data.splits import read_splits

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_ham10000(tmp_path_factory.mktemp("cli") / "ham", 7)


def test_data_reports_each_class_and_writes_the_cache(folder, tmp_path):
    given = ["data", "--data", str(folder), "--cache", str(tmp_path / "cache")]
    done = RUNNER.invoke(app, given)
    assert done.exit_code == 0, done.output
    cells = [line.split() for line in done.output.replace("│", " ").splitlines()]
    assert ["mel", "10", "7"] in cells
    assert ["all", "70", "49"] in cells
    assert "70 images decoded to 64x48" in done.output
    assert list((tmp_path / "cache").glob("frames-*.npy"))


def test_data_names_what_is_missing_and_fails(tmp_path):
    root = write_ham10000(tmp_path / "ham", 2)
    lost = sorted((root / "HAM10000_images_part_2").iterdir())[0]
    lost.unlink()
    done = RUNNER.invoke(app, ["data", "--data", str(root)])
    assert done.exit_code == 1
    assert f"missing: {lost.name}" in done.output


def test_splits_writes_the_file_and_its_hash(folder, tmp_path):
    given = ["splits", "--data", str(folder), "--output", str(tmp_path / "splits.csv")]
    first = RUNNER.invoke(app, given)
    assert first.exit_code == 0, first.output
    assert len(read_splits(tmp_path / "splits.csv")) == 70
    assert RUNNER.invoke(app, given).output == first.output, "seeded: the same hash again"


def test_what_the_user_can_mend_is_a_message_not_a_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "training", "data", "--data", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "There is no HAM10000_metadata.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_of_the_wrong_kind_is_named(folder, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    wrong = {
        "folder": ["splits", "--output"],
        "file": ["data", "--cache"],
    }
    for name, (command, option) in wrong.items():
        done = subprocess.run(
            [sys.executable, "-m", "training", command, "--data", folder, option, tmp_path / name],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert f"{name} is a {name} where a" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", sorted(typer.main.get_command(app).commands))
def test_help_says_every_default(command):
    """Rich takes [default: ...] for markup, and leaves it out."""
    done = RUNNER.invoke(app, [command, "--help"])
    assert done.exit_code == 0
    for option in typer.main.get_command(app).commands[command].params:
        for word in re.findall(r"\[[^]]*\]", getattr(option, "help", None) or ""):
            assert word in " ".join(done.output.split())


def test_help_answers_without_torch():
    code = "import sys; import training.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
