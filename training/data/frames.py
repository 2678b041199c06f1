"""Decoded images: whole frames kept in a cache for training, square crops for measuring.

The cache is written once for the images that the metadata lists; a changed image, another height
or a cache that was cut short is decoded anew. Knows nothing of labels or networks.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from filelock import FileLock
from PIL import Image, UnidentifiedImageError

from mel_demo.errors import ImageError
from mel_demo.images import open_image, prepare
from mel_demo.manifest import Preprocessing
from training.data.ham10000 import FAR, Images, find_images, read_metadata
from training.errors import DataError
from training.files import replacing, threaded, write_json

CACHE_ASPECT = 4 / 3  # of HAM10000; other images are squashed into it and their own one recorded
_FORMAT = 2  # of a cache; another is written anew


def prepare_images(images: Images, preprocessing: Preprocessing) -> np.ndarray:
    """Decode and crop as the page does: uint8 (N, size, size, 3)."""

    def one(path: Path) -> np.ndarray:
        pixels = read_image(path)
        height, width, _ = pixels.shape
        if height == width and images.squashed_aspect is not None:
            size = (round(height * images.squashed_aspect), height)
            pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        return prepare(pixels, preprocessing)

    return np.stack(list(threaded(one, images.paths, "Reading images")))


def read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3) as the page decodes it; DataError names a file that cannot be used."""
    try:
        return open_image(path)
    except (ImageError, OSError) as error:
        raise DataError(
            f"{path} cannot be used: {error} Fetch it again, or remove its rows from metadata and "
            "splits; `python -m training data` names all such images."
        ) from error


@dataclass(frozen=True)
class Frames:
    """Decoded images: ``pixels`` uint8 (M, H, W, 3), ``aspects`` float32 (M,), ``rows`` int64 (N,).

    Frames are kept whole (no crop), since rotated views look beyond the serving crop; ``aspects``
    is the original width by height, whatever the cache squashed the image to. ``rows`` says which
    of the M cached frames are the N images asked for. ``sha256``: of names and pixels, all M.
    """

    pixels: np.ndarray
    aspects: np.ndarray
    rows: np.ndarray
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and aspects of the images at ``index`` (into the N asked for)."""
        rows = self.rows[index]
        return self.pixels[rows], self.aspects[rows]


def cached_frames(data: Path, image_ids: Sequence[str], cache: Path, height: int) -> Frames:
    """Frames of ``image_ids`` of the HAM10000 folder ``data``.

    ``cache`` holds all that the metadata lists, so that splits of one data set share it.
    ``height``: pixels of a frame, or that of the smallest image if it has fewer (a cache never
    enlarges). Raises DataError for an image that ``data`` does not hold, or that cannot be read.
    """
    paths = find_images(data)
    absent = [image_id for image_id in image_ids if image_id not in paths]
    if absent:
        raise DataError(f"{data} does not hold {absent[0]} ({len(absent)} such images).")
    listed = {row.image_id for row in read_metadata(data)} | set(image_ids)
    paths = {image_id: path for image_id, path in paths.items() if image_id in listed}
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
    described = hashlib.sha256(f"{_FORMAT} {height} {squashed_aspect} {enlarge}".encode())
    for path in paths.values():
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise DataError(f"There is no {path}, which is to be learned from.") from None
        described.update(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    stem = cache / f"frames-{described.hexdigest()[:16]}"
    index = stem.with_suffix(".json")
    if not index.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "writing.lock"):  # of two runs that begin together one decodes
            if not index.is_file():
                least = height if enlarge else min(height, _lowest(paths, height))
                _write_frames(paths, stem, least, squashed_aspect)
    written = json.loads(index.read_text(encoding="utf-8"))
    aspects: dict[str, float] = written["aspects"]
    return Frames(
        pixels=np.load(stem.with_suffix(".npy"), mmap_mode="r"),
        aspects=np.array(list(aspects.values()), np.float32),
        rows=np.arange(len(aspects)),
        sha256=written["sha256"],
    )


def join_frames(parts: Sequence[Frames]) -> Frames:
    """One after the other, in memory; all of one height and width."""
    taken = [part.take(np.arange(len(part.rows))) for part in parts]
    pixels, aspects = (np.concatenate(arrays) for arrays in zip(*taken, strict=True))
    return Frames(pixels, aspects, np.arange(len(pixels)))


def _write_frames(
    paths: Mapping[str, Path], stem: Path, height: int, squashed_aspect: float | None
) -> None:
    width = round(height * CACHE_ASPECT)

    def one(path: Path) -> tuple[np.ndarray, float]:
        pixels = read_image(path)
        aspect = pixels.shape[1] / pixels.shape[0]
        if aspect == 1 and squashed_aspect is not None:
            aspect = squashed_aspect
        if pixels.shape[:2] != (height, width):
            resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(resized)
        return pixels, aspect

    aspects, digest = {}, hashlib.sha256()
    results = threaded(one, paths.values(), "Caching images")
    with replacing(stem.with_suffix(".npy")) as file:
        # Written, not mapped: a full disk is then an error and not the end of the process.
        form = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), height, width, 3)}
        np.lib.format.write_array_header_1_0(file, form)
        for image_id, (pixels, aspect) in zip(paths, results, strict=True):
            content = pixels.tobytes()
            file.write(content)
            aspects[image_id] = round(aspect, 5)
            digest.update(image_id.encode() + content)
    # The index comes last, as the sign that the pixels are whole.
    write_json(stem.with_suffix(".json"), {"sha256": digest.hexdigest(), "aspects": aspects})


def _lowest(paths: Mapping[str, Path], height: int) -> int:
    """Height of the lowest image; DataError where frames would shrink for an odd one."""
    heights = {path: _image_height(path) for path in paths.values()}
    lowest = min(heights, key=heights.__getitem__)
    usual = median(heights.values())
    if heights[lowest] < min(height, FAR * usual):
        raise DataError(
            f"{lowest} is {heights[lowest]} pixels high, most others {usual:g}: the frames of all "
            "would become that small. Fetch it again, or remove its rows from metadata and splits."
        )
    return heights[lowest]


def _image_height(path: Path) -> int:
    try:
        with Image.open(path) as image:
            return image.height
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return read_image(path).shape[0]  # which says what is wrong with it
