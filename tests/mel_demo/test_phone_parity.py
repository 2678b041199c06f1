"""The browser's answer is Python's: each file judged by screen.js in Chromium and by mel_demo.

The modules are imported into an empty page: they need none. The files are drawn; the models are the
released ones.
"""

import base64
import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from mel_demo.decision.operating_point import DEFAULT_TARGET, choose
from mel_demo.errors import TruncatedImageError
from mel_demo.hub import DEFAULT
from mel_demo.images import crop_box, open_image
from mel_demo.phone.build import lay_out
from mel_demo.pictures.overlay import evidence_strength
from mel_demo.screening import Screener
from mel_demo.texts import catalogue
from tests.support.lesions import CLASSES, draw_lesion
from tests.support.phone import need_runtime, phone_browser
from tests.support.static_host import static_host

pytestmark = pytest.mark.browser
PROBABILITY = {"student": 0.001, "student_int8": 0.01}
# As drawn, 0..1. One rounded step of INT8 may fall the other way in another runtime: no more than
# half of a band of the four that evidence is drawn in.
MAP = {"student": 0.02, "student_int8": 0.1}
CHECKED = {
    key.removeprefix("phone_finding_")
    for key in catalogue("en")
    if key.startswith("phone_finding_")
}
"""What is looked for on the phone too."""
SIZES = ((298, 224), (200, 150), (640, 480), (360, 480), (173, 211))
SCREEN = """async (data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  try {
    const result = await modules.screen(new Blob([bytes]));
    return { ...result, map: { ...result.map, values: Array.from(result.map.values) } };
  } catch (error) {
    if (!error.code) throw error;
    return { error: error.code };
  }
}"""


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def display_p3() -> bytes:
    """The profile of sRGB with the primaries of a phone's camera (as ICC has them, for D50)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    (tags,) = struct.unpack_from(">I", profile, 128)
    for entry in range(132, 132 + 12 * tags, 12):
        name, offset = struct.unpack_from(">4sI", profile, entry)
        if name in primaries:
            fixed = (round(value * 65536) for value in primaries[name])
            struct.pack_into(">3i", profile, offset + 8, *fixed)
    return bytes(profile)


def odd_files() -> dict[str, bytes]:
    """One drawing in every form that a browser decodes."""
    image = draw_lesion("mel", seed=3, size=(320, 240))
    files = {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files[f"JPEG, EXIF {orientation}"] = encoded(image, "JPEG", quality=95, exif=exif)
        files[f"WebP, EXIF {orientation}"] = encoded(image, "WEBP", exif=exif, quality=95)
    files["PNG, EXIF"] = encoded(image, "PNG", exif=exif)
    alpha = np.full((240, 320), 255, np.uint8)
    alpha[:60], alpha[:, :40] = 128, 0
    layers = image.copy()
    layers.putalpha(Image.fromarray(alpha))
    profile = b"no profile at all"
    files |= {
        "PNG": encoded(image, "PNG"),
        "PNG, alpha": encoded(layers, "PNG"),
        "PNG, grey": encoded(image.convert("L"), "PNG"),
        "PNG, grey and alpha": encoded(layers.convert("LA"), "PNG"),
        "PNG, palette": encoded(image.quantize(64), "PNG"),
        "PNG, 1 bit": encoded(image.convert("1"), "PNG"),
        "PNG, broken profile": encoded(image, "PNG", icc_profile=profile),
        "JPEG, Display P3": encoded(image, "JPEG", quality=95, icc_profile=display_p3()),
        "PNG, Display P3": encoded(image, "PNG", icc_profile=display_p3()),
        "JPEG, grey": encoded(image.convert("L"), "JPEG"),
        "JPEG, CMYK": encoded(image.convert("CMYK"), "JPEG"),
        "JPEG, progressive 4:2:0": encoded(image, "JPEG", progressive=True, subsampling=2),
        "MPO": encoded(image, "MPO"),
        "WebP": encoded(image, "WEBP"),
        "WebP, lossless, alpha": encoded(layers, "WEBP", lossless=True),
        "GIF": encoded(image, "GIF"),
        "GIF, several": encoded(
            image.quantize(64), "GIF", save_all=True, append_images=[draw_lesion("nv").quantize(64)]
        ),
        "BMP": encoded(image, "BMP"),
        "12 megapixels": encoded(draw_lesion("bkl", seed=9, size=(4000, 3000)), "JPEG", quality=80),
        "one row": encoded(image.resize((300, 1)), "PNG"),
        "JPEG, cut off": encoded(image, "JPEG")[:-3000],
        "PNG, cut off": encoded(image, "PNG")[:-3000],
    }
    return files


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    drawn = {
        f"drawing {seed}": encoded(
            draw_lesion(CLASSES[seed % 7], seed, SIZES[seed % len(SIZES)]), "JPEG", quality=90
        )
        for seed in range(50)
    }
    return drawn | odd_files()


@pytest.fixture(scope="module")
def chrome():
    need_runtime()
    with phone_browser() as started:
        yield started


@pytest.mark.parametrize("key", PROBABILITY)
def test_the_browser_answers_as_python_does(key, files, chrome, tmp_path):
    screener = Screener(DEFAULT, threads=1)
    if key not in screener.models:
        pytest.skip(f"these weights have no {key}")
    spec = screener.manifest.models[key]
    threshold = choose(spec.operating_table, DEFAULT_TARGET).threshold
    lay_out(tmp_path / "page", DEFAULT, key)
    (tmp_path / "page/empty.html").write_text("<!doctype html><title>empty</title>")
    table = []
    # Threads where the host sends the headers, one without: each model takes another way.
    with static_host(tmp_path / "page", isolated=key == "student") as host:
        page = chrome.new_page()
        page.goto(f"{host.url}/empty.html")
        assert page.evaluate("crossOriginIsolated") == (key == "student")
        page.evaluate(
            "async () => { window.modules = await import('./screen.js'); await modules.load(); }"
        )
        for name, data in files.items():
            here = page.evaluate(SCREEN, base64.b64encode(data).decode())
            try:
                rgb = open_image(data)
            except TruncatedImageError:
                assert here == {"error": "cut_off"}, name
                continue
            assert "error" not in here, (name, here)
            screening = screener.screen(rgb)
            there = screening.predictions[key]
            probability = there.melanoma_probability
            table.append((name, *compare(here, there)))
            assert (here["height"], here["width"]) == rgb.shape[:2], name
            ratio = spec.preprocessing.max_aspect_ratio
            assert tuple(here["box"]) == crop_box(here["width"], here["height"], ratio), name
            assert here["threshold"] == threshold
            if not here["refused"] and abs(probability - threshold) > PROBABILITY[key]:
                assert here["decision"] == ("refer" if probability >= threshold else "no_referral")
            if screening.refused and spec.ood is None:
                continue  # A model without a distance cannot say what only another one refuses.
            known = CHECKED | {"not_dermoscopy"}
            found = [[f["code"] for f in here["findings"]], [f.code for f in screening.findings]]
            assert len({tuple(code for code in codes if code in known) for codes in found}) == 1, (
                name,
                found,
            )
        page.close()
    report = "\n".join(f"{name:24} {dp:.6f} {dm:.4f} {dd:.5f}" for name, dp, dm, dd in table)
    worst = [max(row[column] for row in table) for column in (1, 2, 3)]
    assert worst[0] <= PROBABILITY[key], report
    assert worst[1] <= MAP[key], report
    assert worst[2] <= 0.01, report
    assert len(table) >= 80


def compare(here, there) -> tuple[float, float, float]:
    """How far apart they are: probability, map as drawn (0..1), distance (relative)."""
    probability = abs(here["probability"] - there.melanoma_probability)
    values = np.reshape(here["map"]["values"], (here["map"]["height"], here["map"]["width"]))
    drawn = [
        values / max(values.max(), 1e-12) * evidence_strength(here["probability"]),
        there.melanoma_evidence
        / max(there.melanoma_evidence.max(), 1e-12)
        * evidence_strength(there.melanoma_probability),
    ]
    assert drawn[0].shape == drawn[1].shape
    if there.distance is None:
        assert here["distance"] is None
        return probability, float(np.abs(drawn[0] - drawn[1]).max()), 0.0
    distance = abs(here["distance"] / there.distance - 1)
    return probability, float(np.abs(drawn[0] - drawn[1]).max()), distance
