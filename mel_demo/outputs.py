"""Where rows go: standard output, a CSV or JSON Lines file, or Parquet parts in a folder.

Rows are written image by image, as they come, so that a run that was stopped leaves whole rows and
can be resumed, by one at a time. Never writes over an image, nor what is no table of this program.
"""

import errno
import hashlib
import io
import os
import re
import shutil
import sys
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from filelock import FileLock, Timeout

from mel_demo import rows
from mel_demo.errors import SettingError
from mel_demo.images import SUFFIXES
from mel_demo.rows import COLUMNS, Row, Sheet


class Format(StrEnum):
    """How a table is written; PARQUET as a folder of parts."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


ROWS_PER_PART = 3000
_PART, _UNFINISHED, _LOCK = "part-*.parquet", ".part-*.tmp", ".lock"
_WRITE = {Format.CSV: rows.to_csv, Format.JSONL: rows.to_json}
_READ = {Format.CSV: rows.from_csv, Format.JSONL: rows.from_json}
_STRANGE = "It is no table of this program, or one with other columns."
_SAVED = (
    "It was saved by another program, such as a spreadsheet, which changes line ends or values. Go "
    "on with a copy from before that, or name another --output."
)
_CHECKED = ["image", "model", "threshold", "error", "target_sensitivity", "weights"]
_HEADER = {Format.CSV: rows.csv_header(), Format.JSONL: b"", Format.PARQUET: b""}


class Output(Protocol):
    """A table being written."""

    def add(self, found: list[Row]) -> None:
        """Write all rows of one image."""

    def close(self) -> None:
        """Write what is left."""


class Finished:
    """Which images a table holds already: eight bytes each, as hashes of their names; how many of
    them ``failed``."""

    def __init__(self, names: Iterable[str] = (), failed: int = 0) -> None:
        self.failed = failed
        self._hashes = np.unique(np.array(array("Q", map(_hash, names)), np.uint64))

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, name: str) -> bool:
        wanted = np.uint64(_hash(name))
        place = int(np.searchsorted(self._hashes, wanted))
        return place < len(self._hashes) and bool(self._hashes[place] == wanted)


def check(path: Path, kind: Format, inputs: Iterable[Path]) -> None:
    """SettingError, naming ``path``, unless a table may be written there, or is there already."""
    try:
        path.exists()
    except OSError as error:
        raise _unwritable(path, error) from error
    if path.suffix.lower() in SUFFIXES:
        raise SettingError(
            f"{path} is named like an image, and is not written over. Name the table, for example "
            "--output scores.csv."
        )
    if path.exists() and any(item.exists() and path.samefile(item) for item in inputs):
        raise SettingError(f"{path} is also to be screened. Name another --output.")
    if kind is Format.PARQUET:
        if path.exists() and not path.is_dir():
            raise SettingError(
                f"{path} is no folder: Parquet is written as parts. Name a folder, or a new one."
            )
        strangers = [] if not path.exists() else set(path.iterdir()) - set(_parts(path))
        for stranger in strangers:
            if not stranger.match(_UNFINISHED) and stranger.name != _LOCK:
                raise SettingError(
                    f"{path} holds {stranger.name}, which is no part of a table. Name a new folder."
                )
    elif path.is_dir():
        raise SettingError(f"{path} cannot be written: it is a folder. Name a file in it.")


@contextmanager
def alone(path: Path | None, kind: Format) -> Iterator[None]:
    """As the only run that writes ``path``; a pipe, a device or None is nobody's.

    Enter before ``finished``, leave after ``opened``. The lock is a hidden file beside the table,
    or within a folder of parts; the system lets go of it with a process that is killed. Raises
    SettingError where another run has it, or where it cannot be made.
    """
    if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
        yield
        return
    place = Path(os.path.realpath(path))
    try:
        place.parent.stat()  # FileLock would make the folder
        if in_folder := kind is Format.PARQUET:
            place.mkdir(exist_ok=True)
        lock = FileLock(place / _LOCK if in_folder else place.with_name(f".{place.name}{_LOCK}"))
        lock.acquire(timeout=0)
    except Timeout:
        text = f"Another run is writing {path}. Wait for it, or name another --output."
        raise SettingError(text) from None
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        # Before the release: after it the file may be the next run's. (Windows removes it itself.)
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def finished(path: Path, kind: Format, sheet: Sheet, resume: bool, retry: bool) -> Finished:
    """The images that ``path`` holds all rows of; a half-written end is cut off.

    With ``retry`` the rows of files that could not be judged are taken out, and these are not
    finished. SettingError where it holds anything that is no table, a table that was written with
    other columns, weights or target, or any table at all without ``resume``.
    """
    parts = _parts(path) if kind is Format.PARQUET else []
    if not parts and not (path.is_file() and path.stat().st_size):
        if resume and path.exists() and not path.is_file() and not path.is_dir():
            raise SettingError(f"{path} is no file that can be read again: leave out --resume.")
        return Finished()
    judged, failed, end = list[str](), list[str](), len(_HEADER[kind])
    in_parts = ((row, 0) for part in parts for row in _rows_of_part(part))
    try:
        for row, after in _images(in_parts if parts else _rows_in_lines(path, kind), sheet):
            (judged if row["error"] is None else failed).append(row["image"])
            end = after
    except SettingError as error:
        raise SettingError(f"{path} cannot be gone on with. {error}") from None
    done = Finished(judged + failed, len(failed))
    if not resume:
        raise SettingError(
            f"{path} holds a table of {len(done)} images already. Go on with it by --resume, "
            "remove it, or name another --output."
        )
    try:
        if not parts:
            os.truncate(path, end)
        if not (retry and failed):
            return done
        for file in parts or [Path(os.path.realpath(path))]:
            _take_out_failed(file, kind)
        return Finished(judged)
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def opened(path: Path | None, kind: Format) -> Iterator[Output]:
    """The table at ``path``, to add rows to; standard output without one.

    Raises SettingError when it cannot be written, BrokenPipeError when nobody reads it any more.
    """
    try:
        output = _open(path, kind)
        try:
            yield output
        finally:
            output.close()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path | None, error: OSError) -> SettingError:
    return SettingError(
        f"{path or 'Standard output'} cannot be written ({error.strerror}). Name a file in a "
        "folder that exists, that you may write to, and that has room. What was written stays "
        "there, and --resume goes on with it."
    )


def _open(path: Path | None, kind: Format) -> Output:
    if kind is Format.PARQUET:
        if path is None:
            raise SettingError("Parquet needs --output FOLDER.")
        return _Parts(path)
    if path is None:
        return _Lines(_standard_output(), kind)
    return _Lines(path.open("ab", buffering=0), kind)


def _standard_output() -> "BinaryIO | _Terminal":
    if sys.stdout is None:
        raise SettingError("Standard output is closed. Name a file by --output.")
    # Without a buffer, nothing is left to fail when the interpreter ends.
    file: BinaryIO = _raw(sys.stdout.buffer)
    if sys.stdout.isatty() and sys.stdout.encoding.lower() not in ("utf-8", "utf8"):
        return _Terminal(file, sys.stdout.encoding)
    return file


class _Terminal(io.RawIOBase):
    """A terminal that knows few characters: others are written as in Python's source."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._encoding = file, encoding

    def write(self, data: Any) -> int:
        self._file.write(bytes(data).decode().encode(self._encoding, "backslashreplace"))
        return len(data)


