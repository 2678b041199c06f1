"""A JPEG file's markers: what kind it is, what decoding it would cost, and signs of damage.

libjpeg only warns of damage and goes on with grey, and Pillow does not pass its warnings on. So
they are asked for once more, and signs of which it does not warn are looked for in the markers, in
the coded data (``damage``) and in the pixels (``grey_blocks``). Terms as in ITU-T T.81.
"""

import re
import struct
from dataclasses import dataclass, field

import numpy as np
import simplejpeg

from mel_demo.errors import NotAnImageError
from mel_demo.image_files.limits import (
    MAX_PARTS,
    MAX_SAMPLES_HELD,
    MAX_SAMPLES_VISITED,
    MAX_SCANS,
    check_count,
    check_size,
)

_EOI, _SOS, _DHT, _DQT, _DNL, _DRI = 0xD9, 0xDA, 0xC4, 0xDB, 0xDC, 0xDD
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_LOSSLESS = frozenset((0xC3, 0xC7, 0xCB, 0xCF))
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
# Tables, another scan, the number of lines, comments and the end: nothing else follows a scan.
_AFTER_A_SCAN = frozenset((_EOI, _SOS, _DHT, _DQT, _DNL, _DRI, 0xFE, *range(0xE0, 0xF0)))
# Zeros and 0xFF before a marker fill up; cameras write both.
_NEXT = re.compile(rb"\0*\xff+(?=[^\0\xff])")
_SCAN_ENDS = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_RESTARTS = re.compile(rb"\xff([\xd0-\xd7])")
# Of zero bytes in a row: a whole block of coefficients that are all -1, which no picture has.
_ZEROS = bytes(48)
# Bits that correct coefficients of blocks without new ones may be zeros; encoders hold back at most
# 1,000 of them.
_CORRECTING_ZEROS = bytes(128)
_END_OF_BLOCK = 0  # as a DC symbol: no difference
# Some encoders fill up to a round length. So many bytes are no sign of damage where it cannot be
# told whether the picture needs them.
_BEHIND = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_MOST_FILLED, _FILLING = 16, {0, 255}
_BROKEN_OFF = "its data is broken off by a marker that does not belong there"
_STRAY = "between its parts are bytes that belong to none of them"
_ZEROED = "a part of its data is zeros"
_PADDING = bytes(3)  # of two one may be data, and one stand behind a 0xFF of data
_CHEAP = MAX_SAMPLES_VISITED // 5
_GREY = 128


@dataclass
class Scan:
    """``components``: by id, with their DC and AC table. ``first``: of each table the symbol whose
    code is zeros. ``head``: its own header behind all tables that stand between it and the scan
    before. ``start``, ``stop``: where its coded data lies in the file."""

    components: dict[int, tuple[int, int]]
    spectrum: tuple[int, int]
    high: int
    low: int
    first: dict[tuple[int, int], int]
    restart_interval: int
    head: bytes
    start: int
    stop: int = 0


@dataclass
class Jpeg:
    """``samplings``: of each component id its horizontal and vertical sampling factor. ``fault``:
    what is wrong with its segments, in words; ``lines_later``: whether the number of lines follows
    the first scan; ``ended``: whether the end marker was reached."""

    kind: int = 0
    precision: int = 8
    width: int = 0
    height: int = 0
    samplings: dict[int, tuple[int, int]] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)
    fault: str | None = None
    lines_later: bool = False
    ended: bool = False

    @property
    def progressive(self) -> bool:
        return self.kind in _PROGRESSIVE


