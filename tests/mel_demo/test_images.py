"""An upload, whatever it is, becomes upright RGB or one clear error."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mel_demo.errors import (
    EmptyFileError,
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
)
from mel_demo.images import MAX_BYTES, crop_box, normalise, open_image, prepare, shrink
from mel_demo.manifest import Preprocessing
from tests.support.lesions import draw_lesion

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"") -> bytes:
    """A PNG by hand: what Pillow does not write (16-bit colour), or a header without pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def palette(**options: object) -> bytes:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return encode(image, **options)


def grey(values: list[float], dtype: type | str, format: str = "TIFF") -> bytes:
    return encode(Image.fromarray(np.array([values], dtype)), format)


def pixels(mode: str, colours: list[object], format: str = "PNG", **options: object) -> bytes:
    image = Image.new(mode, (len(colours), 1))
    for x, colour in enumerate(colours):
        image.putpixel((x, 0), colour)
    return encode(image, format, **options)


EXACT = {
    "RGB": (pixels("RGB", [RED, (1, 2, 3)]), [RED, (1, 2, 3)]),
    "BMP": (pixels("RGB", [RED, (1, 2, 3)], "BMP"), [RED, (1, 2, 3)]),
    "WebP": (pixels("RGB", [RED, (1, 2, 3)], "WEBP", lossless=True), [RED, (1, 2, 3)]),
    "grey": (pixels("L", [100, 7]), [(100,) * 3, (7,) * 3]),
    "1-bit": (pixels("1", [0, 255]), [BLACK, WHITE]),
    "grey with alpha": (pixels("LA", [(0, 128), (9, 255)]), [(127,) * 3, (9,) * 3]),
    "alpha": (pixels("RGBA", [(*RED, 0), (*RED, 51), (*RED, 255)]), [WHITE, (255, 204, 204), RED]),
    "palette": (palette(), [RED, (0, 0, 255)]),
    "palette, transparent": (palette(transparency=0), [WHITE, (0, 0, 255)]),
    "palette, GIF": (palette(format="GIF"), [RED, (0, 0, 255)]),
    "colour key": (pixels("RGB", [RED, BLACK], transparency=RED), [WHITE, BLACK]),
    "CMYK": (
        pixels("CMYK", [(0, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)], "TIFF"),
        [WHITE, RED, BLACK],
    ),
    "16-bit colour": (
        png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 65535, 0, 0, 0x0102, 0x0203, 0x0304)),
        [RED, (1, 2, 3)],
    ),
    "16-bit grey": (
        grey([0, 32768, 65535], np.uint16, "PNG"),
        [BLACK, (128,) * 3, WHITE],
    ),
    "16-bit grey, big-endian": (grey([0, 32768, 65535], ">u2"), [BLACK, (128,) * 3, WHITE]),
    "12-bit grey": (grey([0, 1000, 4095], np.uint16), [BLACK, (62,) * 3, WHITE]),
    "8 bits in 16": (grey([0, 100, 255], np.uint16), [BLACK, (100,) * 3, WHITE]),
    "32-bit grey": (grey([0, 100, 255], np.int32), [BLACK, (100,) * 3, WHITE]),
    "32-bit grey, negative": (grey([-100, 0, 100], np.int32), [BLACK, (128,) * 3, WHITE]),
    "32-bit grey, huge": (grey([0, 10**6, 4 * 10**6], np.int32), [BLACK, (64,) * 3, WHITE]),
    "float, fractions": (grey([0, 0.2, 1], np.float32), [BLACK, (51,) * 3, WHITE]),
    "float, bytes": (grey([0, 51.2, 255], np.float32), [BLACK, (51,) * 3, WHITE]),
    "float, not finite": (
        grey([np.nan, np.inf, 0.2, 1], np.float32),
        [BLACK, BLACK, (51,) * 3, WHITE],
    ),
    "float, constant": (grey([-5, -5], np.float32), [BLACK, BLACK]),
}


@pytest.mark.parametrize(("data", "expected"), EXACT.values(), ids=EXACT)
def test_any_colour_mode_becomes_rgb(data: bytes, expected: list[tuple[int, int, int]]) -> None:
    rgb = open_image(data)
    assert rgb.dtype == np.uint8
    assert rgb.tolist() == [[list(colour) for colour in expected]]


