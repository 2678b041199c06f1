"""An upload becomes an upright sRGB array, and that array a model's input.

An upload is untrusted: what decoding it would cost is checked before it is decoded, and whatever is
wrong with it becomes one ImageError with the way out. Knows Pillow and NumPy, and the formats in
``image_files``; it does not know what a lesion looks like (``findings`` has words about the image).
"""

import stat
from pathlib import Path

import numpy as np
from PIL import Image

from mel_demo.errors import EmptyFileError, ImageError
from mel_demo.image_files import dicom
from mel_demo.image_files.decode import Picture as Picture, convert, decode
from mel_demo.image_files.limits import (
    MAX_BYTES as MAX_BYTES,
    MAX_PIXELS as MAX_PIXELS,
    check_bytes,
)
from mel_demo.manifest import Preprocessing

# fmt: off
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp",
    ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif", ".dcm", ".dicom",
))
# fmt: on
"""What counts as an image when a folder is searched, also where its reader is not installed."""


def open_image(source: bytes | Path) -> np.ndarray:
    """``read_image`` without its remarks."""
    return read_image(source).rgb


def read_image(source: bytes | Path) -> Picture:
    """Decode an upload into a uint8 array (height, width, 3): sRGB, upright, its first frame.

    Colours are converted from what the file declares (ICC profile, PNG's and AVIF's code points,
    EXIF), orientation is applied, alpha composited on white; grey, palette, CMYK and 1-bit images
    are converted as Pillow does; 16- and 32-bit grey is scaled to 8 bits (see ``_eight_bits``).
    A picture of more pixels than are kept (``limits.reduction``) is reduced by a power of two.

    Raises EmptyFileError, ImageTooLargeError (more than the limits of ``image_files.limits``,
    checked before decoding), NotAnImageError, TruncatedImageError (cut off or damaged), or
    ImageError where a path cannot be read.
    """
    data = _read(source)
    if not dicom.is_dicom(data):
        return decode(data)
    frame, profile, frames = dicom.first_frame(data)
    remarks = ("first_frame",) if frames > 1 else ()
    if isinstance(frame, bytes):
        picture = decode(frame, ("JPEG", "JPEG2000"), profile)
    else:
        picture = convert(Image.fromarray(frame), profile=profile)
    return Picture(picture.rgb, picture.remarks + remarks)


def crop_box(width: int, height: int, max_aspect_ratio: float) -> tuple[int, int, int, int]:
    """The centre crop (left, top, right, bottom) whose longer side is at most
    ``max_aspect_ratio`` (>= 1) times the shorter; the whole image when it already is."""
    # 100 * 1.15 is 114.99...: what is meant is 115.
    longest = max(1, int(min(width, height) * max_aspect_ratio + 1e-6))
    new_width, new_height = min(width, longest), min(height, longest)
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return left, top, left + new_width, top + new_height


def prepare(rgb: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The pixels a model judges: uint8 (size, size, 3) from uint8 (height, width, 3).

    ``crop_box``, then a squash to the square by Pillow's bilinear filter, which averages over all
    source pixels when it shrinks (no aliasing).
    """
    height, width = rgb.shape[:2]
    left, top, right, bottom = crop_box(width, height, preprocessing.max_aspect_ratio)
    image = Image.fromarray(np.ascontiguousarray(rgb[top:bottom, left:right]))
    side = preprocessing.size
    return np.array(image.resize((side, side), Image.Resampling.BILINEAR))


def normalise(prepared: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """float32 (N, 3, size, size) from prepared uint8 (..., size, size, 3); leading axes become N.

    Each value v becomes (v / 255 - mean) / std of its channel.
    """
    side = preprocessing.size
    if prepared.shape[-3:] != (side, side, 3):
        raise ValueError(f"prepared has shape {prepared.shape}, wanted (..., {side}, {side}, 3)")
    scale = 1 / (255 * np.asarray(preprocessing.std))
    shift = -np.asarray(preprocessing.mean) / np.asarray(preprocessing.std)
    # Channels first: NumPy is slow along an axis of three.
    batch = np.ascontiguousarray(prepared.reshape(-1, side, side, 3).transpose(0, 3, 1, 2))
    values = batch * scale.astype(np.float32)[:, None, None]
    values += shift.astype(np.float32)[:, None, None]
    return values


def shrink(rgb: np.ndarray, longest_side: int) -> np.ndarray:
    """``rgb`` scaled down so that its longer side is at most ``longest_side`` pixels; never up.

    For showing: a page need not send the twelve megapixels of a phone.
    """
    height, width = rgb.shape[:2]
    if max(width, height) <= longest_side:
        return rgb
    scale = longest_side / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # reducing_gap: a quick whole-number reduction first, not visible at 3.
    image = Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.array(image)


def _read(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            about = source.stat()
            _check_file(about.st_mode)
            check_bytes(about.st_size)
            with source.open("rb") as file:
                data = file.read(MAX_BYTES + 1)  # not all files have the size that they say
        except OSError as error:
            raise ImageError(f"The file cannot be read ({error.strerror}): {source}.") from error
    check_bytes(len(data))
    if not data:
        raise EmptyFileError("The file is empty (0 bytes). Choose another, or upload it again.")
    return data


def _check_file(mode: int) -> None:
    """ImageError for what would never end, or is none: a named pipe, a device, a folder."""
    if stat.S_ISDIR(mode):
        raise ImageError("It is a folder that cannot be read. You may need the right to search it.")
    if not stat.S_ISREG(mode):
        raise ImageError(
            "It is no file but a pipe, a socket or a device. Copy what it gives into a file."
        )
