"""Searching folders: nothing is left out in silence, nothing comes twice, nothing hangs."""

import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from mel_demo import batch
from mel_demo.batch import LeftOut
from mel_demo.rows import Sheet
from mel_demo.screening import Screener

GREY = Image.new("RGB", (200, 200), (128, 128, 128))


@pytest.fixture
def sheet(tiny_screener: Screener) -> Sheet:
    return Sheet(tiny_screener.manifest, 0.95)


def found(*paths: Path) -> list[str]:
    return [path.name for path in batch.find_images(paths, LeftOut())]


def test_every_file_is_a_row_or_counted(tmp_path: Path) -> None:
    GREY.save(tmp_path / "a.jpg")
    os.link(tmp_path / "a.jpg", tmp_path / "hard.jpg")
    (tmp_path / "soft.jpg").symlink_to("a.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("scan.xyz", "b.jp2", "c.JP2", "readme", "._a.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    GREY.save(tmp_path / "folder.jpg" / "inside.png")
    (tmp_path / "linked").symlink_to("folder.jpg")
    left_out = LeftOut()
    names = [path.name for path in batch.find_images([tmp_path], left_out)]
    assert names == ["a.jpg", "dangling.jpg", "inside.png", "hard.jpg", "pipe.jpg", "soft.jpg"]
    assert str(left_out) == (
        "Left out: 4 files not named like an image (.jp2 2, no suffix 1, .xyz 1), 1 hidden, "
        "1 links to folders."
    )


def test_very_many_kinds_are_counted_together(tmp_path: Path) -> None:
    left_out = LeftOut()
    for number in range(1000):
        left_out.add(f"scan.{number}")
    assert len(left_out.suffixes) <= 21
    assert left_out.suffixes.total() == 1000


def test_what_is_named_twice_comes_once_and_what_is_named_always_comes(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    (inner / ".hidden").mkdir(parents=True)
    for file in (inner / "a.jpg", inner / "odd.xyz", inner / ".hidden" / "b.jpg"):
        file.touch()
    assert found(inner / "a.jpg", tmp_path, inner / ".." / "inner") == ["a.jpg"]
    assert found(tmp_path, inner / "a.jpg", inner / "odd.xyz") == ["a.jpg", "odd.xyz"]
    assert found(tmp_path, inner / ".hidden") == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pipe", "no file but a pipe"),
        ("dangling", "No such file"),
        ("folder", "cannot be searched"),
    ],
)
def test_what_is_no_file_is_a_row_and_never_waited_for(
    tmp_path: Path, tiny_screener: Screener, sheet: Sheet, kind: str, says: str
) -> None:
    path = tmp_path / "odd.jpg"
    make = {"pipe": os.mkfifo, "dangling": lambda p: p.symlink_to("no"), "folder": Path.mkdir}[kind]
    make(path)
    (row,) = batch.judge_file(tiny_screener, sheet, path)
    assert says in row["error"]
    assert row["image"] == str(path)


def test_a_name_that_is_not_utf8_can_be_written(
    tmp_path: Path, tiny_screener: Screener, sheet: Sheet
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    GREY.save(path)
    rows = batch.judge_file(tiny_screener, sheet, path)
    assert rows[0]["image"].endswith("caf\\xe9.png")
    assert rows[0]["error"] is None


def test_rows_keep_the_order_of_the_files_and_few_are_under_way() -> None:
    asked, most = [0], [0]
    first = threading.Event()

    def files() -> object:
        for number in range(500):
            asked[0] += 1
            yield Path(f"{number}")

    def judge(path: Path) -> list[dict[str, str]]:
        if path.name == "0":
            first.wait(5)  # the slowest is the first
        return [{"image": path.name}]

    names = []
    results = batch.in_order(judge, files(), workers=2)
    threading.Timer(0.05, first.set).start()
    for rows in results:
        names.append(rows[0]["image"])
        most[0] = max(most[0], asked[0] - len(names))
    assert names == [str(number) for number in range(500)]
    assert most[0] <= 8


def test_stopping_early_does_not_judge_the_rest() -> None:
    judged = []
    results = batch.in_order(lambda path: judged.append(path) or [], map(Path, "abc" * 100), 2)
    next(results)
    results.close()
    assert len(judged) < 20
