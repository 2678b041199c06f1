"""A damaged file is refused, whole ones never are; no upload costs more than the limits say."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mel_demo.errors import (
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
)
from mel_demo.image_files import jpeg, limits
from mel_demo.images import open_image, read_image
from tests.support.lesions import draw_lesion

EXAMPLES = sorted((Path(__file__).parents[2] / "mel_demo/ui/examples").glob("*.jpg"))


def textured(size: tuple[int, int] = (320, 240)) -> Image.Image:
    rng = np.random.default_rng(0)
    picture = np.asarray(draw_lesion("mel", 1, size), np.float32) + rng.normal(
        0, 8, (*size[::-1], 1)
    )
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


PICTURE = textured()
KINDS = {
    "standard tables": {"quality": 92},
    "its own tables": {"quality": 92, "optimize": True},
    "zeros mean flat": {"quality": 40, "optimize": True},
    "no subsampling": {"quality": 85, "subsampling": 0},
    "restarts": {"quality": 85, "restart_marker_rows": 1},
    "progressive": {"quality": 85, "progressive": True},
}


def coded(data: bytes) -> tuple[int, int]:
    """Where the first scan's coded data lies; of a progressive file that of the longest scan of AC
    coefficients."""
    found = jpeg.read(data)
    scans = [scan for scan in found.scans if scan.spectrum[0] and not scan.high] or found.scans
    longest = max(scans, key=lambda scan: scan.stop - scan.start)
    return longest.start, longest.stop


def zeroed(share: float, length: int) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        start, stop = coded(data)
        start += round((stop - start) * share)
        stop = min(stop, start + length)
        return data[:start] + bytes(stop - start) + data[stop:]

    return damage


def cut(data: bytes) -> bytes:
    start, stop = coded(data)
    return data[: start + (stop - start) // 2] + b"\xff\xd9"


def dropped(data: bytes) -> bytes:
    start, stop = coded(data)
    start += (stop - start) // 3
    return data[:start] + data[start + 512 :]


def erased(data: bytes) -> bytes:
    start, stop = coded(data)
    start += (stop - start) // 3
    return data[:start] + b"\xff" * 512 + data[start + 512 :]


def exchanged(data: bytes) -> bytes:
    """A sector of the same file in another's place, as after a repaired file system."""
    start, stop = coded(data)
    here, there = start + (stop - start) // 3, start + (stop - start) // 2
    return data[:here] + data[there : there + 512] + data[here + 512 :]


def foreign(data: bytes) -> bytes:
    """A sector of another file."""
    start, stop = coded(data)
    here = start + (stop - start) // 3
    noise = np.random.default_rng(0).integers(0, 255, 512, np.uint8).tobytes()
    return data[:here] + noise + data[here + 512 :]


