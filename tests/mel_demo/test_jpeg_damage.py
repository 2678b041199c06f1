"""A damaged JPEG is refused, a whole one never is; other kinds of JPEG are named."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mel_demo.errors import NotAnImageError, TruncatedImageError
from mel_demo.image_files import jpeg
from mel_demo.images import open_image, read_image
from tests.support.textured import PICTURE, encode, textured

EXAMPLES = sorted((Path(__file__).parents[2] / "mel_demo/ui/examples").glob("*.jpg"))

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


PADDINGS = [bytes(10), b"\xff" * 10, bytes(40), bytes(3000), b"\xff" * 3000]


@pytest.mark.parametrize("padding", PADDINGS, ids=lambda padding: f"{padding[0]} x {len(padding)}")
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_a_jpeg_filled_up_to_a_round_length_is_whole(options: dict, padding: bytes) -> None:
    """Behind every scan, and between its tables."""
    data = encode(PICTURE, **options)
    filled, done = b"", 0
    for scan in jpeg.read(data).scans:
        filled += data[done : scan.stop] + padding
        done = scan.stop
    filled = filled + data[done:]
    frame = filled.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    filled = filled[:frame] + padding + filled[frame:]
    assert (open_image(filled) == open_image(data)).all()


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_zeros_in_place_of_a_scans_end_are_no_padding(options: dict) -> None:
    data = encode(PICTURE, **options)
    _, stop = coded(data)
    with pytest.raises(TruncatedImageError, match="The JPEG is damaged"):
        open_image(data[: stop - 600] + bytes(600) + data[stop:])


HARMLESS = {
    "JFIF of another version": lambda data: data.replace(b"JFIF\0\1", b"JFIF\0\2", 1),
    "Adobe's marker, unknown": lambda data: (
        data[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x07" + data[2:]
    ),
    "a spectrum of nothing": lambda data: data.replace(b"\3\x11\0\x3f\0", b"\3\x11\0\0\0", 1),
    "padding before a table": lambda data: data.replace(b"\xff\xc4", bytes(9) + b"\xff\xc4", 1),
}


@pytest.mark.parametrize("harmless", HARMLESS.values(), ids=HARMLESS)
def test_what_is_harmless_hides_no_damage(harmless: Callable[[bytes], bytes]) -> None:
    """libjpeg tells only the first of its warnings."""
    data = encode(PICTURE, quality=85)
    assert harmless(data) != data
    open_image(harmless(data))
    with pytest.raises(TruncatedImageError, match="makes no sense"):
        open_image(harmless(foreign(data)))


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_a_header_with_zeros_or_noise_is_refused(options: dict) -> None:
    data = encode(PICTURE, **options)
    table = data.index(b"\xff\xdb") + 20
    with pytest.raises(TruncatedImageError, match="table in its header"):
        open_image(data[:table] + bytes(9) + data[table + 9 :])
    frame = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    with pytest.raises(TruncatedImageError, match="belong to none"):
        open_image(data[:frame] + b"noise" + data[frame:])


def test_zeros_in_a_refinement_are_no_picture() -> None:
    data = encode(textured((640, 480)), progressive=True, quality=95)
    scan = max(
        (one for one in jpeg.read(data).scans if one.high), key=lambda one: one.stop - one.start
    )
    assert scan.spectrum[0] > 0
    middle = (scan.start + scan.stop) // 2
    with pytest.raises(TruncatedImageError, match="zeros"):
        open_image(data[:middle] + bytes(512) + data[middle + 512 :])


def test_a_scan_that_refines_what_is_not_there_is_refused() -> None:
    data = encode(PICTURE, progressive=True)
    scans = jpeg.read(data).scans
    one = next(at for at, scan in enumerate(scans) if scan.spectrum[0] and not scan.high)
    start, stop = scans[one - 1].stop, scans[one].stop
    with pytest.raises(TruncatedImageError, match="missing"):
        open_image(data[:start] + data[stop:])


def test_a_jpeg_that_says_its_height_later_is_named() -> None:
    data = encode(PICTURE)
    height, (_, stop) = data.index(b"\xff\xc0") + 5, coded(data)
    later = b"\xff\xdc\0\4" + data[height : height + 2]
    data = data[:height] + bytes(2) + data[height + 2 : stop] + later + data[stop:]
    with pytest.raises(NotAnImageError, match=r"how many lines.*Save it anew as JPEG"):
        open_image(data)


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


def in_tiff(change: Callable[[bytes], bytes]) -> bytes:
    """A TIFF whose first strip, a JPEG without tables, is changed."""
    data = encode(PICTURE, "TIFF", compression="jpeg", quality=90)
    with Image.open(io.BytesIO(data)) as image:
        start, length = image.tag_v2[273][0], image.tag_v2[279][0]
    part = change(data[start : start + length])
    return data[:start] + part.ljust(length, b"\0") + data[start + length :]


@pytest.mark.parametrize("damage", [foreign, zeroed(0.3, 512)], ids=["foreign", "zeros"])
def test_damage_in_a_tiffs_jpeg_is_found(damage: Callable[[bytes], bytes]) -> None:
    open_image(in_tiff(lambda part: part))
    with pytest.raises(TruncatedImageError, match="The JPEG in the TIFF is damaged"):
        open_image(in_tiff(damage))


def test_a_tiff_of_progressive_jpegs_is_refused() -> None:
    with pytest.raises(NotAnImageError, match=r"holds progressive JPEGs"):
        open_image(in_tiff(lambda _: encode(PICTURE, progressive=True)))


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
        (0xC3, 8, "is a lossless JPEG"),
        (0xC7, 8, "is a lossless JPEG"),
        (0xC9, 8, "is an arithmetic-coded JPEG"),
        (0xCA, 8, "is an arithmetic-coded JPEG"),
        (0xC1, 12, "12-bit JPEG"),
    ],
)
def test_jpegs_of_other_kinds_are_named(marker: int, precision: int, says: str) -> None:
    with pytest.raises(NotAnImageError, match=says):
        open_image(kind_of(marker, precision))
