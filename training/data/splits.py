"""Splits: train, validation and holdout by lesion, stratified by the seven classes.

Several images may show one lesion, so the lesion is what is split. Knows nothing of pixels.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sklearn.model_selection import train_test_split

from mel_demo.manifest import CLASS_NAMES
from training.data.tables import read_table, refuse_repeated, write_table
from training.errors import DataError
from training.provenance import sha256

SPLITS = ("train", "validation", "holdout")
_COLUMNS = ("image_id", "lesion_id", "dx", "split")


@dataclass(frozen=True)
class Row:
    """One image of the data set."""

    image_id: str
    lesion_id: str
    dx: str
    split: str = ""


def make_splits(
    rows: list[Row], seed: int, validation: float = 0.15, holdout: float = 0.15
) -> list[Row]:
    """Give every row its split.

    ``validation`` and ``holdout`` are shares of the lesions of each class. Returns rows in the
    order given. Raises DataError when a lesion has two diagnoses or a class too few lesions.
    """
    diagnosis: dict[str, str] = {}
    for row in rows:
        if diagnosis.setdefault(row.lesion_id, row.dx) != row.dx:
            raise DataError(
                f"Lesion {row.lesion_id} is both {diagnosis[row.lesion_id]} and {row.dx}: "
                "correct the metadata, a lesion has one diagnosis."
            )
    few = {dx: n for dx, n in Counter(diagnosis.values()).items() if n < 7}
    if few:
        raise DataError(
            f"Too few lesions to divide into three splits: {few}. Each class needs at least 7."
        )
    # Sorted, so that the order of the metadata's rows does not change the splits.
    lesions = sorted(diagnosis)
    kept, held = train_test_split(
        lesions, test_size=holdout, stratify=[diagnosis[x] for x in lesions], random_state=seed
    )
    train, chosen = train_test_split(
        kept,
        test_size=validation / (1 - holdout),
        stratify=[diagnosis[x] for x in kept],
        random_state=seed + 1,
    )
    split = dict.fromkeys(train, "train") | dict.fromkeys(chosen, "validation")
    split |= dict.fromkeys(held, "holdout")
    return [Row(r.image_id, r.lesion_id, r.dx, split[r.lesion_id]) for r in rows]


def write_splits(rows: list[Row], path: Path) -> None:
    """Write the splits as CSV with the columns of _COLUMNS, sorted by image."""
    rows = sorted(rows, key=lambda row: row.image_id)
    write_table(path, _COLUMNS, [(row.image_id, row.lesion_id, row.dx, row.split) for row in rows])


def read_splits(path: Path) -> list[Row]:
    """Read and check a splits file; DataError names the first row that cannot be used."""
    try:
        lines = read_table(path, _COLUMNS)
    except FileNotFoundError:
        raise DataError(
            f"There is no splits file {path}. Make it with: "
            f"python -m training splits --data FOLDER --output {path}"
        ) from None
    rows, home = [], dict[str, str]()
    for number, line in lines:
        row = Row(*(line[column] for column in _COLUMNS))
        rows.append(row)
        if row.split not in SPLITS or row.dx not in CLASS_NAMES:
            raise DataError(f"{path}, line {number}: split {row.split!r}, dx {row.dx!r} unknown.")
        if not row.image_id or not row.lesion_id:
            raise DataError(f"{path}, line {number}: image_id or lesion_id is empty.")
        if home.setdefault(row.lesion_id, row.split) != row.split:
            raise DataError(f"{path}, line {number}: lesion {row.lesion_id} is in two splits.")
    refuse_repeated(path, [row.image_id for row in rows])
    return rows


def print_splits(rows: list[Row], path: Path, console: Console) -> None:
    """What each split holds, and the file's hash."""
    table = Table("split", "images", "lesions", "melanoma", title=str(path))
    for split in SPLITS:
        own = [row for row in rows if row.split == split]
        share = sum(row.dx == "mel" for row in own) / len(own)
        lesions = len({row.lesion_id for row in own})
        table.add_row(split, str(len(own)), str(lesions), f"{share:.1%}")
    console.print(table)
    console.print(f"sha256 {sha256(path)}")