class _Lines:
    def __init__(self, file: BinaryIO | _Terminal, kind: Format) -> None:
        self._file, self._line = file, _WRITE[kind]
        if kind is Format.CSV and not (file.seekable() and file.seek(0, os.SEEK_END)):
            self._write(rows.csv_header())

    def add(self, found: list[Row]) -> None:
        self._write(b"".join(map(self._line, found)))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def close(self) -> None:
        if sys.stdout is None or self._file not in (sys.stdout.buffer, _raw(sys.stdout.buffer)):
            self._file.close()


class _Parts:
    """Every part is written under another name first: what has its own name is whole."""

    def __init__(self, folder: Path) -> None:
        self._arrow()
        folder.mkdir(exist_ok=True)
        for left in folder.glob(_UNFINISHED):
            left.unlink()
        self._folder, self._rows = folder, list[Row]()
        numbers = [int(part.stem.partition("-")[2]) for part in _parts(folder)]
        self._number = max(numbers, default=-1) + 1

    def add(self, found: list[Row]) -> None:
        self._rows += found
        if len(self._rows) >= ROWS_PER_PART:
            self.close()

    def close(self) -> None:
        if not self._rows:
            return
        _, parquet = self._arrow()
        part = self._folder / f"part-{self._number:06}.parquet"
        unfinished = part.with_name(f".{part.stem}.tmp")
        with unfinished.open("xb") as file:
            try:
                if part.exists():
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), part)
                parquet.write_table(rows.to_table(self._rows), file)
                file.close()
                os.replace(unfinished, part)
            finally:
                unfinished.unlink(missing_ok=True)
        self._number, self._rows = self._number + 1, []

    @staticmethod
    def _arrow() -> tuple[Any, Any]:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise SettingError(
                "Parquet needs the package pyarrow: `pip install pyarrow`, or choose --format csv "
                "or jsonl."
            ) from error
        return pyarrow, parquet


