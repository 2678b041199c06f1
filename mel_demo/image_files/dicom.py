"""The first frame of a DICOM file (VL dermoscopic and other pictures), and nothing of its header.

Needs pydicom (the extra ``dicom``). A header holds names and dates of birth: no value of it is
shown, logged, put in an error or kept. Terms as in DICOM PS3.3.
"""

import io
import logging
import re
import struct
import warnings
from typing import Any

import numpy as np

from mel_demo.errors import NotAnImageError, TruncatedImageError
from mel_demo.image_files.limits import (
    MAX_HEADER_BYTES,
    MAX_RUN_LENGTH_BYTES,
    check_count,
    check_size,
)

_DAMAGED = "The DICOM file is damaged, or holds no picture. Export it again, or save it as JPEG."
_BASELINE_JPEG = ("1.2.840.10008.1.2.4.50",)
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_PLAIN = (
    "1.2.840.10008.1.2",  # implicit and explicit, little and big endian
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
)
_RUN_LENGTHS = "1.2.840.10008.1.2.5"
_DEFLATED = "1.2.840.10008.1.2.1.99"
"""The whole of such a file would be inflated before anything of it is known."""
_PIXELS = 0x7FE00010
_PIXELS_STORED = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
_MARKERS = 200  # bytes from a JPEG's beginning in which it says what its components are
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")


def is_dicom(data: bytes) -> bool:
    """Whether the file has DICOM's preamble."""
    return data[128:132] == b"DICM"


def first_frame(data: bytes) -> tuple[bytes | np.ndarray, bytes | None, int]:
    """The first frame, its ICC profile, and how many frames there are.

    The frame is a JPEG or JPEG 2000 file where it is stored as one, else uint8 (height, width, 3).
    Raises NotAnImageError, TruncatedImageError or ImageTooLargeError.
    """
    try:
        from pydicom.encaps import get_frame
        from pydicom.filereader import read_partial
        from pydicom.pixels.processing import apply_color_lut
        from pydicom.pixels.utils import pixel_array
    except ImportError:
        raise NotAnImageError(
            "The file is a DICOM picture, which is read only where pydicom is installed: pip "
            "install pydicom. Or export it as JPEG."
        ) from None
    # pydicom's log and its warnings quote values of the header.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom")
    start = max(data[: MAX_HEADER_BYTES + 4].find(tag) for tag in _PIXELS_STORED)
    if start < 0:
        check_count("bytes before its picture", len(data), MAX_HEADER_BYTES)
        raise TruncatedImageError(_DAMAGED)
    if _DEFLATED.encode() in data:
        raise _compressed(_DEFLATED)
    # Whatever is wrong with a header, pydicom's readers let slips of their own code through, with
    # values of it in their messages: hence none is passed on.
    try:
        # What follows the pixels is not read.
        header = read_partial(io.BytesIO(data), stop_when=lambda tag, *_: tag > _PIXELS)
        syntax = str(header.file_meta.TransferSyntaxUID)
        colours, bits = str(header.PhotometricInterpretation), int(header.BitsAllocated)
        height, width = int(header.Rows), int(header.Columns)
        frames = int(header.get("NumberOfFrames") or 1)
        stored = bytes(header.PixelData)
        used = int(header.get("BitsStored") or bits)
        plain = (
            not header.get("PixelRepresentation") and header.get("HighBit", used - 1) == used - 1
        )
    except Exception:  # noqa: BLE001
        raise TruncatedImageError(_DAMAGED) from None
    check_size(width, height, "JPEG2000" if syntax in _JPEG_2000 else "TIFF")
    if colours not in _COLOURS or bits not in (8, 16):
        raise NotAnImageError(
            "The DICOM picture is not in colour. Use a colour picture taken with a dermatoscope."
        )
    if not plain or (syntax in _JPEG_2000 and colours.startswith("YBR_FULL")):
        raise NotAnImageError(
            "The DICOM picture stores its levels or colours in a way that cannot be read here. "
            "Export it as JPEG."
        )
    if syntax == _RUN_LENGTHS:
        check_count("bytes of run lengths", len(stored), MAX_RUN_LENGTH_BYTES)
    elif syntax not in (*_BASELINE_JPEG, *_JPEG_2000, *_PLAIN):
        raise _compressed(syntax)
    try:
        profile = _profile(header)
        if syntax in (*_BASELINE_JPEG, *_JPEG_2000):
            frame = get_frame(stored, 0, number_of_frames=frames)
            if syntax in _BASELINE_JPEG and colours == "RGB":
                frame = _without_luma(frame)
            return frame, profile, frames
        pixels = pixel_array(header, index=0)  # RGB also of luma and chroma
        if colours == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, header)
            # Entries of 16 bits, which may hold levels of 8.
            used = 16 if pixels.max() > 255 else 8
    except Exception:  # noqa: BLE001
        raise TruncatedImageError(_DAMAGED) from None
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels.astype(np.int32) >> max(0, used - 8), 0, 255).astype(np.uint8)
    if pixels.shape != (height, width, 3):
        raise TruncatedImageError(_DAMAGED)
    return np.ascontiguousarray(pixels), profile, frames


def _compressed(syntax: str) -> NotAnImageError:
    # Only what is DICOM's own number: a damaged header may have anything in its place.
    name = f" ({syntax})" if re.fullmatch(r"1\.2\.840\.10008\.[\d.]+", syntax) else ""
    return NotAnImageError(
        f"The DICOM picture is compressed in a way that cannot be read here{name}. Export it "
        "uncompressed, or as JPEG."
    )


def _without_luma(frame: bytes) -> bytes:
    """A JPEG of red, green and blue that says so; one that says anything itself is left alone.

    By Adobe's marker, transform 0, as in ITU-T T.872, 6.5.3: without it three components mean luma
    and chroma to a decoder.
    """
    says = any(name in frame[:_MARKERS] for name in (b"JFIF\0", b"Adobe"))
    marker = b"\xff\xee" + struct.pack(">H5sHHHB", 14, b"Adobe", 100, 0, 0, 0)
    return frame if says else frame[:2] + marker + frame[2:]


def _profile(header: Any) -> bytes | None:
    """ICCProfile, at the top or of the first optical path."""
    for item in (header, *header.get("OpticalPathSequence", ())):
        if item.get("ICCProfile"):
            return bytes(item.ICCProfile)
    return None
