"""Whatever way a file declares its colours, what is judged is sRGB."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin, features

from mel_demo.errors import NotAnImageError
from mel_demo.image_files import colour
from mel_demo.images import open_image, read_image
from tests.support.lesions import draw_lesion

P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), (0.3127, 0.3290))
PICTURE = draw_lesion("mel", 1, (96, 64))
PLAIN = np.asarray(PICTURE)


def profile(points: colour.Chromaticities, gamma: float | None = None) -> bytes:
    """An ICC profile, as the code writes them; littleCMS alone reads it here."""
    curve = colour._sampled(colour._curve(gamma))
    return colour._matrix_profile(colour._to_d50(np.array(points)), curve)


def stored(icc: bytes) -> Image.Image:
    """The picture with its values in the colours of a profile, by littleCMS."""
    converted = ImageCms.profileToProfile(
        PICTURE,
        ImageCms.createProfile("sRGB"),
        ImageCms.getOpenProfile(io.BytesIO(icc)),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    return Image.fromarray(np.asarray(converted))  # without the profile


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def with_chunks(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with chunks put behind its header."""
    added = b""
    for kind, body in chunks:
        added += struct.pack(">I", len(body)) + kind + body
        added += struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + added + data[33:]


def away(rgb: np.ndarray) -> float:
    """Mean difference to the picture as it is in sRGB, in levels."""
    return float(np.abs(rgb.astype(int) - PLAIN).mean())


def numbers(*values: float) -> bytes:
    return struct.pack(f">{len(values)}I", *(round(value * 100_000) for value in values))


CHRM = numbers(*P3[3], *P3[0], *P3[1], *P3[2])


def tiff_tags() -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, values in ((318, P3[3]), (319, (*P3[0], *P3[1], *P3[2]))):
        tags.tagtype[tag] = TiffImagePlugin.TiffTags.RATIONAL
        tags[tag] = tuple(TiffImagePlugin.IFDRational(round(v * 10_000), 10_000) for v in values)
    return tags


def adobe_exif(colour_space: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 1  # Pillow leaves out what has no tag at the top
    exif.get_ifd(0x8769)[0xA001] = colour_space
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    return exif


DECLARED: dict[str, Callable[[], bytes]] = {
    f"ICC in {format}": lambda format=format, options=options: encode(
        stored(profile(P3)), format, icc_profile=profile(P3), **options
    )
    for format, options in (
        ("JPEG", {"quality": 98, "subsampling": 0}),
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        *([("AVIF", {"quality": 100})] if features.check("avif") else []),
    )
} | {
    "ICC, Adobe RGB": lambda: encode(
        stored(profile(ADOBE, 2.2)), "PNG", icc_profile=profile(ADOBE, 2.2)
    ),
    "ICC, linear": lambda: encode(stored(profile(P3, 1.8)), "PNG", icc_profile=profile(P3, 1.8)),
    "ICC with alpha": lambda: encode(
        stored(profile(P3)).convert("RGBA"), "PNG", icc_profile=profile(P3)
    ),
    "ICC of a palette": lambda: encode(
        stored(profile(P3)).quantize(256), "PNG", icc_profile=profile(P3)
    ),
    "cHRM": lambda: with_chunks(
        encode(stored(profile(P3)), "PNG"), (b"gAMA", numbers(1 / 2.2)), (b"cHRM", CHRM)
    ),
    "gAMA": lambda: with_chunks(
        encode(stored(profile(colour._BT709, 1.5)), "PNG"), (b"gAMA", numbers(1 / 1.5))
    ),
    "cICP goes before ICC": lambda: with_chunks(
        encode(stored(profile(P3)), "PNG", icc_profile=profile(ADOBE, 2.2)),
        (b"cICP", bytes((12, 13, 0, 1))),
    ),
    "EXIF, Adobe RGB by DCF": lambda: encode(
        stored(profile(ADOBE, 563 / 256)),
        "JPEG",
        quality=98,
        subsampling=0,
        exif=adobe_exif(0xFFFF),
    ),
    "EXIF, Adobe RGB as some cameras": lambda: encode(
        stored(profile(ADOBE, 563 / 256)), "PNG", exif=adobe_exif(2)
    ),
    "TIFF, primaries": lambda: encode(stored(profile(P3)), "TIFF", tiffinfo=tiff_tags()),
}


@pytest.mark.parametrize("make", DECLARED.values(), ids=DECLARED)
def test_declared_colours_become_srgb(make: Callable[[], bytes]) -> None:
    data = make()
    with Image.open(io.BytesIO(data)) as image:
        untouched = away(np.asarray(image.convert("RGB")))
    converted, remarks = read_image(data)
    # Eight bits in other primaries cannot hold every shade; palettes and AVIF lose some more.
    assert away(converted) < 2.5 < untouched
    assert "profile_ignored" not in remarks


def test_avif_code_points() -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = encode(stored(profile(P3)), "AVIF", quality=100)
    before = data.find(b"colrnclx")
    assert before > 0
    changed = data[: before + 8] + struct.pack(">HH", 12, 13) + data[before + 12 :]
    assert away(open_image(changed)) < 2.5 < away(open_image(data))


def test_grey_goes_through_its_profile() -> None:
    grey = PICTURE.convert("L")
    linear = _grey_profile(1.0)
    converted = open_image(encode(grey, "PNG", icc_profile=linear)).astype(int)
    wanted = np.interp(np.asarray(grey) / 255, (x := np.linspace(0, 1, 999)), _srgb_of(x)) * 255
    assert np.abs(converted - wanted[..., None]).max() <= 3


def _srgb_of(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _grey_profile(gamma: float) -> bytes:
    """The RGB profile's header with GRAY and one curve."""
    curve = colour._sampled(colour._curve(gamma))
    icc = profile(P3)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in colour._D50))
    start = 128 + 4 + 2 * 12
    table = struct.pack(">I", 2) + b"wtpt" + struct.pack(">II", start, len(white))
    table += b"kTRC" + struct.pack(">II", start + len(white), len(curve))
    header = struct.pack(">I", start + len(white) + len(curve)) + icc[4:16] + b"GRAY" + icc[20:128]
    return header + table + white + curve


