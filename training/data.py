"""HAM10000 on disk: find and check the images, read a split, keep a decoded cache.

Takes the original layout (``HAM10000_metadata.csv`` beside one or both ``HAM10000_images_part_*``
folders, or an ``images`` folder) with images of any size. Knows nothing of models or losses.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from mel_demo.errors import ImageError
from mel_demo.images import open_image, prepare
from mel_demo.manifest import CLASS_NAMES, Preprocessing
from training.errors import DataError
from training.files import write_json
from training.splits import Row, read_splits

METADATA = "HAM10000_metadata.csv"
FOLDERS = ("HAM10000_images_part_1", "HAM10000_images_part_2", "images")
SUFFIXES = (".jpg", ".jpeg", ".png")
CACHE_ASPECT = 4 / 3  # of HAM10000; other images are squashed into it and their own one recorded


@dataclass(frozen=True)
class Check:
    """What ``training data`` found: rows that can be used, and what is wrong with the others."""

    rows: tuple[Row, ...]
    paths: dict[str, Path]
    missing: tuple[str, ...]
    unreadable: dict[str, str]
    sizes: Counter

    def counts(self) -> dict[str, tuple[int, int]]:
        """Images and lesions of each class, in the order of CLASS_NAMES."""
        return {
            dx: (
                sum(row.dx == dx for row in self.rows),
                len({row.lesion_id for row in self.rows if row.dx == dx}),
            )
            for dx in CLASS_NAMES
        }


@dataclass(frozen=True)
class Images:
    """The images of one split. ``labels`` int64 (N,), index into CLASS_NAMES.

    ``squashed_aspect``: width by height that square images had before they were squashed.
    """

    image_ids: tuple[str, ...]
    lesion_ids: np.ndarray
    labels: np.ndarray
    paths: tuple[Path, ...]
    squashed_aspect: float | None = None

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
        )


def read_metadata(data: Path) -> list[Row]:
    """Rows of the metadata file; DataError names the file, line and value that do not fit."""
    path = Path(data) / METADATA
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            absent = {"lesion_id", "image_id", "dx"} - set(reader.fieldnames or ())
            if absent:
                raise DataError(f"{path} lacks the column(s) {', '.join(sorted(absent))}.")
            rows = [Row(line["image_id"], line["lesion_id"], line["dx"]) for line in reader]
    except FileNotFoundError:
        raise DataError(
            f"There is no {METADATA} in {data}. Give the folder of HAM10000 in its original "
            f"layout: {METADATA} beside {FOLDERS[0]} and {FOLDERS[1]}."
        ) from None
    if not rows:
        raise DataError(f"{path} has a heading and no rows.")
    for number, row in enumerate(rows, start=2):
        if row.dx not in CLASS_NAMES:
            raise DataError(
                f"{path}, line {number}: dx {row.dx!r} is not one of {', '.join(CLASS_NAMES)}."
            )
    repeated = [key for key, n in Counter(row.image_id for row in rows).items() if n > 1]
    if repeated:
        raise DataError(f"{path} names {repeated[0]} more than once ({len(repeated)} such images).")
    return rows


def find_images(data: Path) -> dict[str, Path]:
    """Image files by image id, from whichever of the known folders exist."""
    folders = [Path(data) / name for name in FOLDERS if (Path(data) / name).is_dir()]
    if not folders:
        raise DataError(f"{data} holds none of the folders {', '.join(FOLDERS)}.")
    return {
        file.stem: file
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in SUFFIXES
    }


def check(data: Path) -> Check:
    """Decode every image named in the metadata once and report what cannot be used."""
    rows, paths = read_metadata(data), find_images(data)
    missing = tuple(row.image_id for row in rows if row.image_id not in paths)
    present = [row for row in rows if row.image_id in paths]
    unreadable: dict[str, str] = {}
    sizes: Counter = Counter()

    def size_of(row: Row) -> tuple[int, int] | str:
        try:
            height, width, _ = open_image(paths[row.image_id]).shape
        except ImageError as error:
            return str(error)
        return width, height

    results = _threaded(size_of, present, "Checking images")
    for row, result in zip(present, results, strict=True):
        if isinstance(result, str):
            unreadable[row.image_id] = result
        else:
            sizes[result] += 1
    usable = tuple(row for row in present if row.image_id not in unreadable)
    return Check(usable, paths, missing, unreadable, sizes)


def read_split(data: Path, splits: Path, split: str) -> Images:
    """The images of one split ("train", "validation" or "holdout"), in the file's order.

    Raises DataError when the splits name an image that the folder does not hold.
    """
    rows = [row for row in read_splits(splits) if row.split == split]
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


def prepare_images(images: Images, preprocessing: Preprocessing) -> np.ndarray:
    """Decode and crop as the page does: uint8 (N, size, size, 3)."""

    def one(path: Path) -> np.ndarray:
        pixels = open_image(path)
        height, width, _ = pixels.shape
        if height == width and images.squashed_aspect is not None:
            size = (round(height * images.squashed_aspect), height)
            pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        return prepare(pixels, preprocessing)

    return np.stack(list(_threaded(one, images.paths, "Reading images")))


@dataclass(frozen=True)
class Frames:
    """Decoded images: ``pixels`` uint8 (M, H, W, 3), ``aspects`` float32 (M,), ``rows`` int64 (N,).

    Frames are kept whole (no crop), since rotated views look beyond the serving crop; ``aspects``
    is the original width by height, whatever the cache squashed the image to. ``rows`` says which
    of the M cached frames are the N images asked for.
    """

    pixels: np.ndarray
    aspects: np.ndarray
    rows: np.ndarray

    def take(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and aspects of the images at ``index`` (into the N asked for)."""
        rows = self.rows[index]
        return self.pixels[rows], self.aspects[rows]


