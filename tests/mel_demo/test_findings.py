"""Each check of an image fires on a drawing degraded on purpose, and not on the clean one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from mel_demo.findings import OF_FILES, Finding, findings, look, measure, working_image
from mel_demo.manifest import Interval, Manifest, OutOfDistribution, Refused
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, Texts
from tests.support.lesions import draw_lesion

SIZES = ((200, 150), (600, 450), (2400, 1800))


def textured(size: tuple[int, int] = (600, 450)) -> Image.Image:
    """A drawn melanoma on skin with the fine texture that every dermoscopy image has."""
    rng = np.random.default_rng(0)
    picture = np.asarray(draw_lesion("mel", size=(200, 150)), np.float32)
    picture = np.clip(picture + rng.normal(0, 8, (150, 200, 1)), 0, 255).astype(np.uint8)
    return Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def manifest(tiny_screener: Screener) -> Manifest:
    return tiny_screener.manifest


def codes(image: Image.Image, manifest: Manifest) -> list[str]:
    return [finding.code for finding in findings(look(np.asarray(image), manifest), manifest, {})]


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(image.height / 50))


def exposed(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.point(lambda level: min(255, int(level * factor)))


def marked(image: Image.Image) -> Image.Image:
    width, height = image.size
    box = (width * 0.25, height * 0.15, width * 0.75, height * 0.85)
    ImageDraw.Draw(image).arc(box, 0, 150, fill=(70, 40, 160), width=max(2, height // 25))
    return image


def hairy(image: Image.Image) -> Image.Image:
    draw, (width, height) = ImageDraw.Draw(image), image.size
    rng = np.random.default_rng(3)
    for start, end in rng.uniform(0.15, 0.85, (25, 2)):
        line = (width * start, 0, width * end, height)
        draw.line(line, fill=(40, 30, 28), width=max(1, height // 100))
    return image


def without_lesion(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((0, 0, width // 4, height // 4)).resize((width, height))


@pytest.mark.parametrize("size", SIZES)
def test_a_clean_picture_has_no_finding(manifest: Manifest, size: tuple[int, int]) -> None:
    wanted = ["enlarged"] if min(size) < 160 else []
    assert codes(textured(size), manifest) == wanted


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("degrade", "code"),
    [
        (blurred, "blurred"),
        (exposed(1.8), "overexposed"),
        (exposed(0.3), "underexposed"),
        (marked, "ink"),
        (hairy, "hair"),
        (without_lesion, "no_lesion"),
    ],
)
def test_what_was_degraded_is_noticed(
    manifest: Manifest, size: tuple[int, int], degrade: Callable, code: str
) -> None:
    assert code in codes(degrade(textured(size)), manifest)


def test_severities(manifest: Manifest) -> None:
    seen = findings(look(_all_wrong(), manifest), manifest, {})
    found = {finding.code: finding for finding in seen}
    assert found["ink"].severity == "warning"
    assert found["hair"].severity == "info"
    assert "blue, green or violet" in found["ink"].text


def _all_wrong() -> np.ndarray:
    return np.asarray(hairy(marked(textured())))


def test_what_was_enlarged_is_not_called_blurred(manifest: Manifest) -> None:
    """Enlarging blurs by itself, and the image has been called small already."""
    found = codes(textured((100, 75)), manifest)
    assert "enlarged" in found
    assert "blurred" not in found


def test_in_the_dark_no_lesion_is_not_claimed_to_be_absent(manifest: Manifest) -> None:
    found = codes(exposed(0.2)(textured()), manifest)
    assert "underexposed" in found
    assert "no_lesion" not in found


def test_one_working_size_whatever_comes() -> None:
    for size, wanted in (
        ((200, 150), (144, 120)),
        ((600, 450), (144, 120)),
        ((450, 600), (120, 144)),
        ((512, 512), (120, 120)),
        ((9, 3000), (120, 133)),
        ((1, 1), (120, 120)),
    ):
        image = working_image(np.zeros((size[1], size[0], 3), np.uint8), 1.2)
        assert image.size == wanted
        assert all(np.isfinite(value) for value in vars(measure(image)).values())


def test_sharpness_does_not_depend_on_contrast() -> None:
    """A pale lesion is not a blurred one."""
    sharp = textured((144, 120))
    pale = sharp.point(lambda level: int(120 + level * 0.4))
    assert measure(pale).blur == pytest.approx(measure(sharp).blur, abs=0.05)


@pytest.mark.parametrize(
    ("distance", "refused"), [(None, False), (1.0, False), (1.7, False), (1.71, True)]
)
def test_a_distance_above_the_threshold_refuses(
    manifest: Manifest, distance: float | None, refused: bool
) -> None:
    none = Refused(0, 9, Interval(0, 0, 0.3))
    reference = OutOfDistribution("m", "r", 1.7, {}, {"holdout": none}, {})
    student = replace(manifest.models["student"], ood=reference)
    refusing = replace(manifest, models=manifest.models | {"student": student})
    subject = look(np.asarray(textured()), refusing)
    found = list(findings(subject, refusing, {"teacher": None, "student": distance}))
    assert [finding.code for finding in found] == (["not_dermoscopy"] if refused else [])
    if refused:
        assert found[0].severity == "refusal"
        assert "1.71, accepted up to 1.70" in found[0].text
        assert "1,71" in found[0].says(Texts("de"))


@pytest.mark.parametrize(("language", "share"), [("en", "0.6 %"), ("de", "0,6 %"), ("es", "0,6 %")])
def test_a_share_is_written_as_the_language_does(language: str, share: str) -> None:
    finding = Finding("ink", "warning", {"share": 0.006})
    assert f" {share} " in finding.says(Texts(language))


def test_every_language_says_every_finding(manifest: Manifest) -> None:
    found = [*findings(look(_all_wrong(), manifest), manifest, {}), *OF_FILES.values()]
    assert all(finding.says(Texts(language)) for finding in found for language in LANGUAGES)
