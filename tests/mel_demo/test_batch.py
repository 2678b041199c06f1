"""Searching folders: nothing is left out in silence, nothing comes twice, nothing hangs."""

import io
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from mel_demo import batch
from mel_demo.batch import LeftOut
from mel_demo.errors import WeightsError
from mel_demo.images import Picture
from mel_demo.rows import Sheet
from mel_demo.screening import Screener, Screening

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
        ("folder", "folder that cannot be read"),
    ],
)
def test_what_is_no_file_is_a_row_and_never_waited_for(
    tmp_path: Path, tiny_screener: Screener, sheet: Sheet, kind: str, says: str
) -> None:
    path = tmp_path / "odd.jpg"
    make = {"pipe": os.mkfifo, "dangling": lambda p: p.symlink_to("no"), "folder": Path.mkdir}[kind]
    make(path)
    ((row,),) = batch.judge(tiny_screener, sheet, [(str(path), path)])
    assert says in row["error"]
    assert row["image"] == str(path)


def test_a_name_that_is_not_utf8_can_be_written(
    tmp_path: Path, tiny_screener: Screener, sheet: Sheet
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    GREY.save(path)
    (rows,) = batch.judge(tiny_screener, sheet, [(batch.name_of(path), path)])
    assert rows[0]["image"].endswith("caf\\xe9.png")
    assert rows[0]["error"] is None


def test_no_two_names_are_written_alike() -> None:
    r"""Bytes that are no UTF-8 beside names that spell them, and names that spell those."""
    parts = (
        b"\xe9",
        rb"\xe9",
        rb"\x5cxe9",
        rb"\x5cx5cxe9",
        rb"\\xe9",
        b"\\\xe9",
        b"\x80",
        rb"\x80",
    )
    parts += (rb"\x5c", rb"\x", b"\\", "é".encode(), rb"\x41", b"A")
    names = [a + b for a in (b"", *parts) for b in parts]
    written = {batch.name_of(Path(os.fsdecode(name))) for name in names}
    assert len(written) == len(set(names))
    for name in written:
        assert name.encode()
    assert batch.name_of(Path("病变 \\ \\x41.jpg")) == "病变 \\ \\x41.jpg", (
        "as it is where it can be"
    )


def test_images_judged_together_get_the_rows_that_each_gets_alone(
    tmp_path: Path, tiny_screener: Screener, sheet: Sheet
) -> None:
    sources: list[tuple[str, Path | bytes]] = []
    for number in range(11):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (200 + number, 150), (20 * number, 90, 60)).save(path)
        sources.append((path.name, path if number % 2 else path.read_bytes()))
    sources[5] = "no image", b"no image"
    together = batch.judge(tiny_screener, sheet, sources)
    assert together == [batch.judge(tiny_screener, sheet, [one])[0] for one in sources]
    assert [rows[0]["image"] for rows in together] == [name for name, _ in sources]
    assert [len(rows) for rows in together] == [2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2]


def test_an_image_that_the_models_fail_on_fails_alone(
    tiny_screener: Screener, sheet: Sheet, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(level) for level in range(6)]
    sources = []
    for level in range(6):
        Image.new("RGB", (200, 200), (level, 0, 0)).save(data := io.BytesIO(), "PNG")
        sources.append((names[level], data.getvalue()))
    screen_all = tiny_screener.screen_all

    def failing(pictures: Sequence[Picture]) -> list[Screening]:
        if any(picture.rgb[0, 0, 0] == 2 for picture in pictures):
            raise WeightsError("gives numbers that are not finite")
        return screen_all(pictures)

    monkeypatch.setattr(tiny_screener, "screen_all", failing)
    errors = {
        rows[0]["image"]: rows[0]["error"] for rows in batch.judge(tiny_screener, sheet, sources)
    }
    assert errors == dict.fromkeys(names) | {"2": "gives numbers that are not finite"}


def test_rows_keep_the_order_of_the_files_and_few_are_under_way() -> None:
    asked, most = [0], [0]
    first = threading.Event()

    def files() -> object:
        for number in range(500):
            asked[0] += 1
            yield Path(f"{number}")

    def judge(paths: Sequence[Path]) -> list[list[dict[str, str]]]:
        if paths[0].name == "0":
            first.wait(5)  # the slowest is the first
        return [[{"image": path.name}] for path in paths]

    names = []
    results = batch.in_order(judge, files(), workers=2)
    threading.Timer(0.05, first.set).start()
    for rows in results:
        names.append(rows[0]["image"])
        most[0] = max(most[0], asked[0] - len(names))
    assert names == [str(number) for number in range(500)]
    assert most[0] <= 16


def test_stopping_early_does_not_judge_the_rest() -> None:
    judged = []
    results = batch.in_order(
        lambda paths: judged.extend(paths) or [[] for _ in paths], map(Path, "abc" * 100), 2
    )
    next(results)
    results.close()
    assert len(judged) < 20
