"""A PNG's chunks: damage by their checksums, and the colours that Pillow passes over.

Terms and order of precedence as in PNG, third edition: cICP, iCCP, sRGB, then gAMA with cHRM.
"""

import struct
import zlib
from collections.abc import Sequence

from PIL import Image

from mel_demo.errors import NotAnImageError, TruncatedImageError
from mel_demo.image_files import colour
from mel_demo.image_files.limits import MAX_PARTS, check_count

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check(data: bytes) -> bytes | None:
    """The content of the cICP chunk, if there is one.

    Raises TruncatedImageError of a chunk with a wrong checksum, where it is one that the picture
    needs, and ImageTooLargeError of more than MAX_PARTS chunks.
    """
    code_points, position, count = None, len(SIGNATURE), 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, end = data[position + 4 : position + 8], position + 8 + length
        needed = kind[:1].isupper()
        if needed and end + 4 <= len(data):
            (wanted,) = struct.unpack_from(">I", data, end)
            if zlib.crc32(memoryview(data)[position + 4 : end]) != wanted:
                raise TruncatedImageError(
                    "The PNG is damaged: the checksum of a part of it does not fit. Copy it again "
                    "from where it came, or upload it again."
                )
        if kind == b"cICP" and length == 4:
            code_points = data[position + 8 : end]
        if kind == b"IEND":
            break
        position, count = end + 4, count + 1
        check_count("PNG chunks", count, MAX_PARTS)
    return code_points


def conversion(image: Image.Image, code_points: Sequence[int] | None) -> colour.Conversion | None:
    """What makes the picture sRGB, by chunks other than iCCP; None where those say nothing.

    Raises NotAnImageError of what is stored as video is.
    """
    if code_points is not None:
        if not code_points[3]:
            raise NotAnImageError(
                "The PNG is stored in the narrow range of video, which cannot be read here. Save "
                "it as an ordinary PNG or JPEG."
            )
        found = colour.by_code_points(code_points[0], code_points[1])
        if found is not None:
            return found
    if "icc_profile" in image.info or "srgb" in image.info:
        return None
    gamma, points = image.info.get("gamma"), image.info.get("chromaticity")
    if not gamma and not points:
        return None
    primaries = None
    if points:
        white, *colours = zip(points[::2], points[1::2], strict=True)
        primaries = (*colours, white)
    return colour.by_gamma(1 / gamma if gamma else 2.2, primaries)
