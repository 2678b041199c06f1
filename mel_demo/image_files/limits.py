"""What an upload may cost, all in one place: checked before the work, named in the error.

Chosen so that the dearest file of every format costs at most about 2 s on one core and 300 MB.
"""

from PIL import Image

from mel_demo.errors import ImageTooLargeError

MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
"""For formats whose decoders are quick, or shrink while they decode."""
MAX_PIXELS_OF = {
    "TIFF": 25_000_000,
    "WEBP": 16_000_000,
    "AVIF": 13_000_000,
    "HEIF": 13_000_000,
    "JPEG2000": 6_000_000,
}
"""For formats whose decoders are slow, or need several times the memory of the picture."""
MAX_SIDE = 65_535
"""Pixels, as in JPEG; a longer picture is a line, which costs several times as much a pixel."""
MAX_KEPT_PIXELS = 16_000_000
"""What a larger picture is reduced to while it is decoded; a model sees a fraction of it."""
MAX_KEPT_CMYK_PIXELS = 4_000_000
"""The same of four inks, whose profiles cost four times as much a pixel."""
MAX_SCANS = 100
"""Of a progressive JPEG; encoders write 10, optimisers up to 30."""
MAX_SAMPLES_VISITED = 500_000_000
"""Of a progressive JPEG: each scan goes through all samples of its colour components."""
MAX_SAMPLES_HELD = 80_000_000
"""Of a progressive JPEG: all its coefficients are held, 2 bytes each."""
MAX_TAGS = 5_000
"""In all TIFF and EXIF directories of a file; cameras write some hundred."""
MAX_TAG_BYTES = 2
"""What all tags of a TIFF or EXIF directory may hold, as a multiple of the file: tags that share
their values would be copied once each."""
MAX_PARTS = 20_000
"""Chunks of a PNG, strips or tiles of a TIFF, blocks of a GIF before its picture."""
MAX_JPEG_PARTS = 5_000
"""Strips or tiles of a TIFF that are JPEGs; each is gone through twice."""
MAX_RUN_LENGTH_BYTES = 1_000_000
"""Of a BMP or DICOM with run lengths, which are decoded in Python."""
MAX_HEADER_BYTES = 1_000_000
"""Of a DICOM before its picture."""

_OUT = "Save it smaller, or cut out the lesion."


def check_bytes(size: int) -> None:
    """Raises ImageTooLargeError above MAX_BYTES."""
    if size > MAX_BYTES:
        raise ImageTooLargeError(
            f"The file has {size / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB can be judged. "
            "Save the image smaller, for example as JPEG."
        )


def check_size(width: int, height: int, format: str | None = None) -> None:
    """Raises ImageTooLargeError where a picture has more pixels than its format may have, or is
    longer than MAX_SIDE."""
    if max(width, height) > MAX_SIDE:
        raise ImageTooLargeError(
            f"The image has {width} x {height} pixels; {MAX_SIDE} is the longest side that can be "
            f"judged. {_OUT}"
        )
    most = MAX_PIXELS_OF.get(format or "", MAX_PIXELS)
    if width * height > most:
        raise ImageTooLargeError(
            f"The image has {width} x {height} = {width * height / 1e6:.1f} megapixels; "
            f"{most / 1e6:g} megapixels is the most that can be judged"
            f"{f' as {format}' if most < MAX_PIXELS else ''}. {_OUT}"
        )


def far_too_large() -> ImageTooLargeError:
    """Where Pillow's own guard stops before the size is known."""
    return ImageTooLargeError(
        f"The image has far more than {MAX_PIXELS / 1e6:.0f} megapixels, which is the most that "
        f"can be judged. {_OUT}"
    )


def check_count(what: str, count: int, most: int) -> None:
    """Raises ImageTooLargeError where ``count`` parts named ``what`` are more than ``most``."""
    if count > most:
        raise ImageTooLargeError(
            f"The file is built to be slow to read: it has {count:,} {what}, and {most:,} are the "
            "most that are read. Save the image anew, for example as JPEG."
        )


def reduction(image: Image.Image) -> int:
    """By what power of two both sides shrink so that no more pixels are kept than may be."""
    factor = 1
    most = MAX_KEPT_CMYK_PIXELS if image.mode == "CMYK" else MAX_KEPT_PIXELS
    while image.width * image.height > most * factor**2:
        factor *= 2
    return factor
