"""What an archive holds: images as files of their own, and within WebDataset and Parquet shards.

On local disks and wherever pyarrow reads: S3 and its likes, the Hub (hf://). Knows no model and no
cluster; what cannot be read is told with its name and stops nothing.
"""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from mel_demo import batch
from mel_demo.batch import LeftOut, Source
from mel_demo.errors import ImageError, SettingError
from mel_demo.images import MAX_BYTES, SUFFIXES

SHARDS = frozenset((".tar", ".parquet"))
_ROWS = 16
"""Images of a Parquet file that are held at once."""


@dataclass(frozen=True)
class Item:
    """An image, or a shard of many. ``name``: as rows call it. ``root``: the address that it was
    found by, "" on local disks. ``path``: below that file system."""

    name: str
    root: str
    path: str

    @property
    def is_shard(self) -> bool:
        return PurePosixPath(self.path).suffix.lower() in SHARDS


def find(paths: Sequence[str], left_out: LeftOut) -> Iterator[Item]:
    """All images and shards of files, folders and addresses; as ``batch.find_images``.

    Raises SettingError where one does not exist or cannot be searched.
    """
    local = [Path(path) for path in paths if "://" not in path]
    for file in batch.find_images(local, left_out, SUFFIXES | SHARDS):
        yield Item(batch.name_of(file), "", str(file.absolute()))
    for path in paths:
        if "://" in path:
            yield from _find_remote(path, left_out)


def read(item: Item) -> Source:
    """An image as ``batch.judge`` takes it."""
    if not item.root:
        return Path(item.path)
    try:
        with _file_system(item.root)[0].open_input_stream(item.path, compression=None) as stream:
            return bytes(stream.read(MAX_BYTES + 1))  # one more, and it is refused as too large
    except OSError as error:
        return ImageError(f"The file cannot be fetched ({_first_line(error)}).")


def members(shard: Item) -> Iterator[tuple[str, Source]]:
    """Every image in a shard by name, in its order; a few are held at a time.

    In WebDataset, what has the suffix of an image. In Parquet, the column "image", or the only one
    that holds bytes, by themselves or, as in the Hub's data sets, beside a path. What cannot be
    read of a shard is an ImageError with the shard's own name.
    """
    import pyarrow

    kind = _in_tar if shard.path.lower().endswith(".tar") else _in_parquet
    try:
        for name, content in kind(shard):
            yield f"{shard.name}/{name}", content
    except (OSError, EOFError, tarfile.TarError, pyarrow.ArrowException, SettingError) as error:
        text = f"The archive cannot be read, or not to its end ({_first_line(error)})."
        yield shard.name, ImageError(text)


def _in_tar(shard: Item) -> Iterator[tuple[str, bytes]]:
    files, path = _opened(shard)
    with (
        files.open_input_stream(path, compression=None) as stream,
        tarfile.open(fileobj=stream, mode="r|*") as archive,
    ):
        for member in archive:
            name = PurePosixPath(member.name)
            if not member.isfile() or name.suffix.lower() not in SUFFIXES:
                continue
            if not name.name.startswith("."):
                yield batch.name_of(member.name), archive.extractfile(member).read(MAX_BYTES + 1)  # type: ignore[union-attr]


def _in_parquet(shard: Item) -> Iterator[tuple[str, bytes]]:
    from pyarrow import parquet

    files, path = _opened(shard)
    with files.open_input_file(path) as stream:
        file = parquet.ParquetFile(stream)
        column = _image_column(file.schema_arrow)
        row = 0
        for group in file.iter_batches(_ROWS, columns=[column]):
            for value in group.column(0).to_pylist():
                within = value if isinstance(value, dict) else {"bytes": value}
                yield within.get("path") or f"{row:06}", (within["bytes"] or b"")[: MAX_BYTES + 1]
                row += 1


def _image_column(schema: Any) -> str:
    from pyarrow import types

    def holds_bytes(kind: Any) -> bool:
        if types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        return types.is_binary(kind) or types.is_large_binary(kind)

    found = [field.name for field in schema if holds_bytes(field.type)]
    if "image" in found or len(found) == 1:
        return "image" if "image" in found else str(found[0])
    raise SettingError(f"columns that hold images: {', '.join(found) or 'none'}; wanted 'image'")


def _find_remote(address: str, left_out: LeftOut) -> Iterator[Item]:
    from pyarrow.fs import FileSelector, FileType

    files, path = _file_system(address)
    scheme = address.partition("://")[0]
    try:
        (start,) = files.get_file_info([path])
        if start.type == FileType.NotFound:
            raise SettingError(f"{address} does not exist, or may not be read.")
        folder = start.type == FileType.Directory
        infos = files.get_file_info(FileSelector(path, recursive=True)) if folder else [start]
    except OSError as error:
        raise SettingError(f"{address} cannot be searched ({error}).") from error
    for info in sorted(infos, key=lambda info: info.path):
        below = PurePosixPath(info.path[len(path) :])
        if info.type == FileType.Directory:
            continue
        if any(part.startswith(".") for part in below.parts):
            left_out.hidden += 1
        elif not folder or below.suffix.lower() in SUFFIXES | SHARDS:
            yield Item(f"{scheme}://{info.path}", address, info.path)
        else:
            left_out.add(below.name)


def _opened(shard: Item) -> tuple[Any, str]:
    from pyarrow.fs import LocalFileSystem

    return (_file_system(shard.root)[0] if shard.root else LocalFileSystem()), shard.path


@cache
def _file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it; SettingError when there is none such."""
    import pyarrow
    from pyarrow.fs import FileSystem

    try:
        return FileSystem.from_uri(address)
    except (OSError, ValueError, ImportError, pyarrow.ArrowException) as error:
        raise SettingError(
            f"{address} is no address that can be read ({error}). Name a file, a folder, or "
            "s3://BUCKET/FOLDER or hf://datasets/USER/NAME."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
