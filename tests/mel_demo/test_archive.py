"""What archives hold: files and shards, here and at an address; what cannot be read is told."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mel_demo import archive
from mel_demo.archive import Item
from mel_demo.batch import LeftOut
from mel_demo.errors import ImageError, SettingError
from mel_demo.images import MAX_BYTES
from tests.support.hub_stand_in import hub_stand_in
from tests.support.shards import png, write_parquet, write_tar

pytest.importorskip("pyarrow")
ADDRESS = "fsspec+memory://archive"
"""Read by pyarrow as S3 and the Hub are."""


@pytest.fixture
def stored() -> Iterator[str]:
    """Files at an address: two images, one of them in a folder, a shard, and others."""
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    tar = io.BytesIO()
    write_tar(tar, {"1.png": png(1)})
    for name, content in {
        "b.png": png(2),
        "a folder/ü #1?.PNG": png(3),
        "shard.tar": tar.getvalue(),
        "notes.txt": b"no image",
        ".hidden/c.png": png(4),
        "huge.jpg": bytes(MAX_BYTES + 10),
    }.items():
        files.pipe(f"/archive/{name}", content)
    yield ADDRESS
    files.rm("/archive", recursive=True)


def by_name(shard: Path) -> dict[str, object]:
    item = Item(shard.name, "", str(shard))
    return dict(archive.members(item))


def test_an_address_is_searched_as_a_folder_is(stored: str) -> None:
    left_out = LeftOut()
    items = list(archive.find([stored], left_out))
    names = [item.name.removeprefix("fsspec+memory://").lstrip("/") for item in items]
    assert names == [
        *("archive/a folder/ü #1?.PNG", "archive/b.png", "archive/huge.jpg", "archive/shard.tar"),
    ]
    assert str(left_out) == "Left out: 1 files not named like an image (.txt 1), 1 hidden."
    assert [item.is_shard for item in items] == [False, False, False, True]
    assert [archive.read(item) for item in items[:2]] == [png(3), png(2)]
    content = archive.read(items[2])
    assert isinstance(content, bytes)
    assert len(content) == MAX_BYTES + 1  # enough to be refused
    assert [content for _, content in archive.members(items[3])] == [png(1)]


def test_what_is_gone_when_it_is_read_is_an_error_of_its_own(stored: str) -> None:
    (item,) = archive.find([f"{stored}/b.png"], LeftOut())
    gone = archive.read(Item(item.name, item.root, item.path + "x"))
    assert isinstance(gone, ImageError)
    assert "cannot be fetched" in str(gone)


LISTED = """
import sys
from mel_demo import archive
from mel_demo.batch import LeftOut

for item in archive.find(sys.argv[1:], LeftOut()):
    found = archive.members(item) if item.is_shard else [(item.name, archive.read(item))]
    for name, content in found:
        print(name, content.hex() if isinstance(content, bytes) else content)
