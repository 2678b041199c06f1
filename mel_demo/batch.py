"""Many images to rows: finds the files, judges them on all cores. No file stops the rest.

Knows files and threads; it does not know the terminal (``cli``), the table (``outputs``) nor any
model. Holds a few images at a time, however many there are.
"""

import itertools
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mel_demo.errors import ImageError, MelDemoError, SettingError
from mel_demo.images import SUFFIXES, Picture, read_image
from mel_demo.rows import Row, Sheet
from mel_demo.screening import Screener

GROUP = 4
"""Images that go through the models at once; more are no faster."""
_GROUP_PIXELS = 8_000_000
"""More pixels are not held together: a group of photos would need a gigabyte on many cores."""
_AHEAD = 2
"""Groups under way for each worker: enough that a slow one does not stop the others."""
_KINDS = 20
_LIKE_A_BYTE = re.compile(rb"\\(?=x(?:5c|[89a-f][0-9a-f]))")

Source = Path | bytes | ImageError
"""An image as a file, as its content, or why there is neither."""
_T = TypeVar("_T")


@dataclass
class LeftOut:
    """What a search of folders passed over; ``suffixes`` counts files not named like an image."""

    suffixes: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    linked_folders: int = 0

    def add(self, name: str) -> None:
        """Count a file by its suffix; of very many kinds the later ones together."""
        suffix = os.path.splitext(name)[1].lower() or "no suffix"
        known = suffix in self.suffixes or len(self.suffixes) < _KINDS
        self.suffixes[suffix if known else "others"] += 1

    def __str__(self) -> str:
        """One line, empty when nothing was."""
        parts = []
        if self.suffixes:
            kinds = ", ".join(f"{kind} {number}" for kind, number in self.suffixes.most_common())
            parts.append(f"{self.suffixes.total()} files not named like an image ({kinds})")
        if self.hidden:
            parts.append(f"{self.hidden} hidden")
        if self.linked_folders:
            parts.append(f"{self.linked_folders} links to folders")
        return f"Left out: {', '.join(parts)}." if parts else ""


@dataclass
class Tally:
    """Images by what became of them; ``before``: those that a resumed table held already, of which
    ``failed_before`` could not be judged."""

    before: int = 0
    failed_before: int = 0
    images: int = 0
    failed: int = 0
    refused: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)

    def add(self, rows: Sequence[Row]) -> None:
        """Count one image by its rows."""
        self.images += 1
        self.failed += rows[0]["error"] is not None
        self.refused += bool(rows[0]["refused"])

    def remarks(self) -> Iterator[str]:
        """What a person should know, in lines; none where all went well."""
        if self.before:
            yield f"{self.before} images were in the table already, {self.images} were added."
        if text := str(self.left_out):
            yield text
        if self.refused:
            yield (
                f"{self.refused} of {self.images} files do not look like dermoscopy images: no "
                "decision."
            )
        if self.failed:
            yield (
                f"{self.failed} of {self.images} files could not be judged: see the column 'error'."
            )
        if self.failed_before:
            yield (
                f"{self.failed_before} of the {self.before} images that were in the table could "
                "not be judged: --retry takes their rows out and tries them again."
            )


def find_images(
    paths: Sequence[Path], left_out: LeftOut, suffixes: Set[str] = SUFFIXES
) -> Iterator[Path]:
    """Files named in ``paths`` as they are; of folders, all below with one of ``suffixes``.

    Sorted by name within a folder, of which only the names are held. Hidden ones are left out
    (macOS puts "._name.jpg" beside a photo), and so are links to folders, which may lead in
    circles. No path comes twice; two links to one file are two images. Also yields what cannot be
    read, dangling links and unreadable folders among them: ``judge`` says so. Raises
    SettingError when a path does not exist.
    """
    for path in paths:
        if not os.path.lexists(path):
            raise SettingError(f"{path} does not exist. Name image files, or folders of them.")
    before: list[Path] = []
    for path in paths:
        place = Path(os.path.abspath(path))
        for file in _below(path, left_out, suffixes) if path.is_dir() else [path]:
            here = Path(os.path.abspath(file))
            if not any(_finds(earlier, here, file == path, suffixes) for earlier in before):
                yield file
        before.append(place)


