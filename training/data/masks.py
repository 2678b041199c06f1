"""Lesion masks of HAM10000 (Tschandl et al. 2020), cropped as the model sees the image.

Knows files and the crop; it does not know what a mask is compared with (``training.measure.maps``).
"""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mel_demo.images import prepare
from mel_demo.manifest import Preprocessing
from training.data.ham10000 import Images
from training.errors import DataError

MASKS = "HAM10000_segmentations_lesion_tschandl"


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
