"""A damaged file is refused, whole ones never are; no upload costs more than the limits say."""

import io
import re
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, TiffTags

from mel_demo.errors import (
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
)
from mel_demo.image_files import jpeg, limits
from mel_demo.images import open_image, read_image
from tests.support.lesions import draw_lesion
from tests.support.textured import PICTURE, encode, textured


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_deflate"])
def test_a_deflated_tiff_is_checked_by_its_checksums(compression: str, where: float) -> None:
    data = bytearray(encode(PICTURE, "TIFF", compression=compression))
    assert (open_image(bytes(data)) == RGB).all()
    data[round(len(data) * where)] ^= 16
    with pytest.raises(TruncatedImageError):
        open_image(bytes(data))


@pytest.mark.parametrize("where", [0.2, 0.9])
def test_a_png_is_checked_by_its_checksums(where: float) -> None:
    data = bytearray(encode(PICTURE, "PNG"))
    data[round(len(data) * where)] ^= 16
    with pytest.raises(TruncatedImageError):
        open_image(bytes(data))


@pytest.mark.parametrize(
    ("format", "options"),
    [("WEBP", {"quality": 95}), ("GIF", {}), ("AVIF", {"quality": 95})],
    ids=["WebP", "GIF", "AVIF"],
)
def test_zeros_in_formats_without_checksums(format: str, options: dict) -> None:
    data = encode(textured((640, 480)), format, **options)
    open_image(data)
    middle = len(data) // 2
    with pytest.raises(TruncatedImageError):
        open_image(data[:middle] + bytes(512) + data[middle + 512 :])


def tiff(rgb: np.ndarray, planar: bool, number_format: int) -> bytes:
    """An uncompressed TIFF by hand: what Pillow does not write."""
    height, width = rgb.shape[:2]
    bits = 8 * rgb.itemsize
    planes = np.moveaxis(rgb, -1, 0) if planar else rgb[None]
    strips = [
        np.ascontiguousarray(plane, rgb.dtype.newbyteorder("<")).tobytes() for plane in planes
    ]
    count, start = len(strips), 8 + 2 + 10 * 12 + 4
    place, tail = start, b""

    def entry(tag: int, values: list[int], kind: int = 4) -> bytes:
        nonlocal place, tail
        packed = struct.pack(f"<{len(values)}{'HI'[kind == 4]}", *values)
        if len(packed) > 4:
            tail, packed, place = tail + packed, struct.pack("<I", place), place + len(packed)
        return struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")

    first = start + 6 + 6 + (8 * count if count > 1 else 0)
    offsets = [first + sum(map(len, strips[:at])) for at in range(count)]
    entries = [
        entry(256, [width]),
        entry(257, [height]),
        entry(258, [bits] * 3, 3),
        entry(259, [1], 3),
        entry(262, [2], 3),
        entry(273, offsets),
        entry(277, [3], 3),
        entry(279, [len(strip) for strip in strips]),
        entry(284, [2 if planar else 1], 3),
        entry(339, [number_format] * 3, 3),
    ]
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + b"".join(entries)
    return head + bytes(4) + tail + b"".join(strips)


RGB = np.asarray(PICTURE)


def test_the_tiffs_made_here_are_read() -> None:
    for planar in (False, True):
        assert (open_image(tiff(RGB, planar, 1)) == RGB).all()
    assert (open_image(tiff(RGB.astype(np.uint16) * 257, False, 1)) == RGB).all()