SRGB = {
    "none": {},
    "littleCMS's own": {
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    },
    "another sRGB": {"icc_profile": profile(colour._BT709)},
}


@pytest.mark.parametrize("options", SRGB.values(), ids=SRGB)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_srgb_stays_to_the_bit(format: str, options: dict) -> None:
    more = {"lossless": True} if format == "WEBP" else {}
    rgb, remarks = read_image(encode(PICTURE, format, **options, **more))
    assert (rgb == PLAIN).all()
    assert remarks == ()


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", numbers(0.45455))],
        [(b"sRGB", b"\0"), (b"gAMA", numbers(0.9)), (b"cHRM", CHRM)],
        [(b"gAMA", bytes(4)), (b"cHRM", bytes(32))],
        [(b"cICP", bytes((1, 13, 0, 1))), (b"gAMA", numbers(0.9))],
    ],
    ids=["2.2 means sRGB", "sRGB goes first", "no numbers at all", "cICP of sRGB"],
)
def test_png_chunks_that_leave_srgb_as_it_is(chunks: list[tuple[bytes, bytes]]) -> None:
    assert (open_image(with_chunks(encode(PICTURE, "PNG"), *chunks)) == PLAIN).all()


BROKEN = {
    "no profile": b"this is none",
    "cut off": profile(P3)[:400],
    "of ink": _grey_profile(1.0),  # grey, in an RGB picture
    "far too long": profile(P3) + bytes(4_100_000),
}


@pytest.mark.parametrize("icc", BROKEN.values(), ids=BROKEN)
def test_a_broken_profile_is_ignored_and_said(icc: bytes) -> None:
    rgb, remarks = read_image(encode(PICTURE, "TIFF", icc_profile=icc))
    assert (rgb == PLAIN).all()
    assert remarks == ("profile_ignored",)


def test_hdr_is_refused_in_words() -> None:
    data = with_chunks(encode(PICTURE, "PNG"), (b"cICP", bytes((9, 16, 0, 1))))
    with pytest.raises(NotAnImageError, match=r"HDR.*Save it as an ordinary"):
        open_image(data)


def test_the_narrow_range_of_video_is_refused_in_words() -> None:
    data = with_chunks(encode(PICTURE, "PNG"), (b"cICP", bytes((1, 13, 0, 0))))
    with pytest.raises(NotAnImageError, match=r"narrow range.*Save it as an ordinary"):
        open_image(data)


def test_a_large_picture_is_converted_as_a_small_one() -> None:
    """In strips, and reduced."""
    icc = profile(P3)
    large = stored(icc).resize((6000, 4000), Image.Resampling.NEAREST)
    rgb = open_image(encode(large, "PNG", icc_profile=icc, compress_level=1))
    assert rgb.shape == (2000, 3000, 3)
    small = np.asarray(Image.fromarray(rgb).resize(PICTURE.size, Image.Resampling.BOX))
    assert away(small) < 2.5
