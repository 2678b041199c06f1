"""The images a model may be measured on: found, checked against its training, decoded once."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mel_demo.manifest import Preprocessing
from training.data.external import as_images, external_images, read_external, training_images
from training.data.frames import prepare_images
from training.data.ham10000 import Images, find_images, read_split
from training.data.isic import read_extra
from training.errors import DataError
from training.provenance import sha256

HAM10000, ISIC_2017 = "HAM10000", "ISIC 2017"
_MEASURABLE = ("validation", "holdout", "external", "archive")


class Pixels:
    """Images, decoded once for each preprocessing that asks for them."""

    def __init__(self, images: Images):
        self.images = images
        self._prepared: dict[Preprocessing, np.ndarray] = {}

    def prepared(self, preprocessing: Preprocessing) -> np.ndarray:
        """uint8 (N, S, S, 3), as served."""
        if preprocessing not in self._prepared:
            self._prepared[preprocessing] = prepare_images(self.images, preprocessing)
        return self._prepared[preprocessing]


@dataclass(frozen=True)
class Measurable:
    """Where measurements come from: HAM10000, its splits, and images of other clinics if given.

    ``isic2017`` and ``external`` (the file of ``training external``) belong together: the split
    "external" is what that file keeps out of ISIC 2017, "archive" what it keeps out of ``archive``.
    """

    data: Path
    splits: Path
    isic2017: Path | None = None
    external: Path | None = None
    archive: Path | None = None

    @property
    def splits_held(self) -> tuple[str, ...]:
        """Splits that a release is measured on, as far as their images are given."""
        elsewhere = {"external": self.external, "archive": self.archive}
        return ("validation", "holdout", *(name for name, at in elsewhere.items() if at))

    def pixels(self, split: str) -> Pixels:
        """Images of a split; DataError for one that cannot be measured."""
        if split not in _MEASURABLE:
            raise DataError(
                f"Split {split!r} cannot be measured: choose {' or '.join(_MEASURABLE)}."
            )
        if split not in ("external", "archive"):
            return Pixels(read_split(self.data, self.splits, split))
        if self.isic2017 is None or self.external is None:
            raise DataError(
                "Images of other clinics are measured with both --isic2017 FOLDER and --external "
                "FILE (`python -m training external` makes it)."
            )
        kept_out, images = read_external(self.external), read_extra(self.isic2017)
        if split == "archive":
            if self.archive is None:
                raise DataError("Those of the ISIC archive are measured with --archive FOLDER.")
            images = read_extra(self.archive, {image.image_id for image in images})
        return Pixels(external_images(images, kept_out))

    def learned_from(self, sources: Collection[str]) -> dict[str, Pixels]:
        """Training images by data set, as far as they are given: HAM10000 first.

        ``sources``: the data sets of a run (``RunRecord.sources``).
        """
        images = {HAM10000: Pixels(read_split(self.data, self.splits, "train"))}
        if ISIC_2017 in sources and self.isic2017 is not None and self.external is not None:
            extras = read_extra(self.isic2017, find_images(self.data))
            learned = training_images(extras, read_external(self.external))
            images[ISIC_2017] = Pixels(as_images(learned))
        return images

    def check(self, splits_sha256: str, external_sha256: str | None, whose: str) -> None:
        """DataError unless these are the files of a model: its training may hold other images."""
        check_splits(self.splits, splits_sha256, whose)
        if self.external is None or external_sha256 is None:
            return
        if not self.external.is_file() or sha256(self.external) != external_sha256:
            raise DataError(
                f"{self.external} is not the file that {whose} was trained with "
                f"({external_sha256[:12]}...): its external images may be training images."
            )


def check_splits(splits: Path, wanted: str, whose: str) -> None:
    """DataError unless the splits file is the one with this SHA-256."""
    if not splits.is_file():
        raise DataError(
            f"There is no splits file {splits}. Give the one {whose} was trained on, or make it "
            "again with `python -m training splits`: the same data and seed give the same file."
        )
    found = sha256(splits)
    if found != wanted:
        raise DataError(
            f"{splits} (SHA-256 {found[:12]}...) is not the splits file that {whose} was trained "
            f"on ({wanted[:12]}...): its holdout may hold training images. Give the original file."
        )