def test_a_cmyk_jpeg_with_adobes_inverted_inks_is_not_a_negative() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    data = encode(image, "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(open_image(data).astype(int) - RED).max() <= 3


def test_a_cmyk_jpeg_of_plain_inks_is_not_a_negative() -> None:
    """Without Adobe's marker they are not inverted."""
    inverted = Image.new("CMYK", (16, 16), (255, 0, 0, 255))
    data = encode(inverted, "JPEG", quality=95)
    adobe = data.index(b"\xff\xee")
    plain = data[:adobe] + data[adobe + 16 :]
    assert np.abs(open_image(plain).astype(int) - RED).max() <= 3


@pytest.mark.parametrize("format", ["GIF", "WEBP", "MPO", "PNG", "TIFF"])
def test_the_first_frame_of_several(format: str) -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), (0, 0, 255))
    data = encode(first, format, save_all=True, append_images=[second])
    assert np.abs(open_image(data).astype(int) - RED).max() <= 3


UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
    9: UPRIGHT,  # no such orientation
}


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied_once(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.repeat(np.repeat(STORED[orientation], 16, axis=0), 16, axis=1)
    image = Image.fromarray(np.repeat(stored[..., None], 3, axis=2))
    options = {"lossless": True} if format == "WEBP" else {}
    rgb = open_image(encode(image, format, exif=exif, **options))
    assert rgb.shape == (32, 48, 3)
    assert np.abs(rgb[8::16, 8::16, 0].astype(int) - UPRIGHT).max() <= 2


def test_a_damaged_exif_block_does_not_cost_the_pixels() -> None:
    data = encode(Image.new("RGB", (16, 16), RED), "JPEG", exif=b"Exif\0\0no tiff at all")
    assert open_image(data).shape == (16, 16, 3)


def test_a_path_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "no suffix needed"
    path.write_bytes(encode(draw_lesion(), "JPEG"))
    assert (open_image(path) == open_image(path.read_bytes())).all()


PICTURE = draw_lesion("mel", 1, (64, 48))
JPEG = encode(PICTURE, "JPEG")
REFUSED: dict[str, tuple[bytes, type[ImageError], str]] = {
    "empty": (b"", EmptyFileError, "0 bytes"),
    "text": (b"hello", NotAnImageError, "Use JPEG"),
    "PDF": (b"%PDF-1.7 ...", NotAnImageError, "Use JPEG"),
    "a format no camera writes": (encode(PICTURE, "ICO"), NotAnImageError, "Use JPEG"),
    "LAB": (encode(Image.new("LAB", (8, 8)), "TIFF"), NotAnImageError, "LAB.*RGB"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], TruncatedImageError, "Upload it again"),
    "only a JPEG's first bytes": (JPEG[:20], TruncatedImageError, "Upload it again"),
    "too many bytes": (b"\xff\xd8\xff" + bytes(MAX_BYTES), ImageTooLargeError, "20.0 MB; at most"),
    # Header only: refused for its size, so it is refused before decoding.
    "64 megapixels": (png(8000, 8000, 8, 2), ImageTooLargeError, "8000 x 8000 = 64.0 megapixels"),
    "100 megapixels": (png(10_000, 10_000, 8, 2), ImageTooLargeError, "Save it smaller"),
    "400 megapixels": (png(20_000, 20_000, 8, 2), ImageTooLargeError, "Save it smaller"),
    "50 megapixels pass, but have no pixels": (
        png(10_000, 5_000, 1, 0),
        TruncatedImageError,
        "Upload it again",
    ),
} | {
    f"truncated {format}": (encode(PICTURE, format)[:-200], TruncatedImageError, "Upload it again")
    for format in ("PNG", "WEBP", "BMP", "GIF")
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("data", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_judged_is_refused(data: bytes, error: type[ImageError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        open_image(data)
    assert type(caught.value) is error


def test_pillows_own_guard_is_our_error_even_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLargeError, match="megapixels"):
            open_image(png(10_000, 10_000, 8, 2))


def test_a_large_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("was read"))
    with pytest.raises(ImageTooLargeError):
        open_image(path)


@pytest.mark.parametrize("name", ["missing.jpg", "."])
def test_a_path_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path / name)


@pytest.mark.filterwarnings("ignore")  # Pillow's own remarks on damaged metadata
@pytest.mark.parametrize(
    "damage",
    [
        lambda data, rng: data[: rng.integers(1, len(data))],
        lambda data, rng: _scribble(data, rng, len(data)),
        lambda data, rng: _scribble(data, rng, 60),
    ],
    ids=["cut", "scribbled anywhere", "scribbled on the header"],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_damage_never_raises_anything_else(
    format: str, damage: Callable[[bytes, np.random.Generator], bytes]
) -> None:
    data = encode(PICTURE, format)
    rng = np.random.default_rng(0)
    for _ in range(40):
        try:
            rgb = open_image(damage(data, rng))
        except ImageError:
            continue
        assert rgb.ndim == 3


def _scribble(data: bytes, rng: np.random.Generator, within: int) -> bytes:
    changed = bytearray(data)
    for position in rng.integers(0, min(within, len(data)), 4):
        changed[position] = rng.integers(0, 256)
    return bytes(changed)


@pytest.mark.parametrize(
    ("width", "height", "ratio", "box"),
    [
        (600, 450, 1.2, (30, 0, 570, 450)),
        (450, 600, 1.2, (0, 30, 450, 570)),
        (200, 150, 1.2, (10, 0, 190, 150)),
        (512, 512, 1.2, (0, 0, 512, 512)),
        (600, 500, 1.2, (0, 0, 600, 500)),
        (600, 450, 1.0, (75, 0, 525, 450)),
        (600, 100, 1.15, (242, 0, 357, 100)),  # 100 * 1.15 is 114.99...
        (5, 2, 1.2, (1, 0, 3, 2)),
        (1, 1, 1.2, (0, 0, 1, 1)),
        (1000, 1, 1.2, (499, 0, 500, 1)),
    ],
)
def test_crop_box(width: int, height: int, ratio: float, box: tuple[int, int, int, int]) -> None:
    assert crop_box(width, height, ratio) == box


SMALL = Preprocessing(size=4, max_aspect_ratio=1.0, mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0))


def test_prepare_crops_then_averages() -> None:
    """Pinned: a changed filter or crop would silently unfit every released model."""
    rgb = np.zeros((8, 12, 3), np.uint8)
    rgb[:, :2] = rgb[:, 10:] = 255  # outside the centre crop
    rgb[..., 1] = np.arange(12) * 20
    rgb[:, 6, 2] = 200
    prepared = prepare(rgb, SMALL)
    assert prepared.shape == (4, 4, 3)
    assert prepared.dtype == np.uint8
    assert prepared[..., 0].max() == 0
    assert (prepared == prepared[:1]).all()
    assert prepared[0, :, 1].tolist() == [54, 90, 130, 166]
    assert prepared[0, :, 2].tolist() == [0, 25, 75, 0]


def test_prepare_enlarges_and_squashes() -> None:
    preprocessing = Preprocessing(4, 2.0, (0, 0, 0), (1, 1, 1))
    rgb = np.zeros((1, 2, 3), np.uint8)
    rgb[0, 1] = 200
    assert prepare(rgb, preprocessing)[..., 0].tolist() == [[0, 50, 150, 200]] * 4


def test_normalise_puts_channels_first() -> None:
    prepared = np.zeros((2, 4, 4, 3), np.uint8)
    prepared[1, 2, 3] = (255, 51, 0)
    tensor = normalise(prepared, SMALL)
    assert tensor.shape == (2, 3, 4, 4)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert tensor[0, :, 0, 0] == pytest.approx([-2, -1, -0.5])
    assert tensor[1, :, 2, 3] == pytest.approx([2, -0.6, -0.5])
    assert (normalise(prepared[1], SMALL) == tensor[1:]).all()


def test_normalise_wants_what_prepare_gives() -> None:
    with pytest.raises(ValueError, match=r"wanted \(\.\.\., 4, 4, 3\)"):
        normalise(np.zeros((5, 5, 3), np.uint8), SMALL)


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [((300, 400), 200, (150, 200)), ((400, 300), 401, (400, 300)), ((1, 900), 100, (1, 100))],
)
def test_shrink(shape: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    rgb = np.full((*shape, 3), 77, np.uint8)
    small = shrink(rgb, side)
    assert small.shape == (*expected, 3)
    assert (small == 77).all()