def read(data: bytes) -> Jpeg:
    """Go through the markers of the first picture in ``data``, which begins with a JPEG's.

    Stops where they make no sense any more. Raises ImageTooLargeError above MAX_SCANS or MAX_PARTS.
    """
    tables: dict[tuple[int, int], int] = {}
    found, interval, position, count = Jpeg(), 0, 2, 0
    needed: list[bytes] = []
    while position + 4 <= len(data):
        marker_at = _NEXT.match(data, position)
        if marker_at is None:
            found.fault = found.fault or _STRAY
            break
        position = marker_at.end() - 1
        marker, count = data[position + 1], count + 1
        check_count("JPEG segments", count, MAX_PARTS)
        if marker == _EOI:
            found.ended = True
            break
        if position + 4 > len(data):
            break
        start, (length,) = position + 4, struct.unpack_from(">H", data, position + 2)
        body = data[start : position + 2 + length]
        segment = data[position : position + 2 + length]
        position += 2 + length
        try:
            if marker in _FRAMES and not found.kind:
                found.kind = marker
                found.precision, found.height, found.width = struct.unpack_from(">BHH", body)
                for one in range(6, 6 + 3 * body[5], 3):
                    found.samplings[body[one]] = body[one + 1] >> 4, body[one + 1] & 15
                needed.append(segment)
            elif marker == _DHT:
                tables = tables | _first_symbols(body)
                needed.append(segment)
            elif marker == _DQT:
                if not _dividing(body):
                    found.fault = "a table in its header has zeros"
                needed.append(segment)
            elif marker == _DRI:
                (interval,) = struct.unpack_from(">H", body)
                needed.append(segment)
            elif marker == _DNL:
                found.lines_later = True
            elif marker == _SOS:
                end = 1 + 2 * body[0]
                components = {
                    body[one]: (body[one + 1] >> 4, body[one + 1] & 15) for one in range(1, end, 2)
                }
                low, high, bits = body[end : end + 3]
                if not found.progressive:  # these mean nothing there, and some writers put zeros
                    low, high, bits = 0, 63, 0
                needed.append(segment[: 4 + end] + bytes((low, high, bits)))
                scan = Scan(
                    components,
                    (low, high),
                    bits >> 4,
                    bits & 15,
                    tables,
                    interval,
                    b"".join(needed),
                    position,
                )
                needed.clear()
                found.scans.append(scan)
                check_count("progressive scans", len(found.scans), MAX_SCANS)
                ends = _SCAN_ENDS.search(data, position)
                scan.stop = position = ends.start() if ends else len(data)
                if ends and data[position + 1] not in _AFTER_A_SCAN:
                    found.fault = _BROKEN_OFF
                    break
        except (IndexError, ValueError, struct.error):
            found.fault = "a part of its header makes no sense"
            break
    # The end marker is two bytes, where a segment has at least four.
    found.ended = found.ended or data[position : position + 2] == b"\xff\xd9"
    return found


def check(jpeg: Jpeg) -> None:
    """Refuse what cannot be decoded, or would cost too much.

    Raises NotAnImageError with the true reason, or ImageTooLargeError.
    """
    if jpeg.kind in _LOSSLESS:
        raise _kind_error("a lossless")
    if jpeg.kind in _ARITHMETIC:
        raise _kind_error("an arithmetic-coded")
    if jpeg.precision != 8:
        raise _kind_error(f"a {jpeg.precision}-bit")
    if jpeg.lines_later and not jpeg.height:
        raise NotAnImageError(
            "The JPEG says only behind its data how many lines it has (DNL), which cannot be read "
            "here. Save it anew as JPEG, or as PNG."
        )
    check_size(jpeg.width, jpeg.height, "JPEG")
    if jpeg.progressive or len(jpeg.scans) > 1:
        held = sum(_samples(jpeg).values())
        check_count("coefficients to hold at once", held, MAX_SAMPLES_HELD)
        check_count(
            f"samples to go through in {len(jpeg.scans)} scans",
            _visited(jpeg),
            MAX_SAMPLES_VISITED,
        )


def check_part(jpeg: Jpeg) -> None:
    """Raises NotAnImageError of a TIFF's strip or tile that is no sequential JPEG (TIFF 6.0,
    Technical Note 2)."""
    if jpeg.progressive or len(jpeg.scans) > len(jpeg.samplings):
        raise NotAnImageError(
            "The TIFF holds progressive JPEGs, which cannot be read here. Save it as JPEG."
        )