def judge(
    screener: Screener, sheet: Sheet, sources: Sequence[tuple[str, Source]]
) -> list[list[Row]]:
    """The rows of images by name, in their order, several through the models at once.

    One row per model, or one row with the error where the file cannot be judged.
    """
    found: dict[int, list[Row]] = {}
    group: dict[int, tuple[str, Picture]] = {}
    for number, (name, source) in enumerate(sources):
        try:
            if isinstance(source, ImageError):
                raise source
            group[number] = name, read_image(source)
        except (MelDemoError, MemoryError) as error:
            found[number] = sheet.failed(name, _words(error))
        pixels = sum(picture.rgb.size // 3 for _, picture in group.values())
        if len(group) == GROUP or pixels > _GROUP_PIXELS:
            found |= _judged(screener, sheet, group)
            group = {}
    if group:
        found |= _judged(screener, sheet, group)
    return [found[number] for number in range(len(sources))]


def _judged(
    screener: Screener, sheet: Sheet, group: Mapping[int, tuple[str, Picture]]
) -> dict[int, list[Row]]:
    try:
        screenings = screener.screen_all([picture for _, picture in group.values()])
        return {
            number: sheet.judged(name, screening)
            for (number, (name, _)), screening in zip(group.items(), screenings, strict=True)
        }
    except (MelDemoError, MemoryError) as error:
        if len(group) == 1:
            return {n: sheet.failed(name, _words(error)) for n, (name, _) in group.items()}
    # One of them may be at fault, and the others are not.
    return {n: _judged(screener, sheet, {n: one})[n] for n, one in group.items()}


def _words(error: MelDemoError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "The image needs more memory than there is. Save it smaller."
    return str(error)


def name_of(path: Path | str) -> str:
    r"""The path as a text that can be written, for each another: bytes that are no UTF-8 as \xNN,
    and the backslash of what only looks like that as \x5c."""
    return _LIKE_A_BYTE.sub(rb"\\x5c", os.fsencode(path)).decode("utf-8", "backslashreplace")


def in_order(
    judge: Callable[[Sequence[_T]], list[list[Row]]], images: Iterable[_T], workers: int
) -> Generator[list[Row], None, None]:
    """The rows of every image, in the order of ``images``, by as many threads as ``workers``.

    Decoding, the models and most of NumPy run beside one another: on two cores, two threads are as
    fast as two processes. Ends early, without waiting for more than what is under way, when the
    iterator is closed.
    """
    waiting: deque[Future[list[list[Row]]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="screen")
    left = iter(images)
    try:
        while group := list(itertools.islice(left, GROUP)):
            waiting.append(pool.submit(judge, group))
            if len(waiting) >= workers * _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _below(folder: Path, left_out: LeftOut, suffixes: Set[str]) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        yield folder
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            left_out.hidden += 1
        elif path.is_dir():
            if path.is_symlink():
                left_out.linked_folders += 1
            else:
                yield from _below(path, left_out, suffixes)
        elif path.suffix.lower() in suffixes:
            yield path
        else:
            left_out.add(name)


def _finds(earlier: Path, here: Path, named: bool, suffixes: Set[str]) -> bool:
    """Whether a search of ``earlier`` has come by ``here`` already."""
    if here == earlier:
        return True
    if not here.is_relative_to(earlier):
        return False
    hidden = any(part.startswith(".") for part in here.relative_to(earlier).parts)
    between = (parent for parent in here.parents if earlier in parent.parents)
    linked = any(parent.is_symlink() for parent in between)
    passed_over = hidden or linked or (named and here.suffix.lower() not in suffixes)
    return not passed_over
