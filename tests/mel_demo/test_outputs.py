"""The table on disk: what it never overwrites, how it is gone on with, how it ends when it must."""

import contextlib
import csv
import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner, Result

from mel_demo import outputs, rows
from mel_demo.cli import app
from mel_demo.errors import SettingError
from mel_demo.outputs import Finished, Format
from mel_demo.rows import COLUMNS
from tests.support.tiny_weights import write_tiny_weights

IMAGES = 7


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images, one of them unreadable."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(IMAGES - 1):
        Image.new("RGB", (40, 40), (20 * number, 100, 100)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"none")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["screen", *map(str, arguments)])


def read(path: Path, kind: str) -> list[dict]:
    if kind == "parquet":
        return [
            row for part in sorted(path.iterdir()) for row in parquet.read_table(part).to_pylist()
        ]
    return list(map(rows.from_json, path.read_bytes().splitlines(True)))


@pytest.mark.parametrize("name", ["1.png", "link.csv", "hard.csv", "notes.csv", "new.JPG"])
def test_an_input_or_a_stranger_is_never_written_over(
    photos: Path, tiny_weights: Path, name: str
) -> None:
    (photos / "link.csv").symlink_to("1.png")
    os.link(photos / "1.png", photos / "hard.csv")
    (photos / "notes.csv").write_text("patient,remark\n7,none\n")
    before = {path: path.read_bytes() for path in photos.iterdir()}
    for more in ([], ["--resume"], ["--format", "jsonl"], ["--format", "parquet"]):
        result = run(photos, "-o", photos / name, "--weights", tiny_weights, *more)
        assert result.exit_code == 2
        assert name in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in photos.iterdir()} == before


def test_a_named_file_is_no_output_even_if_empty(photos: Path, tiny_weights: Path) -> None:
    (photos / "empty.csv").touch()
    result = run(photos / "empty.csv", "-o", photos / "empty.csv", "--weights", tiny_weights)
    assert result.exit_code == 2
    assert "also to be screened" in result.stderr


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_stopped_table_is_completed_to_the_same_rows(
    photos: Path, tmp_path: Path, tiny_weights: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "ROWS_PER_PART", 4)
    whole, stopped = tmp_path / f"whole.{kind}", tmp_path / f"stopped.{kind}"
    assert run(photos, "-o", whole, "--weights", tiny_weights).exit_code == 1
    if kind == "parquet":
        stopped.mkdir()
        first = sorted(whole.iterdir())[0]
        (stopped / first.name).write_bytes(first.read_bytes())
        (stopped / ".part-000001.tmp").write_bytes(b"half")
    else:
        for cut in (0.999, 0.6, 0.5, 0.3):
            content = whole.read_bytes()
            stopped.write_bytes(content[: int(len(content) * cut)])
            result = run(photos, "-o", stopped, "--resume", "--weights", tiny_weights)
            assert "were in the table already" in result.stderr
            assert stopped.read_bytes() == content
    result = run(photos, "-o", stopped, "--resume", "--weights", tiny_weights)
    if kind == "csv":
        assert stopped.read_bytes() == whole.read_bytes()
        return
    assert read(stopped, kind) == read(whole, kind)
    assert len({row["image"] for row in read(stopped, kind)}) == IMAGES
    assert list(read(stopped, kind)[0]) == list(COLUMNS)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_is_not_gone_on_with_by_other_models(
    photos: Path, tmp_path: Path, tiny_weights: Path, kind: str
) -> None:
    few, more = tmp_path / f"few.{kind}", tmp_path / f"more.{kind}"
    options = ("--weights", tiny_weights)
    run(photos, "-o", few, "--model", "student", *options)
    again = run(photos, "-o", few, "--model", "student", "--resume", *options)
    assert "7 images were in the table already, 0 were added." in again.stderr
    result = run(photos, "-o", few, "--resume", *options)
    assert result.exit_code == 2
    assert "holds student only, and not all of teacher, student. Go on" in result.stderr
    run(photos, "-o", more, *options)
    result = run(photos, "-o", more, "--model", "student", "--resume", *options)
    assert result.exit_code == 2
    assert "It holds teacher as well as student. Go on with the --model" in result.stderr


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_what_failed_before_is_said_and_tried_again_when_asked(
    photos: Path, tmp_path: Path, tiny_weights: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "ROWS_PER_PART", 4)
    (photos / 'late,"\n.png').write_bytes(b"not copied yet")
    output, whole = tmp_path / f"scores.{kind}", tmp_path / f"whole.{kind}"
    assert run(photos, "-o", output, "--weights", tiny_weights).exit_code == 1
    again = run(photos, "-o", output, "--resume", "--weights", tiny_weights)
    assert again.exit_code == 1
    assert "2 of the 8 images that were in the table could not be judged: --retry" in again.stderr

    (photos / 'late,"\n.png').write_bytes((photos / "1.png").read_bytes())
    again = run(photos, "-o", output, "--retry", "--weights", tiny_weights)
    assert again.exit_code == 1
    assert "6 images were in the table already, 2 were added." in again.stderr
    assert "1 of 2 files could not be judged" in again.stderr
    (photos / "broken.jpg").write_bytes((photos / "1.png").read_bytes())
    again = run(photos, "-o", output, "--retry", "--weights", tiny_weights)
    assert (again.exit_code, again.stderr) == (
        0,
        "7 images were in the table already, 1 were added.\n",
    )
    assert run(photos, "-o", whole, "--weights", tiny_weights).exit_code == 0
    if kind == "csv":
        assert sorted(output.read_bytes().splitlines()) == sorted(whole.read_bytes().splitlines())
    else:
        assert sorted(map(str, read(output, kind))) == sorted(map(str, read(whole, kind)))
    assert {path.name for path in tmp_path.iterdir()} == {"photos", output.name, whole.name}


