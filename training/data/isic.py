"""ISIC 2017, 2019 and 2020 in their original layout: more images to learn from, other cameras.

A folder of a selection of the archive, with ``metadata.csv`` (image_id, dx), will do too.

Their labels do not all fit the seven classes. Where a diagnosis has no class, or is not known, the
image is still "not melanoma" (``NOT_MELANOMA``), which a loss over seven classes can use. Images
that HAM10000 holds already (all of it is in ISIC 2019) are left out by image id. Knows nothing of
models or losses.
"""

import csv
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track
from sklearn.model_selection import train_test_split

from mel_demo.images import open_image
from mel_demo.manifest import CLASS_NAMES
from training.data.ham10000 import SUFFIXES, Images
from training.errors import DataError
from training.files import write_text

NOT_MELANOMA = len(CLASS_NAMES)
DIAGNOSES = (*CLASS_NAMES, "not_mel")  # the words for labels in files
# Copies of ISIC 2017 in circulation are squashed to squares; its originals, of many cameras, are
# mostly 4:3 and never square.
SQUASHED_ASPECT = 4 / 3

_2019 = {
    "MEL": "mel", "NV": "nv", "BCC": "bcc", "AK": "akiec", "BKL": "bkl", "DF": "df",
    "VASC": "vasc", "SCC": "not_mel", "UNK": "not_mel",
}  # fmt: skip
_2020 = {
    "melanoma": "mel",
    "nevus": "nv",
    # HAM10000's bkl: seborrheic and lichen-planus-like keratoses and solar lentigines.
    "seborrheic keratosis": "bkl",
    "lichenoid keratosis": "bkl",
    "solar lentigo": "bkl",
    "lentigo nos": "bkl",
}


@dataclass(frozen=True)
class Extra:
    """One image beyond HAM10000. ``dx`` is one of DIAGNOSES."""

    image_id: str
    dx: str
    path: Path
    source: str

    @property
    def label(self) -> int:
        """Index into CLASS_NAMES, or NOT_MELANOMA."""
        return DIAGNOSES.index(self.dx)


@dataclass(frozen=True)
class _Layout:
    """A challenge's table, where its images lie, and how a line says what was diagnosed."""

    source: str
    tables: tuple[str, ...]
    folders: tuple[str, ...]
    columns: tuple[str, ...]
    image_id: str
    diagnosis: Callable[[dict[str, str]], str]


def _one_of_2017(line: dict[str, str]) -> str:
    if float(line["melanoma"]):
        return "mel"
    return "bkl" if float(line["seborrheic_keratosis"]) else "nv"


def _one_of_2019(line: dict[str, str]) -> str:
    marked = [column for column in _2019 if float(line.get(column) or 0)]
    if len(marked) != 1:
        raise ValueError(f"{len(marked)} diagnoses are marked")
    return _2019[marked[0]]


def _one_of_2020(line: dict[str, str]) -> str:
    found = _2020.get(line["diagnosis"].strip().lower(), "not_mel")
    if (found == "mel") != (line["benign_malignant"].strip().lower() == "malignant"):
        raise ValueError(f"{line['diagnosis']!r} is called {line['benign_malignant']!r}")
    return found


def _one_of_archive(line: dict[str, str]) -> str:
    dx = line["dx"].strip().lower()
    return dx if dx in CLASS_NAMES else "not_mel"


_LAYOUTS = (
    _Layout(
        "ISIC 2017",
        ("ISIC-2017_Training_Part3_GroundTruth.csv", "ISIC-2017_Training_GroundTruth.csv"),
        ("ISIC-2017_Training_Data", "."),
        ("image_id", "melanoma", "seborrheic_keratosis"),
        "image_id",
        _one_of_2017,
    ),
    _Layout(
        "ISIC 2019",
        ("ISIC_2019_Training_GroundTruth.csv",),
        ("ISIC_2019_Training_Input", "ISIC_2019_Training_Input/ISIC_2019_Training_Input", "."),
        ("image", "MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC"),
        "image",
        _one_of_2019,
    ),
    _Layout(
        "ISIC 2020",
        (
            "ISIC_2020_Training_GroundTruth.csv",
            "ISIC_2020_Training_GroundTruth_v2.csv",
            "train.csv",  # as on Kaggle
        ),
        ("ISIC_2020_Training_Input", "ISIC_2020_Training_JPEG", "train", "jpeg/train", "."),
        ("image_name", "diagnosis", "benign_malignant"),
        "image_name",
        _one_of_2020,
    ),
    _Layout(
        "ISIC archive",
        ("metadata.csv",),
        ("images", "."),
        ("image_id", "dx"),
        "image_id",
        _one_of_archive,
    ),
)  # fmt: skip
_DUPLICATES_2020 = "ISIC_2020_Training_Duplicates.csv"


