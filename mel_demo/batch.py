"""Many images to one table: finds the files, judges each, writes CSV. No file stops the rest.

Knows files and rows; it does not know the terminal (``cli``) nor any model.
"""

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mel_demo.decision import operating_point
from mel_demo.decision.operating_point import Decision
from mel_demo.errors import MelDemoError, SettingError
from mel_demo.images import SUFFIXES, read_image
from mel_demo.manifest import CLASS_NAMES
from mel_demo.screening import Screener, Screening

COLUMNS = (
    "image",
    "model",
    "melanoma_probability",
    "threshold",
    "decision",
    "error",
    *CLASS_NAMES,
)
REFER, NO_REFERRAL = "refer", "no referral"
REFUSED = "none: not a dermoscopy image"
"""Instead of a decision; the probabilities stay, for whoever wants them all the same."""

Row = dict[str, str]


def find_images(paths: Iterable[Path]) -> list[Path]:
    """Files named in ``paths`` as they are; of folders, all files below with an image's suffix.

    Sorted within a folder, hidden ones left out (macOS puts "._name.jpg" beside a photo), none
    twice. Raises SettingError when a path does not exist or no image is found.
    """
    paths = list(paths)
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise SettingError(f"{path} does not exist. Name image files, or folders of them.")
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in below:
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file == path or (file.suffix.lower() in SUFFIXES and file.is_file() and not hidden):
                found.setdefault(file.resolve(), file)
    if not found:
        raise SettingError(
            f"No image in {', '.join(map(str, paths))}. A folder is searched for files named "
            f"{' '.join(sorted(SUFFIXES))}."
        )
    return list(found.values())


def screen_file(screener: Screener, path: Path, target_sensitivity: float) -> list[Row]:
    """One row per model, or one row with an empty model and the error where it cannot be judged."""
    # A name that is not UTF-8 must not stop the table.
    name = os.fsencode(path).decode("utf-8", "replace")
    try:
        screening = screener.screen(*read_image(path))
    except MelDemoError as error:
        return [dict.fromkeys(COLUMNS, "") | {"image": name, "error": str(error)}]
    rows = []
    for key, prediction in screening.predictions.items():
        table = screener.manifest.models[key].operating_table
        decision = operating_point.decide(prediction, table, target_sensitivity)
        row = {
            "image": name,
            "model": key,
            "melanoma_probability": f"{prediction.melanoma_probability:.6g}",
            "threshold": f"{decision.point.threshold:.6g}",
            "decision": _in_words(screening, decision),
            "error": "",
        }
        for class_name, probability in zip(CLASS_NAMES, prediction.probabilities, strict=True):
            row[class_name] = f"{probability:.6g}"
        rows.append(row)
    return rows


def _in_words(screening: Screening, decision: Decision) -> str:
    if screening.refused:
        return REFUSED
    return REFER if decision.refer else NO_REFERRAL


class Table:
    """A CSV file being written: header at once, then rows as they come."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def add(self, rows: Iterable[Row]) -> None:
        self._writer.writerows(rows)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes ``path``'s place when the block ends well, and vanishes otherwise.

    What is no regular file (/dev/null, a pipe) is written to directly: replacing would remove it.
    Raises SettingError when it cannot be written.
    """
    target = path.resolve()
    direct = target.exists() and not target.is_file()
    temporary = target if direct else target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        if not direct:
            os.replace(temporary, target)
    except OSError as error:
        raise SettingError(
            f"{path} cannot be written ({error.strerror}). Name a file in a folder that exists, "
            "that you may write to, and that has room."
        ) from error
    finally:
        if not direct:
            temporary.unlink(missing_ok=True)
