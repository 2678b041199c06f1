"""Bytes of an image file become upright sRGB pixels, within limits, or one error.

What the formats need is in the modules beside this one; here is the order of steps: check the file,
open it, check its size, decode, convert strip by strip.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, features

from mel_demo.errors import ImageError, NotAnImageError, TruncatedImageError
from mel_demo.image_files import colour, jpeg, others, png, tiff
from mel_demo.image_files.limits import MAX_KEPT_PIXELS, check_size, far_too_large, reduction

# Only these decoders ever see an upload; Pillow knows forty more that no camera writes.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF") + (
    ("AVIF",) if features.check("avif") else ()
)
_READABLE = "JPEG, PNG, WebP, BMP, TIFF or GIF"
_MAGIC = (b"\xff\xd8\xff", png.SIGNATURE[:6], b"GIF8", b"BM", *tiff.MAGIC)
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
_ORIENTATION = 0x0112
_STRIP_PIXELS = 2_000_000
"""Converted at once: a whole picture of a phone would need its memory several times."""
_VISIBLE = 12  # of 255; below it nothing is seen
_MAX_TRANSPARENT = 0.01  # share of pixels; rounded corners have less
_MAX_RAW_EXIF = 200_000  # bytes; in PNG it may be packed into text

# Pillow warns above 89 megapixels; MAX_PIXELS refuses long before that, with a message of its own.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class Picture(NamedTuple):
    """``rgb``: uint8 (height, width, 3). ``remarks``: codes of what about the file itself gives
    pause, of ``findings.OF_FILES``."""

    rgb: np.ndarray
    remarks: tuple[str, ...] = ()


def decode(
    data: bytes, formats: tuple[str, ...] = FORMATS, profile: bytes | None = None
) -> Picture:
    """The first frame of a file in one of Pillow's ``formats``.

    ``profile``: the ICC profile of what the file came in; its own goes first. Raises
    ImageTooLargeError, NotAnImageError or TruncatedImageError.
    """
    markers = jpeg.read(data) if data.startswith(b"\xff\xd8") else None
    code_points = _check(data, markers)
    try:
        image = _open(data, formats)
    except _BOMB as error:
        raise far_too_large() from error
    except _DECODE_ERRORS as error:
        raise _unreadable(data) from error
    with image:
        check_size(image.width, image.height, image.format)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            _check_parts(image, data)
        factor = reduction(image)
        if markers is not None and factor > 1:
            image.draft(image.mode, (image.width // factor, image.height // factor))
        if markers is not None and image.mode == "CMYK" and "adobe" not in image.info:
            # Pillow takes all inks for inverted; only Adobe's are.
            image.tile = [tile._replace(args=("CMYK", "")) for tile in image.tile]
        try:
            image.load()
        except _BOMB as error:
            raise far_too_large() from error
        except _DECODE_ERRORS as error:
            raise TruncatedImageError(_DAMAGED) from error
        picture = convert(image, markers, code_points, profile)
        return Picture(picture.rgb, picture.remarks + _several(image, data))


def _check(data: bytes, markers: jpeg.Jpeg | None) -> Sequence[int] | None:
    """Refuses before anything is decoded; colour code points, where the file has some."""
    # In a JPEG they stand before its coded data, the most of it.
    header = markers.scans[0].start if markers is not None and markers.scans else len(data)
    tiff.check_directories(data[:header])
    if markers is not None:
        jpeg.check(markers)
        if found := jpeg.damage(data, markers):
            cut_off = not markers.ended and not markers.fault
            raise TruncatedImageError(_DAMAGED) if cut_off else _damaged_jpeg(found)
    elif data.startswith(png.SIGNATURE):
        return png.check(data)
    elif data.startswith(tiff.MAGIC):
        if tags := tiff.read(data):
            tiff.check(tags)
    elif data.startswith(b"GIF8"):
        others.check_gif(data)
    elif data.startswith(b"BM"):
        others.check_bmp(data)
    elif data[8:12] == b"WEBP":
        others.check_webp(data)
    elif data[4:8] == b"ftyp":
        others.check_boxes(data)
        return others.code_points(data)
    return None


def _check_parts(image: TiffImagePlugin.TiffImageFile, data: bytes) -> None:
    """As ``_check``, of a TIFF's strips or tiles: libtiff does not look at the checksums of those
    that are deflated, and keeps libjpeg's warnings to itself."""
    try:
        tiff.check_sums(image, data)
        for part in tiff.jpegs(image, data):
            markers = jpeg.read(part)
            jpeg.check_part(markers)
            if found := jpeg.damage(part, markers):
                raise _damaged_jpeg(found, "JPEG in the TIFF")
    except _DECODE_ERRORS as error:
        raise TruncatedImageError(_DAMAGED) from error