def read_extra(folder: Path, known: Collection[str] = ()) -> list[Extra]:
    """Images of a challenge's folder, sorted by id, without those whose id is in ``known``.

    Raises DataError when the folder is none of these, lacks an image, or has a line whose
    diagnosis cannot be read.
    """
    folder = Path(folder)
    layout, table = _find(folder)
    files = _files(folder, layout)
    dropped = set(known) | _second_copies(folder)
    found: dict[str, Extra] = {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        absent = set(layout.columns) - set(reader.fieldnames or ())
        if absent:
            raise DataError(f"{table} lacks the column(s) {', '.join(sorted(absent))}.")
        for line in reader:
            image_id = plain_id(line[layout.image_id])
            if image_id in dropped:
                continue
            try:
                dx = layout.diagnosis(line)
            except ValueError as error:
                raise DataError(f"{table}, line {reader.line_num}, {image_id}: {error}.") from error
            if image_id not in files:
                raise DataError(f"{folder} has no image {image_id}, which {table.name} names.")
            found[image_id] = Extra(image_id, dx, files[image_id], layout.source)
    return [found[image_id] for image_id in sorted(found)]


def plain_id(name: str) -> str:
    """The archive's id, by which images of different challenges are compared.

    ISIC 2019 adds "_downsampled" to the ids of images it made smaller.
    """
    return name.strip().removesuffix("_downsampled")


def _find(folder: Path) -> tuple[_Layout, Path]:
    for layout in _LAYOUTS:
        for name in layout.tables:
            if (folder / name).is_file():
                return layout, folder / name
    names = ", ".join(layout.tables[0] for layout in _LAYOUTS)
    raise DataError(
        f"{folder} is not a folder of ISIC 2017, 2019, 2020 or of a selection of the archive: it "
        f"holds none of {names}."
    )


def _files(folder: Path, layout: _Layout) -> dict[str, Path]:
    for name in layout.folders:
        found = {
            plain_id(file.stem): file
            for file in (sorted((folder / name).iterdir()) if (folder / name).is_dir() else ())
            # ISIC 2017 keeps superpixel masks beside its images.
            if file.suffix.lower() in SUFFIXES and not file.stem.endswith("_superpixels")
        }
        if found:
            return found
    raise DataError(f"{folder} holds no images in any of {', '.join(layout.folders)}.")


def _second_copies(folder: Path) -> set[str]:
    """ISIC 2020 publishes the pairs of files that show the same image; the second is left out."""
    path = folder / _DUPLICATES_2020
    if not path.is_file():
        return set()
    with path.open(newline="", encoding="utf-8-sig") as file:
        return {plain_id(line["image_name_2"]) for line in csv.DictReader(file)}


COLUMNS = ("image_id", "dx", "split")
COUNT = 400
MELANOMAS = 60
# Correlation of two grey thumbnails; in ISIC 2017, 11 of 2 million pairs are above it.
NEAR = 0.97
_THUMBNAIL = 24


def divide(extras: Sequence[Extra], count: int = COUNT, seed: int = 20260723) -> dict[str, str]:
    """Split of each image by id: ``count`` external ones, stratified by diagnosis.

    Raises DataError when there are too few images to keep so many out.
    """
    ids, diagnoses = [x.image_id for x in extras], [x.dx for x in extras]
    if not 0 < count < len(ids):
        raise DataError(f"{count} of {len(ids)} images cannot be kept out of training.")
    train, external = train_test_split(
        ids, test_size=count, stratify=diagnoses, random_state=seed
    )  # sorted by id already, so that the folder's order changes nothing
    split = dict.fromkeys(train, "train") | dict.fromkeys(external, "external")
    return part_near_copies(extras, split)


def divide_more(
    extras: Sequence[Extra], melanomas: int = MELANOMAS, seed: int = 20260723
) -> dict[str, str]:
    """Split of each image of a set that is nearly all melanomas, by id.

    External are ``melanomas`` of them and all its nevi, so that the rest, which may be learned
    from, says nothing of how its camera shows a nevus. Raises DataError when it has too few.
    """
    ids = [x.image_id for x in extras if x.dx == "mel"]
    if not 0 < melanomas < len(ids):
        raise DataError(f"{melanomas} of {len(ids)} melanomas cannot be kept out of training.")
    _, external = train_test_split(ids, test_size=melanomas, random_state=seed)
    split = {x.image_id: "external" if x.dx == "nv" else "train" for x in extras}
    return split | dict.fromkeys(external, "external")


def part_near_copies(extras: Sequence[Extra], split: dict[str, str]) -> dict[str, str]:
    """The split, with training images that show nearly what an external one shows taken out."""
    split = dict(split)
    for one, other in near_pairs(extras):
        pair = {split[one]: one, split[other]: other}
        if set(pair) == {"train", "external"}:
            split[pair["train"]] = "near_copy"
    return split


def near_pairs(extras: Sequence[Extra]) -> list[tuple[str, str]]:
    """Pairs of ids whose grey thumbnails correlate above NEAR."""
    tiles = []
    for extra in track(extras, description="Comparing images"):
        tile = Image.fromarray(open_image(extra.path)).convert("L")
        tile = np.asarray(tile.resize((_THUMBNAIL, _THUMBNAIL)), np.float32).ravel()
        tiles.append((tile - tile.mean()) / max(float(tile.std()), 1e-6))
    grey = np.stack(tiles) / _THUMBNAIL
    rows, columns = np.nonzero(np.triu(grey @ grey.T, 1) > NEAR)
    return [(extras[a].image_id, extras[b].image_id) for a, b in zip(rows, columns, strict=True)]


def write_external(extras: Sequence[Extra], split: dict[str, str], path: Path) -> None:
    """Write the file, sorted by image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for extra in sorted(extras, key=lambda extra: extra.image_id):
        writer.writerow([extra.image_id, extra.dx, split[extra.image_id]])
    write_text(path, text.getvalue())


def read_external(path: Path) -> dict[str, str]:
    """Split of each image by id; DataError when the file is missing or is another kind of file."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise DataError(f"{path} must have the columns {','.join(COLUMNS)}.")
            return {row["image_id"]: row["split"] for row in reader}
    except FileNotFoundError:
        raise DataError(
            f"There is no {path}, which says which images are kept out of training. Make it with: "
            f"python -m training external --isic2017 FOLDER --output {path}"
        ) from None


def external_images(extras: Sequence[Extra], split: dict[str, str]) -> Images:
    """The external images, as data for an evaluation. Each counts as a lesion of its own."""
    kept = [extra for extra in extras if split.get(extra.image_id) == "external"]
    if not kept:
        raise DataError("None of the given images is marked as external.")
    return as_images(kept)


def as_images(extras: Sequence[Extra]) -> Images:
    """Images beyond HAM10000, each counted as a lesion of its own."""
    ids = tuple(extra.image_id for extra in extras)
    return Images(
        image_ids=ids,
        lesion_ids=np.array(ids),
        labels=np.array([extra.label for extra in extras], np.int64),
        paths=tuple(extra.path for extra in extras),
        squashed_aspect=SQUASHED_ASPECT,
    )


def training_images(extras: Sequence[Extra], split: dict[str, str]) -> list[Extra]:
    """Those that may be learned from: all that the file does not keep out."""
    return [extra for extra in extras if split.get(extra.image_id, "train") == "train"]