def damage(data: bytes, jpeg: Jpeg) -> str | None:
    """What in the file's build and in libjpeg's warnings says that it is damaged, in words; None
    where nothing does.

    libjpeg decodes the picture to an eighth, 1 to 2 ms for 600 x 450 pixels. A progressive file
    near the limits is not gone through twice: of its coded data less is known.
    """
    if jpeg.fault:
        return jpeg.fault
    for scan in jpeg.scans:
        coded = data[scan.start : scan.stop]
        numbers = [match[0] & 7 for match in _RESTARTS.findall(coded)]
        if numbers != [number % 8 for number in range(len(numbers))]:
            return "parts of its data are missing or exchanged"
        if numbers and not scan.restart_interval:
            return _BROKEN_OFF
        proof = _zeros_that_prove(jpeg, scan)
        if proof and proof in coded.rstrip(b"\0"):
            return _ZEROED
    if jpeg.ended and not _complete(jpeg):
        return "parts of its data are missing"
    return _damaged_code(data, jpeg)


def _damaged_code(data: bytes, jpeg: Jpeg) -> str | None:
    """Damage by libjpeg's warnings, and zeros at the end of scans.

    Zeros are padding where the scans have all their blocks without them. Where a scan needs some of
    them, the picture may be flat there or its end lost.
    """
    cheap = not jpeg.progressive or _visited(jpeg) <= _CHEAP
    warned = _warned(_bare(data, jpeg, padded=False)) if cheap else None
    if warned is False:
        return None
    for scan in jpeg.scans:
        proof = _zeros_that_prove(jpeg, scan)
        if proof and data.endswith(proof, scan.start, scan.stop):
            return _ZEROED
    padded = any(data.endswith(_PADDING, scan.start, scan.stop) for scan in jpeg.scans)
    if warned and (not padded or _warned(_bare(data, jpeg, padded=True))):
        return "some of its data makes no sense"
    return None


def _bare(data: bytes, jpeg: Jpeg, padded: bool) -> bytes:
    """The picture without whatever its coefficients do not depend on, and ``padded`` with the zeros
    that end its scans or without them.

    libjpeg tells only its first warning. Of a strange version of JFIF it should tell none.
    """
    parts = [b"\xff\xd8"]
    for scan in jpeg.scans:
        coded = data[scan.start : scan.stop]
        if not padded and coded.endswith(_PADDING):
            coded = coded.rstrip(b"\0")
            coded += b"\0" * coded.endswith(b"\xff")  # which is data only with a zero behind it
        parts += [scan.head, coded]
    return b"".join((*parts, b"\xff\xd9"))


def _warned(bare: bytes) -> bool | None:
    """Whether libjpeg warns of data that makes no sense; None where TurboJPEG does not take the
    file, as of rare samplings."""
    try:
        simplejpeg.decode_jpeg(
            bare, "GRAY", fastdct=True, min_height=1, min_width=1, min_factor=8, strict=True
        )
    except ValueError as error:
        filled = _BEHIND.search(str(error))
        if filled is not None and int(filled[1]) <= _MOST_FILLED:
            return not set(bare[-2 - int(filled[1]) : -2]) <= _FILLING
        return True if "Corrupt JPEG data" in str(error) else None
    return False


