"""HAM10000 on disk: find and check the images, read a split, keep a decoded cache.

Takes the original layout (``HAM10000_metadata.csv`` beside one or both ``HAM10000_images_part_*``
folders, or an ``images`` folder) with images of any size. Knows nothing of models or losses.
"""

import csv
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from PIL import Image, UnidentifiedImageError
from rich.progress import track

from mel_demo.errors import ImageError
from mel_demo.images import open_image, prepare
from mel_demo.manifest import CLASS_NAMES, Preprocessing
from training.data.splits import Row, read_splits
from training.errors import DataError
from training.files import threaded
from training.recipe import Source

METADATA = "HAM10000_metadata.csv"
FOLDERS = ("HAM10000_images_part_1", "HAM10000_images_part_2", "images")
SUFFIXES = (".jpg", ".jpeg", ".png")


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

    results = threaded(size_of, present, "Checking images")
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


def cameras_of(data: Path, images: Images) -> np.ndarray:
    """Which source of HAM10000 each image is from, or "HAM10000" where the table does not say."""
    with (Path(data) / METADATA).open(newline="", encoding="utf-8-sig") as file:
        named = {line["image_id"]: line.get("dataset") for line in csv.DictReader(file)}
    return np.array([named.get(image_id) or "HAM10000" for image_id in images.image_ids])


_COLUMNS = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
_PATTERNS = ["*.parquet", METADATA, "HAM10000_images_part_*/*", "images/*"]


def download(source: Source, folder: Path) -> Path:
    """Fetch ``source`` and return the folder of the original layout below ``folder``.

    What was fetched before is not fetched again. Raises DataError when the Hub cannot be reached
    or holds something else.
    """
    target = folder / f"{source.repository.replace('/', '--')}-{source.revision[:12]}"
    if (target / METADATA).is_file():
        return target
    try:
        fetched = Path(
            snapshot_download(
                source.repository,
                repo_type="dataset",
                revision=source.revision,
                allow_patterns=_PATTERNS,
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"The data set {source.repository} could not be fetched from the Hub: {error}\n"
            "Give a folder in the original layout with --data, from "
            "https://doi.org/10.7910/DVN/DBW86T or https://www.isic-archive.com."
        ) from error
    tables = sorted(fetched.rglob("*.parquet"))
    if tables:
        _unpack(tables, target)
        return target
    if (fetched / METADATA).is_file():
        return fetched
    raise DataError(
        f"The data set {source.repository} holds neither {METADATA} nor Parquet files: "
        "name another one under `source` in the recipe."
    )


def _unpack(tables: list[Path], target: Path) -> None:
    """Write images and metadata; the metadata comes last, as the sign that all is there."""
    import pyarrow.parquet as parquet

    images = target / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict] = {}
    for table in track(tables, description="Unpacking"):
        file = parquet.ParquetFile(table)
        absent = {"image", *_COLUMNS[:3]} - set(file.schema_arrow.names)
        if absent:
            raise DataError(f"{table.name} lacks the column(s) {', '.join(sorted(absent))}.")
        for batch in file.iter_batches(batch_size=64):
            for row in batch.to_pylist():
                # Some published copies hold an image in several splits.
                if row["image_id"] not in rows:
                    (images / f"{row['image_id']}.jpg").write_bytes(row["image"]["bytes"])
                    rows[row["image_id"]] = {key: row.get(key) for key in _COLUMNS}
    temporary = target / (METADATA + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=_COLUMNS)
        writer.writeheader()
        writer.writerows(rows.values())
    temporary.replace(target / METADATA)


FOLDER = "HAM10000_segmentations_lesion_tschandl"


def read_masks(folder: Path, images: Images, preprocessing: Preprocessing) -> np.ndarray:
    """Where the lesion is, bool (N, S, S), in the square that the model judges.

    A mask may have another size than its image, but not another shape. DataError names the file
    that is missing, damaged or of another shape.
    """
    if not folder.is_dir():
        raise DataError(
            f"There is no folder of lesion masks {folder}. Name it with --masks; they are part of "
            "HAM10000 (doi 10.7910/DVN/DBW86T)."
        )
    found = []
    for image_id, path in zip(images.image_ids, images.paths, strict=True):
        mask = _read(mask_path(folder, image_id))
        with Image.open(path) as image:
            wanted = image.width / image.height
        if abs(mask.shape[1] / mask.shape[0] / wanted - 1) > 0.02:
            raise DataError(
                f"The mask of {image_id} has {mask.shape[1]} x {mask.shape[0]} pixels, which is "
                f"not the shape of {path}: it would not lie over the lesion."
            )
        square = prepare(np.repeat(mask[..., None], 3, axis=2), preprocessing)
        found.append(square[..., 0] > 127)
    return np.stack(found)


def mask_path(folder: Path, image_id: str) -> Path:
    """Where the mask of an image lies."""
    return folder / f"{image_id}_segmentation.png"


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))
    except FileNotFoundError:
        raise DataError(
            f"There is no mask {path}. Name the folder of all masks with --masks."
        ) from None
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from error
