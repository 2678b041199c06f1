"""A TIFF's first picture: what its tags declare, before Pillow is asked.

Pillow reads 8-bit TIFF of every build, and 16-bit colour but for one build that it takes wrongly
(planes one after the other, not compressed). Terms as in TIFF 6.0.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from PIL import TiffImagePlugin

from mel_demo.errors import NotAnImageError
from mel_demo.image_files import colour
from mel_demo.image_files.limits import (
    MAX_JPEG_PARTS,
    MAX_PARTS,
    MAX_PIXELS_OF,
    MAX_TAG_BYTES,
    MAX_TAGS,
    check_count,
    check_size,
)

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
_LETTER = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _PLANAR = 256, 257, 258, 259, 277, 284
_STRIPS, _TILES, _FORMAT = 273, 324, 339
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_STRIP_BYTES, _TILE_BYTES, _JPEG_TABLES = 279, 325, 347
_JPEG, _DEFLATE = 7, (8, 32946)  # compressions
_PIECE = 1_000_000  # bytes that are inflated at once
_SUBFILE, _OLD_SUBFILE, _INTERPRETATION = 254, 255, 262
_WHITE_IS_ZERO, _LUMA = 0, 6  # of the photometric interpretation
_REDUCED, _MASK = 1, 4  # bits of what a picture is for
_DIRECTORIES = (0x8769, 0x8825, 0xA005, 330)
_UNSIGNED, _SIGNED = 1, 2
_FORMATS = {_UNSIGNED: "whole", _SIGNED: "signed", 3: "floating-point", 5: "complex", 6: "complex"}


@dataclass(frozen=True)
class Tiff:
    """``bits``: of the widest sample. ``parts``: strips or tiles. ``tile``: its width and height.
    ``reduced``: whether it is a thumbnail of another picture; ``more``: whether another picture
    follows that is none."""

    width: int
    height: int
    bits: int
    samples: int
    number_format: int
    compression: int
    interpretation: int
    planar: bool
    parts: int
    tile: tuple[int, int]
    reduced: bool
    more: bool = False

    def __str__(self) -> str:
        kind = _FORMATS.get(self.number_format, "unknown")
        colours = "grey values" if self.samples < 3 else "colours"
        if self.interpretation == _LUMA:
            colours = "luma and chroma"
        elif self.interpretation == _WHITE_IS_ZERO:
            colours += " with white as zero"
        planes = ", in separate planes" if self.planar and self.samples > 1 else ""
        return f"{self.bits}-bit {kind} numbers as {colours}{planes}"


def read(data: bytes) -> Tiff | None:
    """The tags of the first picture; None where they cannot be followed."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    offset = order + ("Q" if big else "I")
    try:
        (start,) = struct.unpack_from(offset, data, 8 if big else 4)
        found, end = _directory(data, start, order, big)
    except (struct.error, OverflowError):
        return None
    try:
        (following,) = struct.unpack_from(offset, data, end)
        return replace(
            found, more=bool(following) and not _directory(data, following, order, big)[0].reduced
        )
    except (struct.error, OverflowError):
        return found


def _directory(data: bytes, start: int, order: str, big: bool) -> tuple[Tiff, int]:
    """What a directory says, and where it ends."""
    count_form, entry_form, entry_size = ("Q", "HHQ", 20) if big else ("H", "HHI", 12)
    values: dict[int, tuple[int, ...]] = {}
    counts: dict[int, int] = {}
    (entries,) = struct.unpack_from(order + count_form, data, start)
    start += struct.calcsize(count_form)
    for at in range(start, start + entry_size * min(entries, 1000), entry_size):
        tag, kind, count = struct.unpack_from(order + entry_form, data, at)
        counts[tag] = count
        if kind not in _LETTER or count > 64:
            continue
        place = at + struct.calcsize("=" + entry_form)
        if _BYTES[kind] * count > (8 if big else 4):
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
        values[tag] = struct.unpack_from(f"{order}{count}{_LETTER[kind]}", data, place)

    def first(tag: int, otherwise: int) -> int:
        return values.get(tag, (otherwise,))[0] if values.get(tag, (0,)) else otherwise

    found = Tiff(
        width=first(_WIDTH, 0),
        height=first(_HEIGHT, 0),
        bits=max(values.get(_BITS) or (1,)),
        samples=first(_SAMPLES, 1),
        number_format=max(values.get(_FORMAT) or (1,)),
        compression=first(_COMPRESSION, 1),
        interpretation=first(_INTERPRETATION, 1),
        planar=first(_PLANAR, 1) == 2,
        parts=max(counts.get(_STRIPS, 0), counts.get(_TILES, 0)),
        tile=(first(_TILE_WIDTH, 0), first(_TILE_HEIGHT, 0)),
        reduced=bool(first(_SUBFILE, 0) & (_REDUCED | _MASK)) or first(_OLD_SUBFILE, 1) == 2,
    )
    return found, start + entry_size * entries