def grey_blocks(pixels: np.ndarray) -> np.ndarray:
    """Which blocks of 8 x 8 pixels are the plain grey that libjpeg fills in for lost data.

    ``pixels``: uint8 (height, width) or (height, width, 3), as decoded. Returns bool (rows,
    columns); a row that is cut off at the bottom counts where its last line is grey.
    """
    height, width = pixels.shape[:2]
    pixels = pixels.reshape(height, width, -1)
    lines = np.minimum(np.arange(4, height + 4, 8), height - 1)
    grey: np.ndarray = pixels[lines, 4::8, 0] == _GREY
    rows, columns = np.nonzero(grey)
    grey[rows, columns] = (pixels[lines[rows], 8 * columns + 4] == _GREY).all(-1)
    if grey.any():
        whole = (pixels == _GREY).all(-1)
        across = np.add.reduceat(~whole, np.arange(0, grey.shape[1] * 8, 8), axis=1)
        down = np.add.reduceat(across, np.arange(0, height // 8 * 8 or 1, 8), axis=0)
        full = min(len(down), height // 8)
        grey[:full] &= down[:full] == 0
        if full < len(grey):
            grey[full:] &= across[-1] == 0
    return grey


def lost(grey: np.ndarray) -> bool:
    """Whether grey blocks (see ``grey_blocks``) stand for lost data, and are no margin.

    Data is lost from inside a row on: of that row the end is grey, of the next everything (two rows
    of blocks may be one of the file's). A margin begins with a row, or goes down one side.
    """
    (ends,) = np.nonzero(grey[:, -1:].any(1))  # pictures narrower than a block have no columns
    if not len(ends):
        return False
    first = grey[ends[0]]
    side = ends[0] + 2 < len(grey) and np.array_equal(first, grey[ends[0] + 2])
    return bool(not first[0] and not side)


def _kind_error(kind: str) -> NotAnImageError:
    return NotAnImageError(
        f"The file is {kind} JPEG, which cannot be read here. Save it as an ordinary (8-bit "
        "baseline) JPEG, or as PNG."
    )


def _first_symbols(body: bytes) -> dict[tuple[int, int], int]:
    """Of every table in a DHT segment, by class (0 DC, 1 AC) and id, its shortest code's symbol."""
    found, position = {}, 0
    while position + 17 < len(body):
        where = body[position]
        found[where >> 4, where & 15] = body[position + 17]
        position += 17 + sum(body[position + 1 : position + 17])
    return found


def _dividing(body: bytes) -> bool:
    """Whether all numbers of the tables in a DQT segment are above zero, as they have to be."""
    position = 0
    while position < len(body):
        wide = body[position] >> 4
        if 0 in struct.unpack_from(">64H" if wide else "64B", body, position + 1):
            return False
        position += 129 if wide else 65
    return True


def _samples(jpeg: Jpeg) -> dict[int, int]:
    """Coefficients of every component."""
    most_across = max((across for across, _ in jpeg.samplings.values()), default=1) or 1
    most_down = max((down for _, down in jpeg.samplings.values()), default=1) or 1
    pixels = jpeg.width * jpeg.height
    return {
        one: pixels * across * down // (most_across * most_down)
        for one, (across, down) in jpeg.samplings.items()
    }


def _visited(jpeg: Jpeg) -> int:
    """Coefficients that the scans go through, all together."""
    samples = _samples(jpeg)
    return sum(samples.get(one, 0) for scan in jpeg.scans for one in scan.components)


def _zeros_that_prove(jpeg: Jpeg, scan: Scan) -> bytes | None:
    """So many zero bytes in a row as no whole scan has; None where they may stand for an area of
    one colour.

    Sequential: the AC code of zeros ends the block. Progressive: the DC code of zeros is that of no
    difference, and DC is refined by bits without codes. Ends of blocks are never written one by one
    in a scan of AC coefficients.
    """
    if jpeg.progressive and scan.spectrum[0] > 0:
        return _CORRECTING_ZEROS if scan.high else _ZEROS
    if scan.high:
        return None
    kind = 0 if jpeg.progressive else 1
    tables = [(kind, pair[kind]) for pair in scan.components.values()]
    flat = all(scan.first.get(table, _END_OF_BLOCK) == _END_OF_BLOCK for table in tables)
    return None if flat else _ZEROS


def _complete(jpeg: Jpeg) -> bool:
    """Whether the scans hold every bit of every coefficient, each refining what is there."""
    lowest: dict[int, list[int | None]] = {one: [None] * 64 for one in jpeg.samplings}
    for scan in jpeg.scans:
        start, stop = scan.spectrum
        for one in scan.components:
            if one not in lowest:
                continue
            known = lowest[one]
            if (start and known[0] is None) or any(
                (bits or 0) != scan.high for bits in known[start : stop + 1]
            ):
                return False
            known[start : stop + 1] = [scan.low] * (stop + 1 - start)
    return not any(bits != 0 for known in lowest.values() for bits in known)
