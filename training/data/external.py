"""Images of other clinics, kept out of training: who is kept out, written down once.

The file has one row an image beyond HAM10000: ``image_id,dx,split``, with split ``train``,
``external`` (measured once per released model, like holdout) or ``near_copy`` (shows nearly the
same picture as an external one, and is used for nothing).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.model_selection import train_test_split

from training.data.frames import read_image
from training.data.ham10000 import Images
from training.data.isic import SQUASHED_ASPECT, Extra, read_extra
from training.data.tables import read_table, refuse_repeated, write_table
from training.errors import DataError
from training.provenance import sha256

_COLUMNS = ("image_id", "dx", "split")
_SPLITS = ("train", "external", "near_copy")
COUNT = 400
MELANOMAS = 60
# Correlation of two grey thumbnails; in ISIC 2017, 11 of 2 million pairs are above it.
NEAR = 0.97
_THUMBNAIL = 24


def divide_all(
    isic2017: Path, archive: Path | None, count: int = COUNT, seed: int = 20260723
) -> tuple[list[Extra], dict[str, str]]:
    """Images of ISIC 2017 and of a selection of the archive, if given, and the split of each."""
    extras = read_extra(isic2017)
    split = divide(extras, count, seed)
    if archive is not None:
        more = read_extra(archive, split)
        extras += more
        split = part_near_copies(extras, split | divide_more(more, seed=seed))
    return extras, split


def divide(extras: Sequence[Extra], count: int = COUNT, seed: int = 20260723) -> dict[str, str]:
    """Split of each image by id: ``count`` external ones, stratified by diagnosis.

    Raises DataError when there are too few images to keep so many out.
    """
    ids, diagnoses = [x.image_id for x in extras], [x.dx for x in extras]
    classes = Counter(diagnoses)
    if min(classes.values()) < 2 or not len(classes) <= count <= len(ids) - len(classes):
        raise DataError(
            f"{count} of {len(ids)} images cannot be kept out of training, some of each diagnosis "
            f"({', '.join(f'{dx} {images}' for dx, images in classes.most_common())}): give "
            "another --count, or the folder of ISIC 2017 with all of its images."
        )
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
        raise DataError(
            f"{melanomas} of {len(ids)} melanomas of the archive cannot be kept out of training: "
            "fetch more, or leave out --archive."
        )
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
        picture = Image.fromarray(read_image(extra.path)).convert("L")
        tile = np.asarray(picture.resize((_THUMBNAIL, _THUMBNAIL)), np.float32).ravel()
        tiles.append((tile - tile.mean()) / max(float(tile.std()), 1e-6))
    grey = np.stack(tiles) / _THUMBNAIL
    pairs = np.argwhere(np.triu(grey @ grey.T, 1) > NEAR)
    return [(extras[int(a)].image_id, extras[int(b)].image_id) for a, b in pairs]


def write_external(extras: Sequence[Extra], split: dict[str, str], path: Path) -> None:
    """Write the file, sorted by image."""
    extras = sorted(extras, key=lambda extra: extra.image_id)
    write_table(path, _COLUMNS, [(x.image_id, x.dx, split[x.image_id]) for x in extras])


def print_external(
    extras: Sequence[Extra], split: dict[str, str], path: Path, console: Console
) -> None:
    """What each split holds, and the file's hash."""
    table = Table("split", "images", "melanomas", title=str(path))
    for name, images in Counter(split.values()).most_common():
        melanomas = sum(split[x.image_id] == name and x.dx == "mel" for x in extras)
        table.add_row(name, str(images), str(melanomas))
    console.print(table)
    console.print(f"sha256 {sha256(path)}")


def read_external(path: Path) -> dict[str, str]:
    """Split of each image by id; DataError when the file is missing or is another kind of file."""
    try:
        lines = read_table(path, _COLUMNS)
    except FileNotFoundError:
        raise DataError(
            f"There is no {path}, which says which images are kept out of training. Make it with: "
            f"python -m training external --isic2017 FOLDER --output {path}"
        ) from None
    for number, line in lines:
        if line["split"] not in _SPLITS:
            raise DataError(
                f"{path}, line {number}: split {line['split']!r} is none of {', '.join(_SPLITS)}: "
                "`python -m training external` writes the file that is wanted here."
            )
    refuse_repeated(path, [line["image_id"] for _, line in lines])
    return {line["image_id"]: line["split"] for _, line in lines}


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
        sources=np.array([extra.source for extra in extras]),
    )


def training_images(extras: Sequence[Extra], split: dict[str, str]) -> list[Extra]:
    """Those that may be learned from: all that the file does not keep out."""
    return [extra for extra in extras if split.get(extra.image_id, "train") == "train"]