DAMAGES = {
    "a sector of zeros early": zeroed(0.1, 512),
    "a sector of zeros late": zeroed(0.8, 512),
    "many sectors of zeros": zeroed(0.3, 4096),
    "zeros to the end": zeroed(0.4, 10**9),
    "erased flash": erased,
    "another sector": exchanged,
    "another file's sector": foreign,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_a_jpeg_with_lost_sectors_is_refused(
    options: dict, damage: Callable[[bytes], bytes]
) -> None:
    data = encode(PICTURE, **options)
    assert read_image(data).remarks == ()
    with pytest.raises(TruncatedImageError, match=r"The JPEG is damaged.*Copy it again"):
        open_image(damage(data))


@pytest.mark.parametrize("filling", [bytes(10), b"\xff" * 10])
def test_a_jpeg_filled_up_to_a_round_length_is_whole(filling: bytes) -> None:
    data = encode(PICTURE)
    _, stop = coded(data)
    assert (open_image(data[:stop] + filling + data[stop:]) == open_image(data)).all()


def test_a_jpeg_whose_scan_says_nothing_of_its_spectrum_is_whole() -> None:
    """It means nothing where there is one scan, and some writers put zeros."""
    data = encode(PICTURE)
    end = jpeg.read(data).scans[0].start
    assert data[end - 3 : end] == bytes((0, 63, 0))
    assert (open_image(data[: end - 2] + b"\0" + data[end - 1 :]) == open_image(data)).all()


@pytest.mark.parametrize("damage", [cut, dropped])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "restarts"])
def test_a_jpeg_with_missing_data_and_an_end_marker_is_refused(
    kind: str, damage: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(TruncatedImageError):
        open_image(damage(encode(PICTURE, **KINDS[kind])))


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    data = encode(PICTURE, progressive=True)
    last = jpeg.read(data).scans[-1]
    header = data.rindex(b"\xff\xda", 0, last.start)
    with pytest.raises(TruncatedImageError, match="missing"):
        open_image(data[:header] + b"\xff\xd9")


def test_a_restart_that_is_out_of_order_is_refused() -> None:
    data = encode(PICTURE, restart_marker_rows=1)
    with pytest.raises(TruncatedImageError, match="missing or exchanged"):
        open_image(data.replace(b"\xff\xd3", b"\xff\xd4", 1))


def flat(colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (640, 480), colour)


def with_margin(colour: tuple[int, int, int], box: tuple[int, int]) -> Image.Image:
    image = flat(colour)
    image.paste(PICTURE, box)
    return image


WHOLE = {
    "black": flat((0, 0, 0)),
    "white": flat((255, 255, 255)),
    "plain grey": flat((128, 128, 128)),
    "black corners": with_margin((0, 0, 0), (160, 120)),
    "grey around": with_margin((128, 128, 128), (160, 120)),
    "grey below and to the right": with_margin((128, 128, 128), (0, 0)),
    "a ramp": Image.linear_gradient("L").resize((640, 480)).convert("RGB"),
    "one pixel": Image.new("RGB", (1, 1), (9, 9, 9)),
    "grey picture": PICTURE.convert("L"),
    "odd size": PICTURE.resize((333, 17)),
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("image", WHOLE.values(), ids=WHOLE)
def test_whole_jpegs_are_no_damage(image: Image.Image, options: dict) -> None:
    """However flat, and whatever their margins."""
    if image.mode == "L":
        options = {key: value for key, value in options.items() if key != "subsampling"}
    assert read_image(encode(image, **options)).rgb.shape[:2] == image.size[::-1]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_shipped_drawings_are_whole(path: Path) -> None:
    assert read_image(path).remarks == ()


def test_what_follows_the_picture_is_not_looked_at() -> None:
    """A second picture, a film, padding: phones put much behind the end marker."""
    data = encode(PICTURE)
    assert (
        open_image(data + bytes(5000) + b"\xff\xd8\xff" + data[3:900]) == open_image(data)
    ).all()


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


def kind_of(marker: int, precision: int = 8) -> bytes:
    """The JPEG with another kind of frame in its header."""
    data = encode(PICTURE)
    at = data.index(b"\xff\xc0")
    return (
        data[: at + 1]
        + bytes((marker,))
        + data[at + 2 : at + 4]
        + bytes((precision,))
        + data[at + 5 :]
    )


@pytest.mark.parametrize(
    ("marker", "precision", "says"),
    [
        (0xC3, 8, "lossless JPEG"),
        (0xC7, 8, "lossless JPEG"),
        (0xC9, 8, "arithmetic-coded JPEG"),
        (0xCA, 8, "arithmetic-coded JPEG"),
        (0xC1, 12, "12-bit JPEG"),
    ],
)
def test_jpegs_of_other_kinds_are_named(marker: int, precision: int, says: str) -> None:
    with pytest.raises(NotAnImageError, match=says):
        open_image(kind_of(marker, precision))


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
    "comments of a GIF": (lambda: gif_comments(30_000), "GIF blocks before its picture"),
    "run lengths": (bmp_runs, "bytes of run lengths"),
}


def _exif_of(count: int) -> bytes:
    shared = 8 + 2 + 12 * count
    entries = b"".join(struct.pack("<HHII", 40_000 + at, 1, 30_000, shared) for at in range(count))
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(30_100)


@pytest.mark.parametrize(("make", "says"), BOMBS.values(), ids=BOMBS)
def test_what_is_built_to_be_slow_is_refused_undecoded(
    make: Callable[[], bytes], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make()
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("was opened"))
    with pytest.raises(ImageTooLargeError, match=rf"[\d,]+ .*{re.escape(says)}"):
        open_image(data)


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
