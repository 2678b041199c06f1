"""Containers whose decoders neither check their data nor bound their work by themselves.

WebP and the AVIF and HEIC family have no checksums, but their coding leaves no long run of zeros;
that of lossless WebP does, for areas of one colour, so that nothing is said of it. Their decoders
say nothing of data that can be decoded, and pillow-heif has no strict mode.
GIF and BMP cost Pillow's Python a step a block.
"""

import struct

from mel_demo.errors import TruncatedImageError
from mel_demo.image_files.limits import MAX_PARTS, MAX_RUN_LENGTH_BYTES, check_count

# Sectors are lost by 512 bytes and more; a run this long is none that a coder writes.
_ZEROS = bytes(128)


def check_webp(data: bytes) -> None:
    """Raises TruncatedImageError where a part of the coded picture is zeros."""
    position, count = 12, 0
    while position + 8 <= len(data) and count < MAX_PARTS:
        kind, (length,) = (
            data[position : position + 4],
            struct.unpack_from("<I", data, position + 4),
        )
        if kind == b"VP8 ":
            _check_zeros(data, position + 8, position + 8 + length)
        position, count = position + 8 + length + length % 2, count + 1


def check_boxes(data: bytes) -> None:
    """The same of AVIF and HEIC, whose coded picture lies in a box named mdat."""
    position = 0
    while position + 8 <= len(data):
        (length,), kind = (
            struct.unpack_from(">I", data, position),
            data[position + 4 : position + 8],
        )
        if kind == b"mdat":
            _check_zeros(data, position + 8, position + length if length > 1 else len(data))
        if length < 8:
            break
        position += length


def code_points(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer of ITU-T H.273 in an AVIF or HEIC's first colour box of that kind."""
    position = data.find(b"colrnclx")
    if position < 0 or position + 12 > len(data):
        return None
    primaries, transfer = struct.unpack_from(">HH", data, position + 8)
    return primaries, transfer


def check_gif(data: bytes) -> None:
    """Bounds the blocks before the first picture, and finds zeros in its coded data."""
    if len(data) < 13:
        return
    flags, position, count = data[10], 13, 0
    position += 3 << ((flags & 7) + 1) if flags & 0x80 else 0
    while position + 2 < len(data) and data[position] == 0x21:
        position += 2
        while position < len(data) and data[position]:
            position, count = position + 1 + data[position], count + 1
            check_count("GIF blocks before its picture", count, MAX_PARTS)
        position += 1
    _check_zeros(data, position, len(data))


def check_bmp(data: bytes) -> None:
    """Bounds what is coded in run lengths."""
    if len(data) >= 34 and struct.unpack_from("<I", data, 30)[0] in (1, 2):
        check_count("bytes of run lengths", len(data), MAX_RUN_LENGTH_BYTES)


def _check_zeros(data: bytes, start: int, stop: int) -> None:
    if data.find(_ZEROS, start, min(stop, len(data))) >= 0:
        raise TruncatedImageError(
            "The picture is damaged: a part of its data is zeros. Copy it again from where it "
            "came, or upload it again."
        )