def _parts(folder: Path) -> list[Path]:
    return sorted(part for part in folder.glob(_PART) if part.stem.partition("-")[2].isdigit())


def _rows_of_part(part: Path) -> Iterator[Row]:
    """Their columns "image" and "error", and those that ``Sheet.check`` looks at."""
    _, parquet = _Parts._arrow()
    import pyarrow

    try:
        file = parquet.ParquetFile(part)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise SettingError(f"{part.name} is no Parquet file ({error}).") from error
    if file.schema_arrow.names != list(COLUMNS):
        raise SettingError("It has other columns.")
    for batch in file.iter_batches(columns=_CHECKED):
        yield from batch.to_pylist()


def _rows_in_lines(path: Path, kind: Format) -> Iterator[tuple[Row, int]]:
    """Every row, and where it ends, in bytes."""
    header = _HEADER[kind]
    with path.open("rb") as file:
        if file.read(len(header)) != header:
            raise _strange_header(file)
        for record, after in _records(file, kind, len(header)):
            yield _read(kind, record), after


def _images(found: Iterable[tuple[Row, int]], sheet: Sheet) -> Iterator[tuple[Row, int]]:
    """The last row of every whole image, and where it ends."""
    group = list[Row]()
    for row, after in found:
        sheet.check(row)
        if group and row["image"] != group[0]["image"]:
            have = ", ".join(row["model"] for row in group)
            raise SettingError(
                f"Of {group[0]['image']} it holds {have} only, and not all of "
                f"{', '.join(sheet.models)}. Go on with the --model it was written with, or name "
                "another output."
            )
        group.append(row)
        if sheet.whole(group):
            yield row, after
            group = []


def _take_out_failed(file: Path, kind: Format) -> None:
    """Whole at any time: what is left is written beside the file, then put in its place."""
    left = file.with_name(f".{file.name}.tmp")
    try:
        if kind is Format.PARQUET:
            _, parquet = _Parts._arrow()
            held = parquet.read_table(file)
            if held["error"].null_count == len(held):
                return
            parquet.write_table(held.filter(held["error"].is_null()), left)
        else:
            with file.open("rb") as held, left.open("wb") as new:
                new.write(held.read(len(_HEADER[kind])))
                for record, _ in _records(held, kind, 0):
                    if _READ[kind](record)["error"] is None:
                        new.write(record)
        shutil.copymode(file, left)
        os.replace(left, file)
    finally:
        left.unlink(missing_ok=True)


def _strange_header(file: BinaryIO) -> SettingError:
    file.seek(0)
    line = file.read(2000).decode(errors="replace").splitlines()[0]
    return SettingError(_SAVED if re.findall(r"\w+", line) == list(COLUMNS) else _STRANGE)


def _read(kind: Format, record: bytes) -> Row:
    try:
        return _READ[kind](record)
    except ValueError as error:
        # A CSV file with the right first line was once ours.
        raise SettingError(_SAVED if kind is Format.CSV else _STRANGE) from error


def _records(file: BinaryIO, kind: Format, place: int) -> Iterator[tuple[bytes, int]]:
    """Whole records, and where each ends. In CSV a line break within quotes is none."""
    record = b""
    for line in file:
        place += len(line)
        record += line
        if line.endswith(b"\n") and not (kind is Format.CSV and record.count(b'"') % 2):
            yield record, place
            record = b""


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _raw(binary: Any) -> Any:
    return getattr(binary, "raw", binary)
