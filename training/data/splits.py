"""Splits: train, validation and holdout by lesion, stratified by the seven classes.

Several images may show one lesion, so the lesion is what is split. Knows nothing of pixels.
"""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sklearn.model_selection import train_test_split

from mel_demo.manifest import CLASS_NAMES
from training.errors import DataError
from training.files import write_text

SPLITS = ("train", "validation", "holdout")
COLUMNS = ("image_id", "lesion_id", "dx", "split")


@dataclass(frozen=True)
class Row:
    """One image of the data set."""

    image_id: str
    lesion_id: str
    dx: str
    split: str = ""


def make_splits(rows: list[Row], seed: int, validation: float = 0.15, holdout: float = 0.15):
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
    """Write the splits as CSV with the columns of COLUMNS, sorted by image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row.image_id):
        writer.writerow([row.image_id, row.lesion_id, row.dx, row.split])
    write_text(path, text.getvalue())


def read_splits(path: Path) -> list[Row]:
    """Read and check a splits file; DataError names the first row that cannot be used."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise DataError(
                    f"{path} must have the columns {','.join(COLUMNS)}, "
                    f"it has {','.join(reader.fieldnames or ())}."
                )
            rows = [Row(**row) for row in reader]
    except FileNotFoundError:
        raise DataError(
            f"There is no splits file {path}. Make it with: "
            f"python -m training splits --data FOLDER --output {path}"
        ) from None
    home: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        if row.split not in SPLITS or row.dx not in CLASS_NAMES:
            raise DataError(f"{path}, line {number}: split {row.split!r}, dx {row.dx!r} unknown.")
        if home.setdefault(row.lesion_id, row.split) != row.split:
            raise DataError(f"{path}, line {number}: lesion {row.lesion_id} is in two splits.")
    return rows


def melanoma_share(rows: list[Row]) -> dict[str, float]:
    """Share of melanoma images in each split, in [0, 1]."""
    images = Counter(row.split for row in rows)
    melanomas = Counter(row.split for row in rows if row.dx == "mel")
    return {split: melanomas[split] / images[split] for split in SPLITS if images[split]}
