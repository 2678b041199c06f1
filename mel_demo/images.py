"""An upload becomes an upright RGB array, and that array a model's input.

An upload is untrusted: its size is checked before it is read, its pixels before they are decoded,
and whatever is wrong with it becomes one ImageError with the way out. Knows Pillow and NumPy; it
does not know what a lesion looks like (``screening`` reports findings about the image).
"""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, features

from mel_demo.errors import (
    EmptyFileError,
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
)
from mel_demo.manifest import Preprocessing

MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
# fmt: off
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp",
    ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif",
))
# fmt: on
"""What counts as an image when a folder is searched; HEIC too, so that it is reported as unread."""

# Only these decoders ever see an upload; Pillow knows forty more that no camera writes.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF") + (
    ("AVIF",) if features.check("avif") else ()
)
_READABLE = "JPEG, PNG, WebP, BMP, TIFF or GIF"
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_HEIC_BRANDS = frozenset(
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"]
)
# What Pillow raises on damaged bytes, found by cutting and changing bytes of every format: opening
# catches most in Pillow itself, decoding lets slips of the decoders' own code through.
_OPEN_ERRORS = (OSError, SyntaxError, ValueError, RuntimeError, OverflowError)
_DECODE_ERRORS = (
    *_OPEN_ERRORS,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
)
_DAMAGED = (
    "The file begins like an image but is cut off or damaged. Upload it again, or save it anew as "
    "JPEG."
)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112

# Pillow warns above 89 megapixels; MAX_PIXELS refuses long before that, with a message of its own.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def open_image(source: bytes | Path) -> np.ndarray:
    """Decode an upload into a uint8 array (height, width, 3): RGB, upright, its first frame.

    EXIF orientation is applied. Alpha is composited on white; grey, palette, CMYK and 1-bit images
    are converted as Pillow does; 16- and 32-bit grey is scaled to 8 bits (see ``_eight_bits``).
    Colour profiles are not applied.

    Raises EmptyFileError, ImageTooLargeError (more than MAX_BYTES, checked before reading, or
    MAX_PIXELS, checked before decoding), NotAnImageError, TruncatedImageError, or ImageError where
    a path cannot be read.
    """
    data = _read(source)
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except _BOMB as error:
        raise ImageTooLargeError(_too_many_pixels()) from error
    except _OPEN_ERRORS as error:
        raise _unreadable(data) from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ImageTooLargeError(_too_many_pixels(image))
        try:
            image.load()
        except _BOMB as error:
            raise ImageTooLargeError(_too_many_pixels()) from error
        except _DECODE_ERRORS as error:
            raise TruncatedImageError(_DAMAGED) from error
        return _rgb(_upright(image))


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
    batch = prepared.reshape(-1, side, side, 3)
    values = batch * scale.astype(np.float32) + shift.astype(np.float32)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


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
        _check_bytes(len(data))
    else:
        try:
            _check_bytes(source.stat().st_size)
            data = source.read_bytes()
        except OSError as error:
            raise ImageError(f"The file cannot be read ({error.strerror}): {source}.") from error
    if not data:
        raise EmptyFileError("The file is empty (0 bytes). Choose another, or upload it again.")
    return data


def _check_bytes(size: int) -> None:
    if size > MAX_BYTES:
        raise ImageTooLargeError(
            f"The file has {size / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB can be judged. "
            "Save the image smaller, for example as JPEG."
        )


def _too_many_pixels(image: Image.Image | None = None) -> str:
    limit = f"{MAX_PIXELS / 1e6:.0f} megapixels"
    if image is None:
        has = f"The image has far more than {limit}, which is"
    else:
        pixels = image.width * image.height / 1e6
        has = f"The image has {image.width} x {image.height} = {pixels:.1f} megapixels; {limit} is"
    return f"{has} the most that can be judged. Save it smaller, or cut out the lesion."


def _unreadable(data: bytes) -> ImageError:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return NotAnImageError(
            "The file is a HEIC photo (the iPhone's own format), which cannot be read here. "
            "Convert it to JPEG: share it as JPEG, or set the camera to 'Most Compatible'."
        )
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if webp or data.startswith(_MAGIC):
        return TruncatedImageError(_DAMAGED)
    return NotAnImageError(
        f"The file is not an image that can be read. Use {_READABLE}; save other formats as JPEG."
    )


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; a damaged EXIF block is no reason to refuse the pixels."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except _DECODE_ERRORS:
        return image
    method = _TRANSPOSE.get(orientation)
    return image if method is None else image.transpose(method)


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        grey = _eight_bits(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("LAB", "HSV"):
        raise NotAnImageError(
            f"The image's colours are stored as {image.mode}, which cannot be read here. "
            "Save it as an RGB image, for example JPEG."
        )
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        image = Image.alpha_composite(white, layers)
    return np.array(image.convert("RGB"))


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale grey of any depth to uint8.

    The full scale is the smallest of 1 (fractions only), 255, 4095 (12-bit cameras) and 65535 that
    holds every value; values beyond, or negative ones, are stretched from their minimum to their
    maximum. What is not finite becomes black.
    """
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    scales = (255.0, 4095.0, 65535.0)
    if high <= 1 and (values % 1).any():
        scales = (1.0, *scales)
    top = next((scale for scale in scales if low >= 0 and high <= scale), None)
    if top is None:
        values, top = values - low, max(high - low, 1e-12)
    return np.rint(values * (255 / top)).astype(np.uint8)
