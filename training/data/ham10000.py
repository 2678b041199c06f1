"""HAM10000 on disk, as people have it: its metadata and images found, checked, read by split.

The original layout is ``HAM10000_metadata.csv`` beside one or both ``HAM10000_images_part_*``
folders, or an ``images`` folder, with images of any size. Copies in circulation nest those folders,
write them in lower case, or have the metadata without its suffix or with tabs (Dataverse). Knows
nothing of models or losses.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from mel_demo.errors import ImageError
from mel_demo.images import open_image
from mel_demo.manifest import CLASS_NAMES
from training.data.splits import Row, read_splits
from training.data.tables import read_table, refuse_repeated
from training.errors import DataError
from training.files import threaded

METADATA = "HAM10000_metadata.csv"
FOLDERS = ("HAM10000_images_part_1", "HAM10000_images_part_2", "images")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_TABLE_SUFFIXES = ("", ".csv", ".tab", ".tsv", ".txt")
_DEPTH = 3  # folders within folders, as archives unpack
FAR = 0.5  # of the median height: an image below it does not belong to the others


@dataclass(frozen=True)
class DataCheck:
    """What ``training data`` says of a folder: rows that can be used, and what hinders the others.

    ``sizes``: (width, height) of each readable image.
    """

    rows: tuple[Row, ...]
    paths: dict[str, Path]
    missing: tuple[str, ...]
    unreadable: dict[str, str]
    sizes: dict[str, tuple[int, int]]

    @property
    def complete(self) -> bool:
        """Whether every image can be used."""
        return not (self.missing or self.unreadable)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Images and lesions of each class, in the order of CLASS_NAMES."""
        return {
            dx: (
                sum(row.dx == dx for row in self.rows),
                len({row.lesion_id for row in self.rows if row.dx == dx}),
            )
            for dx in CLASS_NAMES
        }

    def far(self) -> dict[str, tuple[int, int]]:
        """Sizes of the images that are far smaller than the rest."""
        heights = [height for _, height in self.sizes.values()]
        return {
            image_id: size
            for image_id, size in self.sizes.items()
            if size[1] < FAR * median(heights)
        }


@dataclass(frozen=True)
class Images:
    """The images of one split. ``labels`` int64 (N,), index into CLASS_NAMES.

    ``squashed_aspect``: width by height that square images had before they were squashed.
    ``sources`` (N,): the data set of each image, where they come from several.
    """

    image_ids: tuple[str, ...]
    lesion_ids: np.ndarray
    labels: np.ndarray
    paths: tuple[Path, ...]
    squashed_aspect: float | None = None
    sources: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    def at(self, rows: np.ndarray) -> "Images":
        """Those of these rows, in their order."""
        return replace(
            self,
            image_ids=tuple(self.image_ids[row] for row in rows),
            lesion_ids=self.lesion_ids[rows],
            labels=self.labels[rows],
            paths=tuple(self.paths[row] for row in rows),
            sources=None if self.sources is None else self.sources[rows],
        )


def find_metadata(data: Path) -> Path:
    """The metadata file, whatever its suffix or case; DataError where there is none."""
    stem = Path(METADATA).stem.lower()
    for folder, _, files in _walk(data):
        for name in sorted(files, key=lambda name: (name != METADATA, name)):
            path = folder / name
            if path.stem.lower() == stem and path.suffix.lower() in _TABLE_SUFFIXES:
                return path
    raise DataError(
        f"There is no {METADATA} in {data}. Give the folder of HAM10000 in its original "
        f"layout: {METADATA} beside {FOLDERS[0]} and {FOLDERS[1]}."
    )


def read_metadata(data: Path) -> list[Row]:
    """Rows of the metadata file; DataError names the file, line and value that do not fit."""
    path = find_metadata(data)
    rows = []
    for number, line in read_table(path, ("lesion_id", "image_id", "dx")):
        if line["dx"] not in CLASS_NAMES:
            raise DataError(
                f"{path}, line {number}: dx {line['dx']!r} is not one of {', '.join(CLASS_NAMES)}."
            )
        if not line["image_id"] or not line["lesion_id"]:
            raise DataError(f"{path}, line {number}: image_id or lesion_id is empty.")
        rows.append(Row(line["image_id"], line["lesion_id"], line["dx"]))
    if not rows:
        raise DataError(f"{path} has a heading and no rows.")
    refuse_repeated(path, [row.image_id for row in rows])
    return rows


def find_images(data: Path) -> dict[str, Path]:
    """Image files by image id, from whichever of the known folders exist.

    One image may lie in two of them, as Kaggle's copy has it; DataError where the two differ.
    """
    known = {name.lower() for name in FOLDERS}
    folders = [(folder, files) for folder, _, files in _walk(data) if folder.name.lower() in known]
    if not folders:
        raise DataError(f"{data} holds none of the folders {', '.join(FOLDERS)}.")
    found: dict[str, Path] = {}
    for folder, files in folders:
        for name in sorted(files):
            path = folder / name
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            first = found.setdefault(path.stem, path)
            if first != path and first.stat().st_size != path.stat().st_size:
                raise DataError(f"{first} and {path} are two images of one name: remove one.")
    return found


