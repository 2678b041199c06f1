"""The command line: what it writes, what it says, how it exits."""

import csv
import io
import os
import pty
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mel_demo import doctor
from mel_demo.cli import app
from mel_demo.manifest import CLASS_NAMES
from mel_demo.rows import COLUMNS
from tests.support.tiny_weights import melanoma_probability

GREY = Image.new("RGB", (200, 200), (128, 128, 128))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, one in a subfolder; an unreadable one; files that are no images."""
    root = tmp_path / "pictures"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    GREY.save(root / "b.jpg", quality=100)
    GREY.save(root / "sub" / "deep" / "A.PNG")
    (root / "c.jpeg").write_bytes(b"no image")
    (root / "notes.txt").write_text("no image either")
    (root / "._b.jpg").write_bytes(b"what macOS leaves behind")
    GREY.save(root / ".hidden" / "d.png")
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_screen_writes_one_row_per_image_and_model(
    folder: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    output = tmp_path / "scores.csv"
    result = run("screen", folder, "--output", output, "--weights", tiny_weights)
    assert result.exit_code == 1  # c.jpeg
    assert result.stdout == ""
    assert result.stderr == (
        "Left out: 1 files not named like an image (.txt 1), 2 hidden.\n"
        "1 of 3 files could not be judged: see the column 'error'.\n"
    )
    text = output.read_text(encoding="utf-8")
    assert text.splitlines()[0] == ",".join(COLUMNS)
    rows = rows_of(text)
    assert [(row["image"], row["model"]) for row in rows] == [
        (str(folder / "b.jpg"), "teacher"),
        (str(folder / "b.jpg"), "student"),
        (str(folder / "c.jpeg"), ""),
        (str(folder / "sub" / "deep" / "A.PNG"), "teacher"),
        (str(folder / "sub" / "deep" / "A.PNG"), "student"),
    ]
    assert "not an image" in rows[2]["error"]
    always = ("image", "error", "target_sensitivity", "weights")
    assert [name for name in COLUMNS if rows[2][name]] == [*always]
    teacher, student = rows[3], rows[4]
    for row, temperature in ((teacher, 1), (student, 2)):
        expected = melanoma_probability(128 / 255, temperature)
        assert float(row["melanoma_probability"]) == pytest.approx(expected, rel=1e-3)
        assert row["mel"] == row["melanoma_probability"]
        assert sum(float(row[name]) for name in CLASS_NAMES) == pytest.approx(1, abs=1e-4)
        assert row["threshold"] == "0.08"
        assert row["decision"] == "refer"
        assert row["error"] == ""


def test_what_is_no_dermoscopy_image_gets_no_decision(folder: Path, refusing_weights: Path) -> None:
    Image.new("RGB", (200, 200), (0, 0, 255)).save(folder / "blue.png")
    Image.new("RGB", (200, 200), (160, 120, 100)).save(folder / "brown.png")
    paths = [folder / "brown.png", folder / "blue.png"]
    result = run("screen", *paths, "--weights", refusing_weights)
    assert result.exit_code == 0
    assert result.stderr == "1 of 2 files do not look like dermoscopy images: no decision.\n"
    rows = rows_of(result.stdout)
    assert [row["refused"] for row in rows] == ["false", "false", "true", "true"]
    assert [row["decision"] for row in rows[2:]] == ["", ""]
    assert float(rows[2]["melanoma_probability"]) == pytest.approx(melanoma_probability(0), 1e-3)


def test_the_target_sensitivity_moves_the_threshold(folder: Path, tiny_weights: Path) -> None:
    result = run(
        *("screen", folder / "b.jpg", "--target-sensitivity", 0.8, "--weights", tiny_weights)
    )
    assert result.exit_code == 0
    rows = rows_of(result.stdout)
    assert [row["threshold"] for row in rows] == ["0.2", "0.2"]
    assert [row["decision"] for row in rows] == ["no referral", "no referral"]


def test_models_that_are_not_asked_for_do_not_run_and_have_no_rows(
    folder: Path, refusing_weights: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(refusing_weights, weights)
    (weights / "teacher.onnx").unlink()  # an archive may be screened without its 14 MB
    blue = folder / "blue.png"
    Image.new("RGB", (200, 200), (0, 0, 255)).save(blue)
    both = rows_of(run("screen", blue, folder, "--weights", refusing_weights).stdout)
    alone = run("screen", blue, folder, "--weights", weights, "--model", "student")
    assert rows_of(alone.stdout) == [row for row in both if row["model"] != "teacher"]
    assert "3 of 4 files do not look like" in alone.stderr


def test_a_named_file_is_always_tried_and_none_twice(folder: Path, tiny_weights: Path) -> None:
    paths = [folder / "notes.txt", folder / "b.jpg", folder, folder / "sub" / ".." / "b.jpg"]
    rows = rows_of(run("screen", *paths, "--weights", tiny_weights).stdout)
    assert [Path(row["image"]).name for row in rows if row["model"] != "student"] == [
        "notes.txt",
        "b.jpg",
        "c.jpeg",
        "A.PNG",
    ]


def test_the_weights_folder_may_come_from_the_environment(
    folder: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEL_WEIGHTS", str(tiny_weights))
    assert run("screen", folder / "b.jpg").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.jpg"], "missing.jpg does not exist. Name image files"),
        (["{folder}/b.jpg", "missing"], "missing does not exist"),
        (["{empty}"], "No image in {empty}. A folder is searched for files named"),
        (["{folder}", "--target-sensitivity", "95"], "The target sensitivity is 95.0; choose one"),
        (["{folder}", "--target-sensitivity", "nan"], "The target sensitivity is nan; choose one"),
        (["{folder}", "--target-sensitivity", "x"], "Invalid value for '--target-sensitivity'"),
        (["{folder}", "--weights", "{empty}"], "{empty}/manifest.json: No such file"),
        (["{folder}", "--output", "{empty}/no/x.csv"], "x.csv cannot be written (No such file"),
        (["{folder}", "--output", "{empty}"], "cannot be written: it is a folder"),
        (["{folder}", "--output", "{empty}/" + "x" * 300], "cannot be written (File name too long"),
        ([], "Missing argument 'PATH"),
        ([""], "An argument is empty"),
        (["{folder}", "--model", "x"], "no model 'x' in these weights. They hold teacher, student"),
        (["{folder}", ""], "An argument is empty"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_exit_2(
    folder: Path, tmp_path: Path, tiny_weights: Path, arguments: list[str], says: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    places = {"folder": folder, "empty": empty}
    arguments = [argument.format(**places) for argument in arguments]
    result = run("screen", "--weights", tiny_weights, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says.format(**places) in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 4  # usage, hint, blank, the line
    assert list(empty.iterdir()) == []


def test_names_that_look_alike_are_told_apart_and_found_again(
    tmp_path: Path, tiny_weights: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in (b"caf\xe9.png", rb"caf\xe9.png"):
        Image.new("RGB", (40, 40)).save(folder / os.fsdecode(name))
    output = tmp_path / "scores.csv"
    assert run("screen", folder, "-o", output, "--weights", tiny_weights).exit_code == 0
    before = output.read_bytes()
    names = {row["image"] for row in rows_of(before.decode())}
    assert len(names) == 2
    result = run("screen", folder, "-o", output, "--weights", tiny_weights, "--resume")
    assert result.exit_code == 0
    assert "2 images were in the table already, 0 were added." in result.stderr
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        *(["screen", "."], ["screen", ".", "--output"], ["screen", ".", "--weights"]),
        *(["screen", ".", "-o", "x.csv", "--ray"], ["phone", "--output"], ["phone", "-o"]),
        *(["phone", "-o", "new", "--weights"], ["phone", "-o", "new", "--model"]),
        *(["serve", "--weights"], ["serve", "--host"], ["doctor", "--weights"]),
    ],
    ids=" ".join,
)
def test_an_empty_argument_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """As a variable that is not set leaves it."""
    monkeypatch.chdir(tmp_path)
    ways = [[*arguments, ""]]
    if arguments[-1].startswith("--"):
        ways.append([*arguments[:-1], f"{arguments[-1]}="])
    for way in ways:
        result = run(*way)
        assert result.exit_code == 2
        assert "is empty: is a variable of the shell not set?" in result.stderr
        assert list(tmp_path.iterdir()) == []


def test_the_progress_bar_goes_to_a_terminal_and_the_table_does_not(
    folder: Path, tiny_weights: Path
) -> None:
    """Standard error is a terminal, standard output a pipe, in a process of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mel_demo", "screen", folder / "b.jpg"]
    environment = os.environ | {"TERM": "xterm", "MEL_WEIGHTS": str(tiny_weights)}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=60, check=True
    )
    os.close(theirs)
    terminal = os.read(ours, 65536).decode()
    os.close(ours)
    assert "Screening" in terminal
    assert "1/1" in terminal
    assert len(rows_of(done.stdout.decode())) == 2
    assert b"Screening" not in done.stdout


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_serve_starts_the_page_where_it_is_told_to(tiny_weights: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mel_demo", "serve", "--port", str(port), "--weights"]
    server = subprocess.Popen(
        [*command, tiny_weights], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        page = b""
        deadline = time.monotonic() + 60
        while not page and server.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                    page = answer.read()
            except OSError:  # not listening yet
                time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(30)
    assert b"<html" in page


def test_serve_names_a_port_that_is_taken(tiny_weights: Path, busy_port: int) -> None:
    result = run("serve", "--port", busy_port, "--weights", tiny_weights)
    assert result.exit_code == 2
    assert f"The page cannot listen on 127.0.0.1:{busy_port}" in result.stderr
    assert "Choose another --port" in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GRADIO_TEMP_DIR", "{file}", "Uploads cannot be kept in {file} (File exists)"),
        ("GRADIO_TEMP_DIR", "{file}/below", "Uploads cannot be kept in {file}/below"),
        ("GRADIO_SERVER_PORT", "abc", "GRADIO_SERVER_PORT is 'abc': a port is a whole number"),
        ("GRADIO_SERVER_PORT", "99999", "GRADIO_SERVER_PORT is '99999'"),
        ("GRADIO_SERVER_PORT", "", "GRADIO_SERVER_PORT is ''"),
    ],
)
def test_serve_names_a_variable_that_does_not_fit(
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    says: str,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(name, value.format(file=tmp_path / "file"))
    result = run("serve", "--weights", tiny_weights)
    assert result.exit_code == 2
    assert says.format(file=tmp_path / "file") in result.stderr
    assert "Traceback" not in result.stderr


def test_serve_does_not_start_on_weights_that_do_not_fit(tmp_path: Path) -> None:
    result = run("serve", "--weights", tmp_path)
    assert result.exit_code == 2
    assert "manifest.json: No such file" in result.stderr


def test_doctor_is_content_with_good_weights(tiny_weights: Path) -> None:
    result = run("doctor", "--weights", tiny_weights)
    assert result.exit_code == 0, result.stdout
    names = [line.split()[1] for line in result.stdout.splitlines()]
    assert names[:2] == ["Python", "gradio"]
    assert "onnxruntime" in names
    assert "teacher run" in result.stdout
    assert " ms, the best of" in result.stdout
    assert "FAIL" not in result.stdout


def test_doctor_says_what_to_do(tmp_path: Path, tiny_weights: Path) -> None:
    weights = shutil.copytree(tiny_weights, tmp_path / "weights")
    (weights / "student.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    result = run("doctor", "--weights", weights)
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert "student.onnx" in line
    assert "git lfs pull" in line
    assert "1 of the checks failed" in result.stderr


@pytest.mark.parametrize(
    ("line", "ok", "says"),
    [
        ("pillow>=1", True, ""),
        ("pillow >= 1.0, < 1000  # images", True, ""),
        ("pillow>=1000", False, "wanted >=1000; run `pip install -r requirements.txt`"),
        ("pillow>=1,<2", False, "wanted >=1,<2; run `pip install"),
        ("no-such-package-of-ours>=1", False, "not installed; run `pip install"),
    ],
)
def test_doctor_compares_packages_with_the_requirements(
    tmp_path: Path, tiny_weights: Path, line: str, ok: bool, says: str
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"# a remark\n\n{line}\n")
    checks = list(doctor.examine(tiny_weights, requirements))
    assert [check.name for check in checks[:2]] == ["Python", line.split(">")[0].strip()]
    assert checks[1].ok is ok
    assert says in checks[1].text
    assert checks[2].name == "manifest"


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("6.0", ">=6,<7", True),
        ("6", ">=6.0", True),
        ("7.0.0", ">=6,<7", False),
        ("6.31.0rc1", ">=6.31", True),
        ("10.2", ">=9.9", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, wanted: str, fits: bool) -> None:
    assert doctor._fits(version, wanted) is fits


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in ("screen", "serve", "doctor"):
        assert command in result.stdout