def _open(data: bytes, formats: tuple[str, ...]) -> ImageFile.ImageFile:
    if _is_heic(data):
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            pass
        else:
            register_heif_opener(thumbnails=False)
            formats = (*formats, "HEIF")
    return Image.open(io.BytesIO(data), formats=formats)


def _several(image: ImageFile.ImageFile, data: bytes) -> tuple[str, ...]:
    """A remark where the file is an animation, or has other pages than thumbnails."""
    if image.format == "TIFF":
        found = tiff.read(data)
        several = found is not None and found.more
    elif image.format == "GIF":
        several = "loop" in image.info  # to count them takes a step for each of its blocks
    else:
        # The further pictures of a JPEG (MPO) and of HEIC are previews and depths.
        several = image.format in ("PNG", "WEBP", "AVIF") and getattr(image, "n_frames", 1) > 1
    return ("first_frame",) if several else ()


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS


def _unreadable(data: bytes) -> ImageError:
    if _is_heic(data) and "HEIF" not in Image.OPEN:
        return NotAnImageError(
            "The file is a HEIC photo (the iPhone's own format), which is read only where "
            "pillow-heif is installed: pip install pillow-heif. Convert it to JPEG: share it "
            "as JPEG, or set the camera to 'Most Compatible'."
        )
    if data.startswith(tiff.MAGIC):
        found = tiff.read(data)
        if found is not None and found.width and found.height:
            return tiff.unreadable(found)
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if webp or _is_heic(data) or data.startswith(_MAGIC):
        return TruncatedImageError(_DAMAGED)
    return NotAnImageError(
        f"The file is not an image that can be read. Use {_READABLE}; save other formats as JPEG."
    )


def _damaged_jpeg(how: str, what: str = "JPEG") -> TruncatedImageError:
    return TruncatedImageError(
        f"The {what} is damaged: {how}. What is left may look whole and be judged wrongly. Copy it "
        "again from where it came, or upload it again."
    )