"""
"""In a process of its own: where the Hub is, its client reads when it is imported."""


def test_a_data_set_of_the_hub_is_searched_as_a_folder_is(tmp_path: Path) -> None:
    write_parquet(tmp_path / "b.parquet", [png(number) for number in range(40)], as_hub=True)
    shard = (tmp_path / "b.parquet").read_bytes()
    with hub_stand_in() as hub:
        files = {"README.md": b"", "train/a b.png": png(1), "train/b.parquet": shard}
        hub.put("me/skin", {**files, "test/c.png": png(2)}, "datasets")
        address = "hf://datasets/me/skin/train"
        listed = subprocess.run(
            [sys.executable, "-c", LISTED, address],
            env=os.environ | hub.environment(tmp_path / "home"),
            capture_output=True,
            check=True,
            text=True,
        )
    found = dict(line.rsplit(" ", 1) for line in listed.stdout.splitlines())
    assert found == {f"{address}/a b.png": png(1).hex()} | {
        f"{address}/b.parquet/{number}.png": png(number).hex() for number in range(40)
    }


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (f"{ADDRESS}/none", "does not exist"),
        ("gopher://archive", "no address that can be read"),
        ("fsspec+nothing://archive", "no address that can be read"),
    ],
)
def test_an_address_that_cannot_be_read_is_named(stored: str, address: str, says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        list(archive.find([address], LeftOut()))
    assert address in str(caught.value)


def test_local_folders_are_searched_for_shards_too(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.tar", "c.parquet", "d.zip"):
        (tmp_path / name).touch()
    items = list(archive.find([str(tmp_path)], LeftOut()))
    assert [item.name for item in items] == [
        f"{tmp_path}/{n}" for n in ("a.jpg", "b.tar", "c.parquet")
    ]
    assert archive.read(items[0]) == tmp_path / "a.jpg"


def test_of_webdataset_all_that_is_named_like_an_image_comes(tmp_path: Path) -> None:
    members = {"1.png": png(1), "1.json": b"{}", "sub/2.seg.PNG": png(2), "._1.png": b"macOS"}
    with (tmp_path / "a.tar").open("wb") as file:
        write_tar(file, members)
    assert by_name(tmp_path / "a.tar") == {"a.tar/1.png": png(1), "a.tar/sub/2.seg.PNG": png(2)}
    with tarfile.open(tmp_path / "b.tar", "w:gz") as packed:
        packed.add(tmp_path / "a.tar", "inner.png")
    assert list(by_name(tmp_path / "b.tar")) == ["b.tar/inner.png"]


def test_a_name_within_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    with (tmp_path / "a.tar").open("wb") as file:
        write_tar(file, {"caf\udce9.png": png(1), r"caf\xe9.png": png(2)})
    (shard,) = archive.find([str(tmp_path / "a.tar")], LeftOut())
    names = [name for name, _ in archive.members(shard)]
    assert names == [f"{shard.name}/caf\\xe9.png", f"{shard.name}/caf\\x5cxe9.png"]


@pytest.mark.parametrize("as_hub", [True, False])
def test_of_parquet_the_column_of_images_comes(tmp_path: Path, as_hub: bool) -> None:
    write_parquet(tmp_path / "a.parquet", [png(number) for number in range(40)], as_hub)
    names = [f"{number}.png" if as_hub else f"{number:06}" for number in range(40)]
    assert by_name(tmp_path / "a.parquet") == {
        f"a.parquet/{name}": png(number) for number, name in enumerate(names)
    }


def test_a_shard_that_ends_early_gives_what_it_holds_and_says_so(tmp_path: Path) -> None:
    with (tmp_path / "a.tar").open("wb") as file:
        write_tar(file, {f"{number}.png": png(number) for number in range(20)})
    whole = (tmp_path / "a.tar").read_bytes()
    cut = whole.index(png(10)) + 20  # within a picture: between two, nothing tells an end
    (tmp_path / "a.tar").write_bytes(whole[:cut])
    found = by_name(tmp_path / "a.tar")
    error = found.pop("a.tar")
    assert "not to its end" in str(error)
    assert found == {f"a.tar/{number}.png": png(number) for number in range(10)}


@pytest.mark.parametrize("name", ["a.tar", "a.parquet"])
def test_a_shard_that_is_none_is_an_error_of_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive" * 100)
    ((where, error),) = by_name(tmp_path / name).items()
    assert where == name
    assert isinstance(error, ImageError)


def test_a_parquet_file_without_images_says_what_it_wants(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"label": [1, 2]}), tmp_path / "a.parquet")
    assert "columns that hold images: none; wanted 'image'" in str(
        by_name(tmp_path / "a.parquet")["a.parquet"]
    )


def test_an_empty_cell_is_an_empty_file(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [png(0), None], as_hub=False)
    assert by_name(tmp_path / "a.parquet")["a.parquet/000001"] == b""