def cached_frames(data: Path, image_ids: Collection[str], cache: Path, height: int) -> Frames:
    """Frames of ``image_ids`` of the HAM10000 folder ``data``; ``cache`` holds all its images.

    ``height``: pixels of a frame, or that of the smallest image if it has fewer (a cache never
    enlarges). Raises DataError for an image that ``data`` does not hold, ImageError for one that
    cannot be read.
    """
    paths = find_images(data)
    absent = [image_id for image_id in image_ids if image_id not in paths]
    if absent:
        raise DataError(f"{data} does not hold {absent[0]} ({len(absent)} such images).")
    frames = frames_of(paths, cache, height)
    number = {image_id: row for row, image_id in enumerate(paths)}
    return replace(frames, rows=np.array([number[image_id] for image_id in image_ids], np.int64))


def frames_of(
    paths: Mapping[str, Path],
    cache: Path,
    height: int,
    squashed_aspect: float | None = None,
    enlarge: bool = False,
) -> Frames:
    """Frames of all ``paths``, in their order, from ``cache``.

    ``enlarge``: of ``height`` whatever the images have, so that they can be joined with others.
    ``squashed_aspect``: width by height that square images had before they were squashed. The
    cache's name carries a hash of files, sizes and times, so that changed data is decoded anew and
    a half-written cache is never read.
    """
    described = hashlib.sha256(f"{height} {squashed_aspect} {enlarge}".encode())
    for path in paths.values():
        stat = path.stat()
        described.update(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    stem = cache / f"frames-{described.hexdigest()[:16]}"
    index = stem.with_suffix(".json")
    if not index.is_file():
        least = height if enlarge else min(height, *map(_image_height, paths.values()))
        _write_frames(paths, stem, least, squashed_aspect)
    aspects: dict[str, float] = json.loads(index.read_text(encoding="utf-8"))
    return Frames(
        pixels=np.load(stem.with_suffix(".npy"), mmap_mode="r"),
        aspects=np.array(list(aspects.values()), np.float32),
        rows=np.arange(len(aspects)),
    )


def join_frames(parts: Sequence[Frames]) -> Frames:
    """One after the other, in memory; all of one height and width."""
    taken = [part.take(np.arange(len(part.rows))) for part in parts]
    pixels, aspects = (np.concatenate(arrays) for arrays in zip(*taken, strict=True))
    return Frames(pixels, aspects, np.arange(len(pixels)))


def _write_frames(
    paths: Mapping[str, Path], stem: Path, height: int, squashed_aspect: float | None
) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    width = round(height * CACHE_ASPECT)
    frames = np.lib.format.open_memmap(
        stem.with_suffix(".npy"), mode="w+", dtype=np.uint8, shape=(len(paths), height, width, 3)
    )

    def one(path: Path) -> tuple[np.ndarray, float]:
        pixels = open_image(path)
        aspect = pixels.shape[1] / pixels.shape[0]
        if aspect == 1 and squashed_aspect is not None:
            aspect = squashed_aspect
        if pixels.shape[:2] != (height, width):
            resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(resized)
        return pixels, aspect

    aspects = {}
    results = _threaded(one, paths.values(), "Caching images")
    for row, (image_id, (pixels, aspect)) in enumerate(zip(paths, results, strict=True)):
        frames[row] = pixels
        aspects[image_id] = round(aspect, 5)
    frames.flush()
    # The index comes last, as the sign that the pixels are whole.
    write_json(stem.with_suffix(".json"), aspects)


def _image_height(path: Path) -> int:
    with Image.open(path) as image:
        return image.height


def _threaded(work: Callable, items: Iterable, description: str) -> Iterator:
    """``map`` over a few threads (Pillow decodes without the interpreter lock), with a bar."""
    items = list(items)
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield from track(pool.map(work, items), description=description, total=len(items))