def check(tiff: Tiff) -> None:
    """Refuse what Pillow reads wrongly or slowly: NotAnImageError, ImageTooLargeError."""
    check_size(tiff.width, tiff.height, "TIFF")
    # A tile is held as a whole, however small the picture.
    check_count("pixels in each tile", tiff.tile[0] * tiff.tile[1], MAX_PIXELS_OF["TIFF"])
    check_count("strips or tiles", tiff.parts, MAX_PARTS)
    if tiff.reduced:
        raise NotAnImageError(
            "The TIFF begins with a thumbnail, as a camera's raw files do (DNG, NEF): its full "
            "picture cannot be read here. Save it as JPEG."
        )
    if (
        (tiff.bits > 8 and tiff.samples > 1 and tiff.planar and tiff.compression == 1)
        or (tiff.bits > 8 and tiff.interpretation == _WHITE_IS_ZERO)
        or (tiff.bits <= 8 and tiff.number_format == _SIGNED)
        or (tiff.bits > 16 and tiff.number_format == _UNSIGNED)
        or (tiff.interpretation == _LUMA and tiff.compression == 1)
    ):
        raise unreadable(tiff)


def check_directories(data: bytes) -> None:
    """Bounds what Pillow copies of TIFF and EXIF directories, wherever they lie in the file.

    Raises ImageTooLargeError.
    """
    tags = 0
    for magic in MAGIC:
        start = data.find(magic)
        while start >= 0:
            tags += _check_directories(data, start, magic) + 1
            check_count("tags", tags, MAX_TAGS)
            start = data.find(magic, start + 4)


def _check_directories(data: bytes, base: int, magic: bytes) -> int:
    """How many tags a directory and those in it have."""
    order, big = "<" if magic[:1] == b"I" else ">", b"+" in magic
    offset_form, count_form, entry = ("Q", "Q", "HHQ") if big else ("I", "H", "HHI")
    size = struct.calcsize("=" + entry + offset_form)
    pending, held, tags = [base + (8 if big else 4)], 0, 0
    while pending and tags <= MAX_TAGS:
        try:
            (offset,) = struct.unpack_from(order + offset_form, data, pending.pop())
            (entries,) = struct.unpack_from(order + count_form, data, base + offset)
            first = base + offset + struct.calcsize(count_form)
            for at in range(first, first + size * min(entries, MAX_TAGS + 1), size):
                tag, kind, count = struct.unpack_from(order + entry, data, at)
                value, tags = count * _BYTES.get(kind, 0), tags + 1
                held += value if value < len(data) else 0
                if tag in _DIRECTORIES:
                    pending.append(at + struct.calcsize("=" + entry))
        except (struct.error, OverflowError):
            continue
        check_count("bytes in its tags", held, MAX_TAG_BYTES * len(data))
    return tags


def unreadable(tiff: Tiff) -> NotAnImageError:
    """Where a TIFF that is whole has a build that is not read."""
    return NotAnImageError(
        f"The TIFF stores {tiff} (compression {tiff.compression}), which cannot be read here. Save "
        "it as TIFF with 8-bit RGB colours, or as PNG."
    )


def jpegs(image: TiffImagePlugin.TiffImageFile, data: bytes) -> Iterator[bytes]:
    """Its strips or tiles as JPEG files, where they are coded as such.

    Raises ImageTooLargeError of more parts, or more bytes in them, than an honest file has.
    """
    if image.tag_v2.get(_COMPRESSION) != _JPEG:
        return
    tables = bytes(image.tag_v2.get(_JPEG_TABLES, b""))
    parts = _parts(image, data)
    check_count("JPEG strips or tiles", len(parts), MAX_JPEG_PARTS)
    for part in parts:
        yield tables.removesuffix(b"\xff\xd9") + bytes(part[2:]) if tables else bytes(part)


def check_sums(image: TiffImagePlugin.TiffImageFile, data: bytes) -> None:
    """Raises zlib.error of a deflated strip or tile with a wrong checksum, at which libtiff does
    not look, and ImageTooLargeError of far more bytes than the picture has."""
    if image.tag_v2.get(_COMPRESSION) not in _DEFLATE:
        return
    found, held = read(data), 0
    if found is None:
        return
    # Tiles reach beyond the picture's edges, and some writers fill up the last strip.
    pixels = (found.width + found.tile[0]) * (found.height + found.tile[1])
    most = 2 * pixels * found.samples * found.bits // 8 + _PIECE
    for part in _parts(image, data):
        stream, rest = zlib.decompressobj(), bytes(part)
        while rest and not stream.eof:
            held += len(stream.decompress(rest, _PIECE))
            check_count("bytes in its strips or tiles", held, most)
            rest = stream.unconsumed_tail
        if not stream.eof:
            raise zlib.error("cut off")


def _parts(image: TiffImagePlugin.TiffImageFile, data: bytes) -> list[memoryview]:
    tags = image.tag_v2
    starts = tags.get(_STRIPS) or tags.get(_TILES) or ()
    lengths = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES) or ()
    check_count("bytes in its strips or tiles", sum(lengths), len(data))
    view = memoryview(data)
    return [view[start : start + length] for start, length in zip(starts, lengths, strict=False)]


def conversion(image: TiffImagePlugin.TiffImageFile) -> colour.Conversion | None:
    """By the tags WhitePoint and PrimaryChromaticities; None without."""
    white, points = image.tag_v2.get(318), image.tag_v2.get(319)
    if not white or not points or len(white) != 2 or len(points) != 6 or image.mode != "RGB":
        return None
    numbers = [float(number) for number in (*points, *white)]
    return colour.by_chromaticities(tuple(zip(numbers[::2], numbers[1::2], strict=True)))
