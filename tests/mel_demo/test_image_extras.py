"""HEIC and DICOM: read where their readers are installed, named where not; no header is shown."""

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mel_demo.batch import LeftOut, find_images, judge
from mel_demo.errors import ImageError, ImageTooLargeError, NotAnImageError, TruncatedImageError
from mel_demo.images import open_image, read_image
from mel_demo.rows import Sheet
from mel_demo.screening import Screener
from tests.support.lesions import draw_lesion

PICTURE = draw_lesion("mel", 1, (96, 64))
RGB = np.asarray(PICTURE)
NAME, BORN, ID = "Zuzanna^Private", "19610214", "SECRET-4711"
VL_DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
PLAIN, RUNS, JPEG, JPEG_2000 = (
    *("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"),
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"),
)


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where the extras are not installed."""
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] in ("pillow_heif", "pydicom")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pydicom", None)


HEIC_START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (HEIC_START, r"HEIC.*pip install pillow-heif.*Convert it to JPEG"),
        (bytes(128) + b"DICM" + bytes(40), r"DICOM.*pip install pydicom.*export it as JPEG"),
    ],
    ids=["HEIC", "DICOM"],
)
def test_what_is_not_installed_is_named(data: bytes, says: str) -> None:
    with pytest.raises(NotAnImageError, match=says):
        open_image(data)


def heic(image: Image.Image) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    return encode(image, "HEIF", quality=95)


def test_heic_is_read() -> None:
    assert np.abs(open_image(heic(PICTURE)).astype(int) - RGB).mean() < 3


def test_a_damaged_heic_is_one() -> None:
    whole = heic(PICTURE)
    for data in (HEIC_START, whole[: len(whole) // 2]):
        with pytest.raises(TruncatedImageError):
            open_image(data)


def dicom(
    frames: np.ndarray | list[bytes], syntax: str = PLAIN, colours: str = "RGB", **more: object
) -> bytes:
    """A VL dermoscopic image with a person in its header.

    ``frames``: (N, height, width, 3), or the coded frames."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.encaps import encapsulate

    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = VL_DERMOSCOPIC
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.3.4"
    header.PatientName, header.PatientBirthDate, header.PatientID = NAME, BORN, ID
    header.PhotometricInterpretation, header.SamplesPerPixel = colours, 3
    header.Rows, header.Columns, header.PlanarConfiguration = *RGB.shape[:2], 0
    header.NumberOfFrames = len(frames)
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    for key, value in more.items():
        setattr(header, key, value)
    if isinstance(frames, list):
        header.PixelData = encapsulate(frames)
    else:
        header.PixelData = frames.tobytes()
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()


FIRST = encode(PICTURE, "JPEG", quality=95, subsampling=0)
SECOND = encode(Image.new("RGB", PICTURE.size), "JPEG")


def test_dicom_of_every_coding() -> None:
    assert (open_image(dicom(RGB[None])) == RGB).all()
    assert (open_image(_with_run_lengths()) == RGB).all()
    planes = np.moveaxis(RGB, -1, 0)[None]
    assert (open_image(dicom(planes, PlanarConfiguration=1)) == RGB).all()
    jpeg = open_image(dicom([FIRST], JPEG, "YBR_FULL_422"))
    assert (jpeg == open_image(FIRST)).all()
    lossless = encode(PICTURE, "JPEG2000", no_jp2=True)
    assert (open_image(dicom([lossless], JPEG_2000)) == RGB).all()
    luma = np.asarray(PICTURE.convert("YCbCr"))[None]
    assert np.abs(open_image(dicom(luma, colours="YBR_FULL")).astype(int) - RGB).max() <= 3


def test_a_dicoms_red_green_and_blue_are_no_luma() -> None:
    """A JPEG frame without a word of its own is what its header says."""
    data = encode(PICTURE, "JPEG", quality=95, keep_rgb=True)
    adobe = data.index(b"\xff\xee")
    bare = bytearray(data[:adobe] + data[adobe + 16 :])
    frame, scan = bare.index(b"\xff\xc0"), bare.index(b"\xff\xda")
    for one in range(3):  # the numbers that luma and chroma have
        bare[frame + 10 + 3 * one] = bare[scan + 5 + 2 * one] = one + 1
    found = open_image(dicom([bytes(bare)], JPEG))
    assert np.abs(found.astype(int) - RGB).max() < 30
    assert (open_image(dicom([FIRST], JPEG)) == open_image(FIRST)).all()


def test_a_palette_of_levels_in_wider_entries() -> None:
    entries = {
        f"{colour}PaletteColorLookupTable{part}": value
        for at, colour in enumerate(("Red", "Green", "Blue"))
        for part, value in (
            ("Descriptor", [2, 0, 16]),
            ("Data", np.array(([200, 60][at % 2], [150, 90][at % 2]), "<u2").tobytes()),
        )
    }
    indices = np.zeros((1, *RGB.shape[:2]), np.uint8)
    found = open_image(dicom(indices, colours="PALETTE COLOR", SamplesPerPixel=1, **entries))
    assert (found == (200, 60, 200)).all()