@pytest.mark.parametrize(
    ("rgb", "planar", "number_format", "says"),
    [
        (
            RGB.astype(np.uint16) * 257,
            True,
            1,
            "16-bit whole numbers as colours, in separate planes",
        ),
        (RGB.astype(np.float32) / 255, False, 3, "32-bit floating-point numbers as colours"),
        (RGB.astype(np.float32) / 255, True, 3, "32-bit floating-point numbers"),
        (RGB.astype(np.int16), False, 2, "16-bit signed numbers"),
        (RGB.astype(np.uint32), False, 1, "32-bit whole numbers"),
    ],
    ids=["16-bit planar", "float", "float planar", "signed", "32-bit"],
)
def test_tiffs_that_pillow_does_not_read_right_are_refused_in_words(
    rgb: np.ndarray, planar: bool, number_format: int, says: str
) -> None:
    with pytest.raises(NotAnImageError, match=f"{says}.*Save it as TIFF with 8-bit RGB"):
        open_image(tiff(rgb, planar, number_format))


def place_of(data: bytes, tag: int) -> int:
    """Where a TIFF of Pillow's has the entry of a tag with one value."""
    found = (data.find(struct.pack("<HHI", tag, kind, 1), 8) for kind in (3, 4))
    return max(found)


def saved(image: Image.Image = PICTURE, **tags: int) -> bytes:
    """A TIFF of Pillow's with other tags, by their names."""
    numbers = {TiffTags.lookup(tag).name: tag for tag in (254, 262, 339)}
    data = encode(image, "TIFF", tiffinfo={254: 0, 339: 1} if image.mode != "I" else {})
    for name, value in tags.items():  # told of some of them, Pillow would change the picture
        at = place_of(data, numbers[name]) + 8
        data = data[:at] + struct.pack("<H", value) + data[at + 2 :]
    return data


def huge_tile() -> bytes:
    """Where strips were, a tile of 256 megapixels: under tags of the same length."""
    data = encode(PICTURE, "TIFF")
    for tag, other in ((278, 322), (277, 323)):
        at = place_of(data, tag)
        data = data[:at] + struct.pack("<HHII", other, 4, 1, 16_000) + data[at + 12 :]
    return data


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: saved(NewSubfileType=1), "begins with a thumbnail.*DNG.*Save it as JPEG"),
        (lambda: saved(PICTURE.convert("L"), SampleFormat=2), "8-bit signed numbers as grey"),
        (
            lambda: saved(
                Image.fromarray(RGB[..., 0].astype(np.uint16) * 257), PhotometricInterpretation=0
            ),
            "16-bit whole numbers as grey values with white as zero",
        ),
        (
            lambda: saved(Image.fromarray(RGB[..., 0].astype(np.int32)), SampleFormat=1),
            "32-bit whole numbers as grey",
        ),
        (lambda: saved(PICTURE.convert("YCbCr")), "8-bit whole numbers as luma and chroma"),
    ],
    ids=[
        "thumbnail first",
        "signed grey",
        "deep grey, white is zero",
        "32 bits",
        "luma and chroma",
    ],
)
def test_tiffs_of_rare_builds_are_named(make: Callable[[], bytes], says: str) -> None:
    with pytest.raises(NotAnImageError, match=says):
        open_image(make())


def test_grey_with_white_as_zero_is_no_negative() -> None:
    grey = np.asarray(PICTURE.convert("L"))
    found = open_image(saved(Image.fromarray(255 - grey), PhotometricInterpretation=0))
    assert (found == grey[..., None]).all()


@pytest.mark.parametrize("format", ["TIFF", "GIF", "WEBP", "PNG", "AVIF"])
def test_the_first_of_several_pictures_is_remarked(format: str) -> None:
    options = {"save_all": True, "append_images": [PICTURE.rotate(90)], "loop": 0}
    if format in ("TIFF", "AVIF"):
        del options["loop"]
    assert "first_frame" in read_image(encode(PICTURE, format, **options)).remarks
    assert "first_frame" not in read_image(encode(PICTURE, format)).remarks


def test_a_thumbnail_behind_a_tiffs_picture_is_no_second_one() -> None:
    data, small = saved(), encode(PICTURE.resize((8, 8)), "TIFF", tiffinfo={254: 1})
    (start,) = struct.unpack_from("<I", data, 4)
    end = start + 2 + 12 * struct.unpack_from("<H", data, start)[0]
    (directory,) = struct.unpack_from("<I", small, 4)
    # Its directory alone, put at the end: nobody reads its pixels.
    both = data[:end] + struct.pack("<I", len(data)) + data[end + 4 :] + small[directory:]
    assert read_image(both).remarks == ()


