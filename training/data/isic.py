"""ISIC 2017, 2019 and 2020 in their original layout: more images to learn from, other cameras.

A folder of a selection of the archive, with ``metadata.csv`` (image_id, dx), will do too.

Their labels do not all fit the seven classes. Where a diagnosis has no class, or is not known, the
image is still "not melanoma" (``NOT_MELANOMA``), which a loss over seven classes can use. Images
that HAM10000 holds already (all of it is in ISIC 2019) are left out by image id. Knows nothing of
models or losses.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from mel_demo.manifest import CLASS_NAMES
from training.data.ham10000 import IMAGE_SUFFIXES
from training.data.tables import read_table
from training.errors import DataError

NOT_MELANOMA = len(CLASS_NAMES)
LABELS = (*CLASS_NAMES, "not_mel")  # the words for labels in files
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
    """One image beyond HAM10000. ``dx`` is one of LABELS."""

    image_id: str
    dx: str
    path: Path
    source: str

    @property
    def label(self) -> int:
        """Index into CLASS_NAMES, or NOT_MELANOMA."""
        return LABELS.index(self.dx)


@dataclass(frozen=True)
class _Layout:
    """A challenge's table, where its images lie, and how a line says what was diagnosed."""

    source: str
    tables: tuple[str, ...]
    folders: tuple[str, ...]
    columns: tuple[str, ...]
    image_id: str
    diagnosis: Callable[[dict[str, str]], str]


def _marked(cell: str) -> bool:
    if float(cell) not in (0, 1):
        raise ValueError(f"{cell} is neither 0 nor 1")
    return float(cell) == 1


def _one_of_2017(line: dict[str, str]) -> str:
    if _marked(line["melanoma"]):
        return "mel"
    return "bkl" if _marked(line["seborrheic_keratosis"]) else "nv"


def _one_of_2019(line: dict[str, str]) -> str:
    marked = [column for column in _2019 if _marked(line.get(column) or "0")]
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
    if not dx or "melanoma" in dx or "maligna" in dx:  # of lentigo maligna
        raise ValueError(f"dx {line['dx']!r}: a melanoma is mel here, and nothing else is")
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
    for number, line in read_table(table, layout.columns):
        image_id = plain_id(line[layout.image_id])
        if image_id in dropped:
            continue
        try:
            dx = layout.diagnosis(line)
        except ValueError as error:
            raise DataError(f"{table}, line {number}, {image_id}: {error}.") from error
        if image_id not in files:
            raise DataError(f"{folder} has no image {image_id}, which {table.name} names.")
        extra = Extra(image_id, dx, files[image_id], layout.source)
        if found.setdefault(image_id, extra) != extra:
            raise DataError(f"{table} calls {image_id} both {found[image_id].dx} and {dx}.")
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
            if file.suffix.lower() in IMAGE_SUFFIXES
            and not file.stem.endswith("_superpixels")
            and not file.name.startswith("._")
        }
        if found:
            return found
    raise DataError(f"{folder} holds no images in any of {', '.join(layout.folders)}.")


def _second_copies(folder: Path) -> set[str]:
    """ISIC 2020 publishes the pairs of files that show the same image; the second is left out."""
    path = folder / _DUPLICATES_2020
    if not path.is_file():
        return set()
    return {plain_id(line["image_name_2"]) for _, line in read_table(path, ("image_name_2",))}