def test_a_retry_that_cannot_write_leaves_the_table_as_it_was(
    photos: Path, tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, link = tmp_path / "scores.csv", tmp_path / "link.csv"
    link.symlink_to(output.name)
    run(photos, "-o", output, "--weights", tiny_weights)
    before = output.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        result = run(photos, "-o", link, "--retry", "--weights", tiny_weights)
    assert result.exit_code == 2
    assert "cannot be written (No space left on device)" in result.stderr
    assert output.read_bytes() == before
    assert run(photos, "-o", link, "--retry", "--weights", tiny_weights).exit_code == 1
    assert link.is_symlink()
    assert len(output.read_bytes()) == len(before)
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "scores.csv", "link.csv"}


def test_a_name_with_a_line_break_is_one_record(
    photos: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    (photos / "1.png").rename(photos / 'a"\n1.png')
    output = tmp_path / "scores.csv"
    run(photos, "-o", output, "--weights", tiny_weights)
    content = output.read_bytes()
    output.write_bytes(content[:-30])
    run(photos, "-o", output, "--resume", "--weights", tiny_weights)
    assert output.read_bytes() == content


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("other", ["target", "weights", "columns"])
def test_what_was_written_otherwise_is_not_gone_on_with(
    photos: Path, tmp_path: Path, tiny_weights: Path, kind: str, other: str
) -> None:
    output = tmp_path / f"scores.{kind}"
    run(photos, "-o", output, "--weights", tiny_weights)
    weights, target = tiny_weights, 0.95
    if other == "target":
        target = 0.9
    elif other == "weights":
        weights = write_tiny_weights(tmp_path / "others", refusing=True)
    elif kind == "parquet":
        part = output / "part-000000.parquet"
        parquet.write_table(parquet.read_table(part).drop_columns("error"), part)
    else:
        output.write_bytes(output.read_bytes().replace(b"close_call", b"close"))
    options = ("--resume", "--weights", weights, "--target-sensitivity", target)
    result = run(photos, "-o", output, *options)
    assert result.exit_code == 2
    says = {"target": "target_sensitivity 0.95, and not 0.9", "weights": "with weights 2025"}
    assert says.get(other, "columns") in result.stderr


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (b"\n", b"\r\n"),
        (b"\n", b"\r"),
        (b",", b";"),
        (b"image,", b"\xef\xbb\xbfimage,"),
        (b"false", b"FALSE"),
    ],
)
def test_a_table_that_a_spreadsheet_saved_is_called_that(
    photos: Path, tmp_path: Path, tiny_weights: Path, ours: bytes, theirs: bytes
) -> None:
    output = tmp_path / "scores.csv"
    run(photos, "-o", output, "--weights", tiny_weights)
    saved = output.read_bytes().replace(ours, theirs)
    assert saved != output.read_bytes()
    output.write_bytes(saved)
    result = run(photos, "-o", output, "--resume", "--weights", tiny_weights)
    assert result.exit_code == 2
    assert "saved by another program, such as a spreadsheet" in result.stderr
    assert output.read_bytes() == saved


