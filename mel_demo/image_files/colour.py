"""Whatever colours a file declares, its pixels become sRGB. The conversion is littleCMS's.

A declaration without a profile (PNG's chunks, the code points of AVIF and HEIC, EXIF) is written
as one, so that there is one way. What comes out as sRGB already is left alone to the bit.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from mel_demo.errors import NotAnImageError

_MAX_PROFILE = 4_000_000  # bytes; those of printing presses have up to 3 MB
_SAME = 2  # levels; profiles that call themselves sRGB differ by as much from littleCMS's own
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}

# x and y of red, green, blue and white; numbers as in ITU-T H.273, table 2.
_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_SMPTE_170 = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_PRIMARIES = {
    1: _BT709,
    2: _BT709,  # not said
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: _SMPTE_170,
    7: _SMPTE_170,
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
_ADOBE_RGB = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65)
_ADOBE_GAMMA = 563 / 256

# The white of profiles, and the cone responses in which one white is carried to another
# (Bradford, as in ICC.1:2022, annex E).
_D50 = np.array((0.9642, 1.0, 0.8249))
_BRADFORD = np.array(
    ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
)

Chromaticities = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Conversion:
    """What makes an image of ``mode`` sRGB; ``transform`` None where it is sRGB already."""

    mode: str
    transform: ImageCms.ImageCmsTransform | None

    def __call__(self, image: Image.Image) -> Image.Image:
        """RGB from any image; of the size of ``image``."""
        if self.transform is None:
            return image if image.mode == "RGB" else image.convert("RGB")
        if image.mode != self.mode:
            image = image.convert(self.mode)
        # None only of one that changes its image in place.
        return ImageCms.applyTransform(image, self.transform) or image


PLAIN = Conversion("RGB", None)


def by_profile(profile: bytes, mode: str) -> Conversion | None:
    """By an ICC profile, for an image of a mode of Pillow; None of one that is broken, or made
    for other colours than the image has."""
    if len(profile) > _MAX_PROFILE:
        return None
    return _conversion(profile, {"L": "L", "LA": "L", "1": "L", "CMYK": "CMYK"}.get(mode, "RGB"))


def by_chromaticities(primaries: Chromaticities, gamma: float | None = None) -> Conversion:
    """By x and y of red, green, blue and white. ``gamma``: light is value ** gamma; None of
    sRGB's own curve. What makes no sense is sRGB."""
    return _by_numbers(primaries, gamma)


def by_gamma(gamma: float, primaries: Chromaticities | None = None) -> Conversion:
    """As PNG's gAMA and cHRM say; near 2.2 a gamma means sRGB's curve, as libpng has it (5 %)."""
    near = abs(gamma / 2.2 - 1) < 0.05
    return by_chromaticities(primaries or _BT709, None if near else gamma)


def by_code_points(primaries: int, transfer: int) -> Conversion | None:
    """By the numbers of ITU-T H.273 that PNG's cICP, AVIF and HEIC carry; None where unknown.

    Raises NotAnImageError of HDR (PQ and HLG): its light has no place in an ordinary picture.
    """
    if transfer in (16, 18):
        raise NotAnImageError(
            "The picture is stored with HDR brightness (PQ or HLG), which cannot be read here. "
            "Save it as an ordinary (SDR) JPEG or PNG."
        )
    # 1, 6, 14 and 15 are for video and mean sRGB in still pictures.
    curves = dict.fromkeys((1, 2, 6, 13, 14, 15)) | {4: 2.2, 5: 2.8, 8: 1.0}
    if primaries not in _PRIMARIES or transfer not in curves:
        return None
    return by_chromaticities(_PRIMARIES[primaries], curves[transfer])


def by_exif(exif: Image.Exif) -> Conversion:
    """Adobe RGB where EXIF says so (DCF 2.0: uncalibrated, interoperability R03), else sRGB."""
    details = exif.get_ifd(0x8769)
    adobe = details.get(0xA001) == 2  # as some cameras have it
    if details.get(0xA001) == 0xFFFF and 0xA005 in details:
        adobe = str(exif.get_ifd(0xA005).get(1)).startswith("R03")
    return by_chromaticities(_ADOBE_RGB, _ADOBE_GAMMA) if adobe else PLAIN