def many_scans(count: int, size: tuple[int, int]) -> bytes:
    """A progressive JPEG whose last scan is there over and over."""
    data = encode(draw_lesion("nv", 1, (64, 64)).resize(size), progressive=True, quality=30)
    last = jpeg.read(data).scans[-1]
    header = data.rindex(b"\xff\xda", 0, last.start)
    return data[:header] + data[header : last.stop] * count + b"\xff\xd9"


def chunks(kind: bytes, body: bytes, count: int) -> bytes:
    data = encode(PICTURE, "PNG")
    check = struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + (struct.pack(">I", len(body)) + kind + body + check) * count + data[33:]


def shared_tags(count: int) -> bytes:
    """A TIFF whose tags all hold the same megabyte."""
    entries = b"".join(
        struct.pack("<HHII", 40_000 + at, 1, 1_000_000, 8 + 2 + 12 * count) for at in range(count)
    )
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(1_000_100)


def gif_comments(count: int) -> bytes:
    data = encode(PICTURE.quantize(16), "GIF")
    start = 13 + (3 << ((data[10] & 7) + 1))
    return data[:start] + b"\x21\xfe" + (b"\xff" + b"x" * 255) * count + b"\0" + data[start:]


def bmp_runs() -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 7000, 7000, 1, 8, 1, 0, 0, 0, 256, 0)
    body = header + bytes(1024) + b"\x01\x00" * 600_000
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 14 + 40 + 1024) + body


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "200 scans": (lambda: many_scans(200, (640, 480)), "progressive scans, and 100"),
    "60 scans of 9 megapixels": (lambda: many_scans(60, (3000, 3000)), "samples to go through"),
    "chunks": (lambda: chunks(b"quIz", b"", 20_001), "PNG chunks, and 20,000"),
    "shared tags": (lambda: shared_tags(500), "bytes in its tags"),
    "shared tags in EXIF": (
        lambda: (
            encode(PICTURE)[:2]
            + b"".join(
                b"\xff\xe1" + struct.pack(">H", 2 + len(part)) + part
                for part in [b"Exif\0\0" + _exif_of(2000)]
            )
            + encode(PICTURE)[2:]
        ),
        "bytes in its tags",
    ),
    "a huge tile": (huge_tile, "pixels in each tile"),
    "comments of a GIF": (lambda: gif_comments(30_000), "GIF blocks before its picture"),
    "run lengths": (bmp_runs, "bytes of run lengths"),
}


def _exif_of(count: int) -> bytes:
    shared = 8 + 2 + 12 * count
    entries = b"".join(struct.pack("<HHII", 40_000 + at, 1, 30_000, shared) for at in range(count))
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(30_100)


def test_a_strip_that_inflates_without_end_is_refused_early() -> None:
    data = encode(Image.new("L", (64, 64)), "TIFF", compression="tiff_adobe_deflate")
    with Image.open(io.BytesIO(data)) as image:
        start, length = image.tag_v2[273][0], image.tag_v2[279][0]
    bomb = zlib.compress(bytes(50_000_000))
    changed = data.replace(
        struct.pack("<HHII", 279, 4, 1, length), struct.pack("<HHII", 279, 4, 1, len(bomb))
    ).replace(struct.pack("<HHII", 273, 4, 1, start), struct.pack("<HHII", 273, 4, 1, len(data)))
    with pytest.raises(ImageTooLargeError, match="bytes in its strips or tiles"):
        open_image(changed + bomb)


@pytest.mark.parametrize(("make", "says"), BOMBS.values(), ids=BOMBS)
def test_what_is_built_to_be_slow_is_refused_undecoded(
    make: Callable[[], bytes], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make()
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("was opened"))
    with pytest.raises(ImageTooLargeError, match=rf"[\d,]+ .*{re.escape(says)}"):
        open_image(data)