def check(data: Path) -> DataCheck:
    """Decode every image named in the metadata once and report what cannot be used."""
    rows, paths = read_metadata(data), find_images(data)
    missing = tuple(row.image_id for row in rows if row.image_id not in paths)
    present = [row for row in rows if row.image_id in paths]
    unreadable: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}

    def size_of(row: Row) -> tuple[int, int] | str:
        try:
            height, width, _ = open_image(paths[row.image_id]).shape
        except ImageError as error:
            return str(error)
        return width, height

    results = threaded(size_of, present, "Checking images")
    for row, result in zip(present, results, strict=True):
        if isinstance(result, str):
            unreadable[row.image_id] = result
        else:
            sizes[row.image_id] = result
    usable = tuple(row for row in present if row.image_id not in unreadable)
    own = {row.image_id: paths[row.image_id] for row in usable}
    return DataCheck(usable, own, missing, unreadable, sizes)


def print_check(checked: DataCheck, data: Path, console: Console) -> None:
    """The classes and sizes as a table, and by name what is missing, unreadable or far smaller.

    DataError where an image cannot be used.
    """
    table = Table("class", "images", "lesions", title=str(data))
    for dx, (images, lesions) in checked.counts().items():
        table.add_row(dx, str(images), str(lesions))
    total = len({row.lesion_id for row in checked.rows})
    table.add_row("all", str(len(checked.rows)), str(total), style="bold")
    console.print(table)
    sizes = Counter(checked.sizes.values()).most_common(4)
    console.print("Image sizes: " + ", ".join(f"{w}x{h} ({n})" for (w, h), n in sizes))
    named = [
        *(f"missing: {image_id}.jpg" for image_id in checked.missing[:20]),
        *(f"unreadable: {name}: {why}" for name, why in list(checked.unreadable.items())[:20]),
        *(
            f"far smaller than the rest: {image_id}, {w}x{h}"
            for image_id, (w, h) in list(checked.far().items())[:20]
        ),
    ]
    for line in named:
        console.print(line, style="red", markup=False)
    if not checked.complete:
        raise DataError(
            f"{len(checked.missing)} images are missing and {len(checked.unreadable)} unreadable. "
            "Fetch them again, or remove their rows from the metadata."
        )


def read_split(data: Path, splits: Path, split: str) -> Images:
    """The images of one split ("train", "validation" or "holdout"), in the file's order.

    Raises DataError when the splits name an image that the folder does not hold, or say otherwise
    than its metadata which lesion an image shows: one could then be in two splits, unnoticed.
    """
    everything = read_splits(splits)
    _refuse_other_lesions(everything, splits, data)
    rows = [row for row in everything if row.split == split]
    if not rows:
        raise DataError(f"{splits} has no image in the split {split!r}.")
    paths = find_images(data)
    absent = [row.image_id for row in rows if row.image_id not in paths]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(rows)} {split} images are not in {data}, the first is "
            f"{absent[0]}. Are both image folders there?"
        )
    return Images(
        image_ids=tuple(row.image_id for row in rows),
        lesion_ids=np.array([row.lesion_id for row in rows]),
        labels=np.array([CLASS_NAMES.index(row.dx) for row in rows], dtype=np.int64),
        paths=tuple(paths[row.image_id] for row in rows),
    )


def _refuse_other_lesions(rows: list[Row], splits: Path, data: Path) -> None:
    listed = {row.image_id: row for row in read_metadata(data)}
    for row in rows:
        known = listed.get(row.image_id, row)
        if (row.lesion_id, row.dx) != (known.lesion_id, known.dx):
            raise DataError(
                f"{splits} says that {row.image_id} shows lesion {row.lesion_id}, {row.dx}; the "
                f"metadata of {data} says {known.lesion_id}, {known.dx}. Give the splits of this "
                "data set, or make them anew with `python -m training splits`."
            )


def cameras_of(data: Path, images: Images) -> np.ndarray:
    """Which source of HAM10000 each image is from, or "HAM10000" where the table does not say."""
    lines = read_table(find_metadata(data), ("image_id",))
    named = {line["image_id"]: line.get("dataset") for _, line in lines}
    return np.array([named.get(image_id) or "HAM10000" for image_id in images.image_ids])


def _walk(data: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders with their folders and files, the nearest first in name order, _DEPTH deep.

    Without what macOS leaves in archives: ``__MACOSX`` and files that begin with ``._``.
    """
    level = [Path(data)]
    for _ in range(_DEPTH + 1):
        following = []
        for folder in level:
            if not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                kept = [e for e in entries if not e.name.startswith(".") and e.name != "__MACOSX"]
            folders = sorted(entry.name for entry in kept if entry.is_dir())
            yield folder, folders, [entry.name for entry in kept if entry.is_file()]
            following += [folder / name for name in folders]
        level = following