@lru_cache(maxsize=16)
def _conversion(profile: bytes, mode: str) -> Conversion | None:
    """Kept by profile (bytes hash as one), since making a transform costs some milliseconds."""
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        if _SPACES.get(source.profile.xcolor_space) != mode:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return Conversion(mode, None if _changes_nothing(transform, mode) else transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    if mode == "L":
        cube = steps[None]
    else:
        cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    image = Image.fromarray(cube)
    after = np.asarray(ImageCms.applyTransform(image, transform)).astype(int)
    before = np.asarray(image.convert("RGB")).astype(int)
    return int(np.abs(after - before).max()) <= _SAME


@lru_cache(maxsize=64)
def _by_numbers(primaries: Chromaticities, gamma: float | None) -> Conversion:
    xy = np.array(primaries, float)
    if not np.isfinite(xy).all() or xy.min() < 0 or xy[:, 1].min() < 0.01:
        return PLAIN
    try:
        matrix = _to_d50(xy)
    except np.linalg.LinAlgError:
        return PLAIN
    sane = np.isfinite(matrix).all() and np.abs(matrix).max() < 3 and (gamma or 1) < 10
    if not sane:
        return PLAIN
    found = _conversion(_matrix_profile(matrix, _sampled(_curve(gamma))), "RGB")
    return found or PLAIN


def _curve(gamma: float | None) -> Callable[[np.ndarray], np.ndarray]:
    if gamma is not None:
        return lambda value: value**gamma
    return lambda value: np.where(
        value <= 0.04045, value / 12.92, ((np.maximum(value, 0.04045) + 0.055) / 1.055) ** 2.4
    )


def _sampled(curve: Callable[[np.ndarray], np.ndarray]) -> bytes:
    values: bytes = np.rint(65535 * curve(np.linspace(0, 1, 4096))).astype(">u2").tobytes()
    return b"curv" + bytes(4) + struct.pack(">I", 4096) + values


def _to_d50(xy: np.ndarray) -> np.ndarray:
    """Columns: XYZ of full red, green and blue, under the white of profiles."""
    xyz = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]])
    white = xyz[:, 3]
    colours = xyz[:, :3] * np.linalg.solve(xyz[:, :3], white)
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.linalg.solve(_BRADFORD, cones[:, None] * (_BRADFORD @ colours))


def _matrix_profile(colours: np.ndarray, curve: bytes) -> bytes:
    """A display profile of ICC version 2: three colours and a curve."""

    def xyz(values: np.ndarray) -> bytes:
        numbers: bytes = np.rint(values * 65536).astype(">i4").tobytes()
        return b"XYZ " + bytes(4) + numbers

    name = b"desc" + bytes(4) + struct.pack(">I", 9) + b"mel_demo\0" + bytes(78)
    tags = [(b"desc", name), (b"wtpt", xyz(_D50)), (b"cprt", b"text" + bytes(4) + b"CC0\0")]
    tags += [(letter + b"XYZ", xyz(colours[:, at])) for at, letter in enumerate((b"r", b"g", b"b"))]
    table, body = struct.pack(">I", len(tags) + 3), b""
    start = 128 + 4 + 12 * (len(tags) + 3)
    for tag, value in tags:
        value += bytes(-len(value) % 4)
        table += tag + struct.pack(">II", start + len(body), len(value))
        body += value
    for tag in (b"rTRC", b"gTRC", b"bTRC"):  # one curve for all three
        table += tag + struct.pack(">II", start + len(body), len(curve))
    body += curve
    header = struct.pack(">I4sI", start + len(body), b"lcms", 0x02400000)
    header += b"mntrRGB XYZ " + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += xyz(_D50)[8:] + bytes(48)
    return header + table + body