def _with_run_lengths() -> bytes:
    header = pytest.importorskip("pydicom").dcmread(io.BytesIO(dicom(RGB[None])))
    header.compress(RUNS)
    file = io.BytesIO()
    header.save_as(file)
    return file.getvalue()


def test_a_dicom_of_several_frames_is_its_first() -> None:
    both = np.stack([RGB, np.zeros_like(RGB)])
    for data in (dicom(both), dicom([FIRST, SECOND], JPEG, "YBR_FULL_422")):
        rgb, remarks = read_image(data)
        assert np.abs(rgb.astype(int) - RGB).mean() < 3
        assert remarks == ("first_frame",)


def test_a_dicoms_profile_is_applied_or_named() -> None:
    assert read_image(dicom(RGB[None], ICCProfile=b"none")).remarks == ("profile_ignored",)


def test_damage_in_a_dicoms_jpeg_is_found() -> None:
    start = FIRST.index(b"\xff\xda") + 200
    with pytest.raises(TruncatedImageError):
        open_image(dicom([FIRST[:start] + bytes(512) + FIRST[start + 512 :]], JPEG, "YBR_FULL"))


def _grey() -> bytes:
    return dicom(RGB[None, ..., 0], colours="MONOCHROME2", SamplesPerPixel=1)


REFUSED = {
    "no colours": (_grey, NotAnImageError, "not in colour"),
    "JPEG-LS": (
        lambda: dicom([FIRST], "1.2.840.10008.1.2.4.80"),
        NotAnImageError,
        "1.2.840.10008.1.2.4.80",
    ),
    "deflated": (
        lambda: dicom(RGB[None]).replace(b"1.2.3.4", b"1.2.840.10008.1.2.1.99", 1),
        NotAnImageError,
        r"compressed.*1\.2\.840\.10008\.1\.2\.1\.99",
    ),
    "endless header": (
        lambda: dicom(RGB[None])[:400] + bytes(1_000_001),
        ImageTooLargeError,
        "bytes before its picture, and 1,000,000",
    ),
    "too large": (
        lambda: dicom(RGB[None], Rows=9000, Columns=9000),
        ImageTooLargeError,
        "81.0 meg",
    ),
    "signed levels": (lambda: dicom(RGB[None], PixelRepresentation=1), NotAnImageError, "levels"),
    "shifted levels": (
        lambda: dicom(RGB[None].astype("<u2"), BitsAllocated=16, BitsStored=12, HighBit=15),
        NotAnImageError,
        "levels",
    ),
    "luma in JPEG 2000": (
        lambda: dicom([encode(PICTURE, "JPEG2000", no_jp2=True)], JPEG_2000, "YBR_FULL"),
        NotAnImageError,
        "colours",
    ),
    "short of pixels": (lambda: dicom(RGB[None, :9]), TruncatedImageError, "damaged"),
    "cut in the header": (lambda: dicom(RGB[None])[:300], TruncatedImageError, "damaged"),
    "no number": (lambda: _spoilt(), TruncatedImageError, "damaged"),
}


def _spoilt() -> bytes:
    """The patient's name where a number should be."""
    data = dicom(RGB[None])
    at = data.index(b"\x28\x00\x08\x00IS")  # NumberOfFrames
    return data[: at + 8] + b"Zu" + data[at + 10 :]


@pytest.mark.parametrize(("make", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_what_a_dicom_lacks_is_said_without_its_header(
    make, error, says, caplog, capfd, recwarn
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(error, match=says) as caught:
        open_image(make())
    shown = str(caught.value) + caplog.text + "".join(capfd.readouterr())
    shown += str(caught.value.__cause__) + "".join(str(one.message) for one in recwarn)
    for secret in (NAME, BORN, ID, "Zu"):
        assert secret not in shown


def test_a_folder_with_a_dicom_is_screened_and_tells_nothing_of_its_header(
    tiny_screener: Screener, tmp_path: Path
) -> None:
    (tmp_path / "lesion.dcm").write_bytes(dicom(RGB[None]))
    (path,) = find_images([tmp_path], LeftOut())
    (rows,) = judge(tiny_screener, Sheet(tiny_screener.manifest, 0.95), [(path.name, path)])
    assert [row["error"] for row in rows] == [None, None]
    assert not any(secret in str(rows) for secret in (NAME, BORN, ID))


def test_only_image_errors_come_out_of_damaged_dicoms(recwarn: pytest.WarningsRecorder) -> None:
    rng = np.random.default_rng(0)
    for data in (dicom(RGB[None]), dicom([FIRST], JPEG, "YBR_FULL_422")):
        for _ in range(60):
            changed = bytearray(data)
            at = int(rng.integers(120, 1200))
            changed[at : at + 4] = rng.bytes(4)
            try:
                open_image(bytes(changed))
            except ImageError:
                continue
    assert not any("pydicom" in one.filename for one in recwarn)  # they quote the header