def convert(
    image: Image.Image,
    markers: jpeg.Jpeg | None = None,
    code_points: Sequence[int] | None = None,
    profile: bytes | None = None,
) -> Picture:
    """A decoded image as upright sRGB, strip by strip; ``markers`` of a JPEG's own pixels.

    Raises NotAnImageError or TruncatedImageError.
    """
    if image.mode in ("LAB", "HSV"):
        raise NotAnImageError(
            f"The image's colours are stored as {image.mode}, which cannot be read here. "
            "Save it as an RGB image, for example JPEG."
        )
    exif = _exif(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        levels = _eight_bits(_thinned(image))
        return Picture(_upright(np.repeat(levels[..., None], 3, axis=2), exif), ("deep_grey",))
    conversion, remarks = _conversion(image, exif, code_points, profile)
    if image.mode in ("P", "PA"):
        remarks += ("few_colours",)
    factor = reduction(image)
    height = -(-image.height // factor)
    layered = image.has_transparency_data
    may_be_grey = markers is not None and image.mode in ("RGB", "L")
    rgb: np.ndarray | None = None
    grey: list[np.ndarray] = []
    done, transparent, visible = 0, 0, not layered
    for strip in _strips(image, factor):
        if layered:
            strip, alpha = _on_white(strip)
            transparent += int(np.count_nonzero(alpha < 128))
            visible = visible or int(alpha.max()) > _VISIBLE
        decoded = strip
        if factor > 1:
            plain = strip if strip.mode in ("RGB", "L", "CMYK") else strip.convert("RGB")
            strip = plain.reduce(factor)
        converted = conversion(strip)
        pixels = np.array(converted)
        if may_be_grey:
            same = converted is decoded
            grey.append(jpeg.grey_blocks(pixels if same else np.asarray(decoded)))
        if len(pixels) == height:
            rgb = pixels
        else:
            rgb = np.empty((height, *pixels.shape[1:]), np.uint8) if rgb is None else rgb
            rgb[done : done + len(pixels)] = pixels
            done += len(pixels)
    if grey and jpeg.lost(np.concatenate(grey)):
        raise _damaged_jpeg("parts of the picture are missing, and grey in their place")
    if rgb is None or not visible:
        raise NotAnImageError(
            "The picture is transparent everywhere, so that there is nothing to see. Save it "
            "without transparency, for example as JPEG."
        )
    if transparent > _MAX_TRANSPARENT * image.width * image.height:
        remarks += ("transparent",)
    return Picture(_upright(rgb, exif), remarks)


def _strips(image: Image.Image, factor: int) -> Iterator[Image.Image]:
    """The image from top to bottom, in strips that ``factor`` and a JPEG's blocks divide."""
    width, height = image.size
    step = 8 * factor  # whole blocks of a JPEG
    rows = max(1, _STRIP_PIXELS // (width * step)) * step
    if rows >= height:
        yield image
        return
    for top in range(0, height, rows):
        yield image.crop((0, top, width, min(height, top + rows)))


def _thinned(image: Image.Image) -> np.ndarray:
    """Every so many-th pixel of grey that is deeper than 8 bits, which is no picture to judge."""
    factor = reduction(image) * (2 if image.width * image.height > MAX_KEPT_PIXELS // 4 else 1)
    parts = [np.asarray(strip)[::factor, ::factor] for strip in _strips(image, factor)]
    return np.concatenate(parts)


def _on_white(image: Image.Image) -> tuple[Image.Image, np.ndarray]:
    """RGB, and alpha as uint8 (height, width)."""
    layers = image.convert("RGBA")
    white = Image.new("RGBA", layers.size, "white")
    return Image.alpha_composite(white, layers).convert("RGB"), np.asarray(layers.getchannel("A"))


def _exif(image: Image.Image) -> Image.Exif:
    """The EXIF block; a damaged one is no reason to refuse the pixels."""
    if len(image.info.get("Raw profile type exif", "")) > _MAX_RAW_EXIF:
        return Image.Exif()
    try:
        return image.getexif()
    except _DECODE_ERRORS:
        return Image.Exif()


def _conversion(
    image: Image.Image,
    exif: Image.Exif,
    code_points: Sequence[int] | None,
    profile: bytes | None,
) -> tuple[colour.Conversion, tuple[str, ...]]:
    """What makes the image sRGB, and a remark where a profile is ignored."""
    if image.format == "PNG":
        found = png.conversion(image, code_points)
        if found is not None:
            return found, ()
    profile = image.info.get("icc_profile") or profile
    if profile:
        return _by_profile(image, profile)
    if code_points is not None and image.format != "PNG":
        found = colour.by_code_points(*code_points)
        return found or colour.PLAIN, ()
    try:
        tagged = isinstance(image, TiffImagePlugin.TiffImageFile) and tiff.conversion(image)
        return tagged or colour.by_exif(exif), ()
    except _DECODE_ERRORS:
        return colour.PLAIN, ()


def _by_profile(
    image: Image.Image, profile: bytes | None
) -> tuple[colour.Conversion, tuple[str, ...]]:
    if not profile:
        return colour.PLAIN, ()
    found = colour.by_profile(profile, image.mode)
    return (found, ()) if found is not None else (colour.PLAIN, ("profile_ignored",))


def _upright(rgb: np.ndarray, exif: Image.Exif) -> np.ndarray:
    """Turn or mirror as EXIF's orientation says."""
    orientation = exif.get(_ORIENTATION, 1) if exif else 1
    if orientation in (5, 6, 7, 8):
        rgb = rgb.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale grey of any depth to uint8.

    The full scale is the smallest of 1 (fractions only), 255, 4095 (12-bit cameras) and 65535 that
    holds every value; values beyond, or negative ones, are stretched from their minimum to their
    maximum. What is not finite becomes black.
    """
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    scales: tuple[float, ...] = (255.0, 4095.0, 65535.0)
    if high <= 1 and (values % 1).any():
        scales = (1.0, *scales)
    top = next((scale for scale in scales if low >= 0 and high <= scale), None)
    if top is None:
        values, top = values - low, max(high - low, 1e-12)
    return np.rint(values * (255 / top)).astype(np.uint8)
