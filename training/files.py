"""File habits shared by the commands: written in one step, read on several threads."""

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from filelock import FileLock, Timeout
from rich.progress import track

from training.errors import RunError

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes ``path`` when the block ends, and is removed if it fails."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from training into ``folder`` meanwhile; RunError where one does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "training.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunError(
            f"Another process trains into {folder}: let it end, or choose another --output."
        ) from None
    try:
        yield
    finally:
        lock.release()


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one step, so that a kill leaves the old or the new file."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as readable JSON in one step; NaN is refused (ValueError)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def threaded(
    work: Callable[[Item], Result], items: Iterable[Item], description: str
) -> Iterator[Result]:
    """``map`` over a few threads (Pillow decodes without the interpreter lock), with a bar."""
    items = list(items)
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield from track(pool.map(work, items), description=description, total=len(items))