def test_a_table_is_not_begun_again_without_a_word(
    photos: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    output = tmp_path / "scores.csv"
    run(photos, "-o", output, "--weights", tiny_weights)
    result = run(photos, "-o", output, "--weights", tiny_weights)
    assert result.exit_code == 2
    assert f"holds a table of {IMAGES} images already" in result.stderr


def test_finished_finds_every_name_and_no_other() -> None:
    done = Finished(f"{number}.jpg" for number in range(1000))
    assert all(f"{number}.jpg" in done for number in range(1000))
    assert not any(f"{number}.jpg" in done for number in range(1000, 2000))
    assert "a" not in Finished()


def process(photos: Path, weights: Path, *more: object, **options: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "mel_demo", "screen", photos, "--weights", weights, *more]
    return subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_no_terminal_stops_at_a_foreign_name(
    photos: Path, tiny_weights: Path, locale: dict[str, str]
) -> None:
    (photos / "1.png").rename(photos / "病变.png")
    ours, theirs = os.openpty()
    done = process(photos, tiny_weights, stdout=theirs, env=os.environ | locale)
    text = b""
    os.set_blocking(ours, False)
    while done.poll() is None:
        time.sleep(0.05)
        with contextlib.suppress(BlockingIOError):
            text += os.read(ours, 65536)
    _, errors = done.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 1, errors  # broken.jpg
    assert b"\\u75c5\\u53d8.png" in text
    assert text.count(b"\n") == 1 + 2 * (IMAGES - 1) + 1


def test_a_pipe_gets_utf8_whatever_the_locale(photos: Path, tiny_weights: Path) -> None:
    (photos / "1.png").rename(photos / "病变.png")
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = process(photos, tiny_weights, stdout=subprocess.PIPE, env=environment)
    text, _ = done.communicate(timeout=60)
    names = [row["image"] for row in csv.DictReader(io.StringIO(text.decode()))]
    assert str(photos / "病变.png") in names


@pytest.mark.parametrize("direct", [True, False])
def test_a_full_disk_is_one_line(photos: Path, tiny_weights: Path, direct: bool) -> None:
    with open("/dev/full", "wb") as full:
        more = ("-o", "/dev/full") if direct else ()
        done = process(photos, tiny_weights, *more, stdout=subprocess.DEVNULL if direct else full)
        _, errors = done.communicate(timeout=60)
    assert done.returncode == 2
    assert b"cannot be written (No space left on device)" in errors
    assert errors.count(b"\n") == 1


def test_a_reader_that_goes_ends_it_without_a_word(photos: Path, tiny_weights: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = process(photos, tiny_weights, stdout=writing)
    os.close(writing)
    _, errors = done.communicate(timeout=60)
    assert (done.returncode, errors) == (141, b"")


def test_a_closed_standard_output_is_said(photos: Path, tiny_weights: Path) -> None:
    command = f"exec {sys.executable} -m mel_demo screen {photos} --weights {tiny_weights} >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"Standard output is closed. Name a file by --output." in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("kind", list(Format))
def test_a_signal_leaves_whole_rows_and_nothing_unfinished(
    photos: Path, tmp_path: Path, tiny_weights: Path, number: int, status: int, kind: Format
) -> None:
    picture = (photos / "0.png").read_bytes()
    for extra in range(3000):
        (photos / f"x{extra}.png").write_bytes(picture)
    output = tmp_path / f"scores.{kind}"
    done = process(photos, tiny_weights, "-o", output)
    deadline = time.monotonic() + 60
    while not (output.exists() and (output.is_dir() or output.stat().st_size > 5000)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    done.send_signal(number)
    _, errors = done.communicate(timeout=60)
    assert done.returncode == status, errors
    assert b"--resume goes on" in errors
    assert b"Traceback" not in errors
    assert {path.name for path in tmp_path.iterdir()} == {"photos", output.name}
    if kind is Format.PARQUET:
        assert all(part.suffix == ".parquet" for part in output.iterdir())
    else:
        assert output.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_one_run_at_a_time_writes_a_table_and_a_killed_one_blocks_nobody(
    photos: Path, tmp_path: Path, tiny_weights: Path, kind: str
) -> None:
    picture = (photos / "0.png").read_bytes()
    for extra in range(300):
        (photos / f"x{extra}.png").write_bytes(picture)
    output, link = tmp_path / f"scores.{kind}", tmp_path / f"link.{kind}"
    link.symlink_to(output.name)
    first = process(photos, tiny_weights, "-o", output)
    try:
        lock = output / ".lock" if kind == "parquet" else tmp_path / ".scores.csv.lock"
        deadline = time.monotonic() + 60
        while not (lock.exists() and output.exists()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)
        for more in ([], ["--resume"]):
            for name in (output, link):
                second = run(photos / "0.png", "-o", name, "--weights", tiny_weights, *more)
                assert second.exit_code == 2
                assert f"Another run is writing {name}. Wait for it" in second.stderr
    finally:
        first.kill()
        first.communicate(timeout=60)
    assert lock.exists()
    last = run(photos / "0.png", "-o", output, "--resume", "--weights", tiny_weights)
    assert last.exit_code == 0, last.stderr
    assert not lock.exists()


def test_a_pipe_needs_no_lock(photos: Path, tmp_path: Path, tiny_weights: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    reading = os.open(tmp_path / "pipe.csv", os.O_RDONLY | os.O_NONBLOCK)
    with outputs.alone(tmp_path / "pipe.csv", Format.CSV):
        result = run(photos / "0.png", "-o", tmp_path / "pipe.csv", "--weights", tiny_weights)
    assert result.exit_code == 0, result.stderr
    assert os.read(reading, 65536).count(b"\n") == 3
    os.close(reading)
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "pipe.csv"}


def test_a_part_never_replaces_another(tmp_path: Path) -> None:
    part = tmp_path / "scores" / "part-000000.parquet"

    def write() -> None:
        with outputs.opened(part.parent, Format.PARQUET) as table:
            part.write_bytes(b"another's")
            table.add([dict.fromkeys(COLUMNS)])

    with pytest.raises(SettingError, match="File exists"):
        write()
    assert part.read_bytes() == b"another's"
    assert list(part.parent.iterdir()) == [part]
