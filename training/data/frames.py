"""training.data.frames."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mel_demo.images import open_image, prepare
from mel_demo.manifest import Preprocessing
from training.data.ham10000 import Images, find_images
from training.errors import DataError
from training.files import threaded, write_json

CACHE_ASPECT = 4 / 3  # of HAM10000; other images are squashed into it and their own one recorded


def prepare_images(images: Images, preprocessing: Preprocessing) -> np.ndarray:
    """Decode and crop as the page does: uint8 (N, size, size, 3)."""

    def one(path: Path) -> np.ndarray:
        pixels = open_image(path)
        height, width, _ = pixels.shape
        if height == width and images.squashed_aspect is not None:
            size = (round(height * images.squashed_aspect), height)
            pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        return prepare(pixels, preprocessing)

    return np.stack(list(threaded(one, images.paths, "Reading images")))


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
    results = threaded(one, paths.values(), "Caching images")
    for row, (image_id, (pixels, aspect)) in enumerate(zip(paths, results, strict=True)):
        frames[row] = pixels
        aspects[image_id] = round(aspect, 5)
    frames.flush()
    # The index comes last, as the sign that the pixels are whole.
    write_json(stem.with_suffix(".json"), aspects)


def _image_height(path: Path) -> int:
    with Image.open(path) as image:
        return image.height