def test_a_line_is_no_picture() -> None:
    with pytest.raises(ImageTooLargeError, match=r"70000 x 1 pixels; 65535 is the longest"):
        open_image(encode(Image.new("RGB", (70_000, 1)), "PNG"))


def test_a_format_whose_decoder_needs_more_may_have_fewer_pixels() -> None:
    data = encode(Image.new("L", (4100, 4100)), "WEBP", method=0, quality=1)
    with pytest.raises(ImageTooLargeError, match=r"16\.8 megapixels; 16 megapixels.*as WEBP"):
        open_image(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_picture_of_many_megapixels_is_reduced_while_it_is_decoded(format: str) -> None:
    image = PICTURE.resize((7000, 5000), Image.Resampling.NEAREST)
    options = {"quality": 60} if format == "JPEG" else {"compress_level": 1}
    rgb = open_image(encode(image, format, **options))
    assert rgb.shape[0] * rgb.shape[1] <= limits.MAX_KEPT_PIXELS
    assert rgb.shape == (2500, 3500, 3)
    small = np.asarray(Image.fromarray(rgb).resize(PICTURE.size, Image.Resampling.BOX))
    assert np.abs(small.astype(int) - RGB).mean() < 4


def test_inks_are_reduced_further_for_their_profiles_cost_more() -> None:
    data = encode(Image.new("CMYK", (2400, 2000)), "TIFF", compression="tiff_adobe_deflate")
    assert open_image(data).shape == (1000, 1200, 3)


def test_a_palette_of_many_megapixels_is_read() -> None:
    image = Image.new("P", (8000, 6000), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    rgb, remarks = read_image(encode(image, "PNG", transparency=0))
    assert rgb.shape == (3000, 4000, 3)
    assert (rgb == (200, 100, 50)).all()
    assert remarks == ("few_colours",)


def test_transparent_everywhere_is_refused_in_words() -> None:
    image = PICTURE.convert("RGBA")
    image.putalpha(0)
    with pytest.raises(NotAnImageError, match="transparent everywhere"):
        open_image(encode(image, "PNG"))


@pytest.mark.parametrize(
    ("image", "options", "remark"),
    [
        (PICTURE.quantize(256), {"format": "GIF"}, "few_colours"),
        (PICTURE.quantize(64), {"format": "PNG"}, "few_colours"),
        (PICTURE.quantize(64), {"format": "TIFF"}, "few_colours"),
        (PICTURE.quantize(64), {"format": "BMP"}, "few_colours"),
        (Image.fromarray(RGB[..., 0].astype(np.uint16) * 257), {"format": "PNG"}, "deep_grey"),
        (Image.fromarray(RGB[..., 0] / np.float32(255)), {"format": "TIFF"}, "deep_grey"),
    ],
    ids=["GIF", "palette PNG", "palette TIFF", "palette BMP", "16-bit grey", "float grey"],
)
def test_what_the_file_is_made_of_is_remarked(
    image: Image.Image, options: dict, remark: str
) -> None:
    assert read_image(encode(image, **options)).remarks == (remark,)


def test_partly_transparent_is_remarked() -> None:
    image = PICTURE.convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 100, 100))
    rgb, remarks = read_image(encode(image, "PNG"))
    assert remarks == ("transparent",)
    assert (rgb[:100, :100] == 255).all()


def test_only_image_errors_come_out_of_random_damage() -> None:
    rng = np.random.default_rng(1)
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"):
        data = encode(draw_lesion("mel", 1, (64, 48)), format)
        for _ in range(25):
            changed = bytearray(data)
            start = int(rng.integers(len(data)))
            changed[start : start + 20] = rng.bytes(int(rng.integers(40)))
            try:
                open_image(bytes(changed))
            except ImageError:
                continue
