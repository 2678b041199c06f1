"""What about an image itself should make one doubt the verdict: findings, each with its reason.

Known, simple measures of the judged part at one small size, whatever the upload's. Their thresholds
were chosen on validation images; `python -m benchmarks.image_checks` measures how often each is
wrong. Knows no model: how far an image is from dermoscopy images is a model's ``distance``, which
is only compared here. A ruler is not looked for: nothing was tried.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from mel_demo.images import crop_box
from mel_demo.manifest import Manifest, OutOfDistribution
from mel_demo.texts import Texts

WORKING_SIDE = 120
"""Pixels of the shorter side of what is measured: no more than a model sees."""

# HAM10000's own pictures are 4:3; up to 3:2 the crop takes only edges away, beyond it a lesion.
MOST_JUDGED_SHARE = 0.75

# Chosen on the validation images of HAM10000, none of which is degraded on purpose: false alarms
# stay below 2 % of them. Measured by `python -m benchmarks.image_checks`.
COLOURLESS = 8.0
BLURRED = 0.655
OVEREXPOSED = 0.02
UNDEREXPOSED = 90.0
INKED = 0.005
_HAIRY = 0.03
FAINT = 45.0

_REBLUR = 5  # pixels
WHITE = 250
BLUER = 30  # levels: skin and lesions are red before they are anything else
_THREAD, _DARKER = 5, 12  # a hair is narrower than that many pixels and darker by so many levels
_LONG, _GAPS = 25, 4  # pixels that a hair goes on in one direction, and how many may be missing
_DIRECTIONS = 12
COARSE = 4  # pixels that are averaged into one, so that texture is no contrast

Severity = Literal["info", "warning", "refusal"]


@dataclass(frozen=True)
class Finding:
    """Something about the image; ``code`` is for programs.

    ``severity``: with "refusal" the models' answers mean nothing, so that no verdict is given.
    ``values``: what fills the text's places: a share (0..1), distances, counts of pixels.
    ``key``: of its text, where that is not "finding_<code>".
    """

    code: str
    severity: Severity
    values: Mapping[str, float] = field(default_factory=dict)
    key: str = ""

    def says(self, t: Texts) -> str:
        """A sentence or two for a lay person."""
        shown = {name: _shown(t, name, value) for name, value in self.values.items()}
        return t(self.key or f"finding_{self.code}", **shown)

    @property
    def text(self) -> str:
        """The same in English."""
        return self.says(Texts())


def _shown(t: Texts, name: str, value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return t.percent(value) if name == "share" else t.decimal(value, 2)


@dataclass(frozen=True)
class Measures:
    """Numbers about the judged part at the working size.

    ``colour``: see ``colour_spread``. ``blur``: 0..1, the share of grey differences between
    neighbours that blurring once more leaves in place: much in a blurred image, little in a sharp
    one (Crete et al. 2007, doi 10.1117/12.702790). ``white``: share of pixels near white in every
    channel. ``brightest``: grey level, 0..255, that a twentieth of the pixels exceeds. ``ink``:
    share of pixels clearly bluer or greener than red. ``hair``: share of pixels on thin dark lines
    (black top-hat) that go on straight; 0 where no more than _HAIRY are thin and dark at all.
    ``contrast``: RGB distance of the hundredth of the coarse image that differs most from its
    median colour, after light that falls off to one side is taken out.
    """

    colour: float
    blur: float
    white: float
    brightest: float
    ink: float
    hair: float
    contrast: float


@dataclass(frozen=True)
class Subject:
    """What a check looks at. ``judged``: the share of the image that is. ``size``: side of the
    largest model's input. ``enlarged``: whether the judged part had to grow to the working size."""

    width: int
    height: int
    judged: float
    size: int
    enlarged: bool
    measures: Measures


def findings(
    subject: Subject,
    manifest: Manifest,
    distances: Mapping[str, float | None],
    remarks: Iterable[str] = (),
) -> Iterator[Finding]:
    """What the checks say of an image that was looked at, in the order of CHECKS, and then what
    reading its file remarked. A refusal comes alone: of what is no dermoscopy image nothing else
    can be said.

    ``distances``: what the models say, by key; None of one that says none. ``remarks``: of
    ``images.Picture``.
    """
    for key, spec in manifest.models.items():
        distance = distances.get(key)
        if spec.ood is not None and distance is not None:
            refusal = _not_dermoscopy(subject, distance, spec.ood)
            if refusal is not None:
                yield refusal
                return
    yield from (finding for check in CHECKS if (finding := check(subject)) is not None)
    yield from (OF_FILES[remark] for remark in remarks)


def working_image(rgb: np.ndarray, max_aspect_ratio: float) -> Image.Image:
    """The judged part of uint8 RGB (height, width, 3), its shorter side WORKING_SIDE pixels."""
    height, width = rgb.shape[:2]
    left, top, right, bottom = crop_box(width, height, max_aspect_ratio)
    scale = WORKING_SIDE / min(right - left, bottom - top)
    size = round((right - left) * scale), round((bottom - top) * scale)
    image = Image.fromarray(np.ascontiguousarray(rgb[top:bottom, left:right]))
    # reducing_gap: a quick whole-number reduction of large images first.
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def measure(image: Image.Image) -> Measures:
    """Measure an image as ``working_image`` gives it."""
    rgb = np.asarray(image).astype(np.int16)
    grey = np.asarray(image.convert("L"))
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return Measures(
        colour=colour_spread(rgb),
        blur=_blur(grey.astype(np.float32)),
        white=float((np.minimum(np.minimum(red, green), blue) >= WHITE).mean()),
        brightest=float(np.quantile(grey, 0.95)),
        ink=float((np.maximum(blue, green) - red > BLUER).mean()),
        hair=_hair(grey),
        contrast=_contrast(np.asarray(image.reduce(COARSE), np.float32)),
    )


def colour_spread(rgb: np.ndarray) -> float:
    """How far a pixel's channels lie apart, in levels 0..255, in its most colourful twentieth.

    uint8 RGB (..., 3). Below COLOURLESS an image is grey, which no dermoscopy image is: of those of
    HAM10000 and ISIC 2017 looked at none is below 16.
    """
    # Pairwise: NumPy is slow along an axis of three.
    red, green, blue = (rgb[..., channel].astype(np.int16) for channel in range(3))
    most = np.maximum(np.maximum(red, green), blue)
    return float(np.quantile(most - np.minimum(np.minimum(red, green), blue), 0.95))


def look(rgb: np.ndarray, manifest: Manifest) -> Subject:
    """Measure what the checks look at, of uint8 RGB (height, width, 3); needs no model's answer."""
    preprocessings = [spec.preprocessing for spec in manifest.models.values()]
    height, width = rgb.shape[:2]
    ratio = min(preprocessing.max_aspect_ratio for preprocessing in preprocessings)
    left, top, right, bottom = crop_box(width, height, ratio)
    return Subject(
        width=width,
        height=height,
        judged=(right - left) * (bottom - top) / (width * height),
        size=max(preprocessing.size for preprocessing in preprocessings),
        enlarged=min(width, height) < WORKING_SIDE,
        measures=measure(working_image(rgb, ratio)),
    )


def _blur(grey: np.ndarray) -> float:
    """The worse of both directions; 0 where nothing differs, of which nothing can be said."""
    return max(_blur_along(grey), _blur_along(np.ascontiguousarray(grey.T)))


def _blur_along(grey: np.ndarray) -> float:
    """Down the columns: blur once more, and see how much of the neighbours' difference goes."""
    edge = _REBLUR // 2
    padded = np.pad(grey, ((edge, edge), (0, 0)), mode="edge")
    reblurred = sum(padded[step : step + len(grey)] for step in range(_REBLUR)) / _REBLUR
    before, after = np.abs(np.diff(grey, axis=0)), np.abs(np.diff(reblurred, axis=0))
    total = float(before.sum())
    return 1 - float(np.maximum(before - after, 0).sum()) / total if total else 0.0


def _hair(grey: np.ndarray) -> float:
    closed = _sliding(_sliding(grey, np.maximum), np.minimum)
    dark = closed - grey > _DARKER  # never below 0: closing only brightens
    if dark.mean() <= _HAIRY:
        return 0.0  # most images: too little is thin and dark for any of it to matter
    reach = _LONG // 2
    padded = np.pad(dark, reach)
    flat = padded.ravel().view(np.uint8)
    start = np.flatnonzero(flat)
    steps = np.arange(-reach, reach + 1)
    straight = np.zeros(len(start), bool)
    for angle in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
        down = np.rint(steps * np.sin(angle)).astype(np.intp)
        right = np.rint(steps * np.cos(angle)).astype(np.intp)
        along = (down * padded.shape[1] + right)[:, None] + start
        straight |= flat[along].sum(0, dtype=np.uint8) >= _LONG - _GAPS
    return float(straight.sum() / grey.size)


def _sliding(grey: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """Largest or smallest level within a square of _THREAD pixels."""
    edge = _THREAD // 2
    for _ in range(2):  # rows, then columns
        padded = np.pad(grey, ((edge, edge), (0, 0)), mode="edge")
        parts = (padded[step : step + len(grey)] for step in range(_THREAD))
        result = next(parts).copy()
        for part in parts:
            extreme(result, part, out=result)
        grey = result.T
    return grey


def _contrast(coarse: np.ndarray) -> float:
    height, width, _ = coarse.shape
    y, x = np.linspace(-1, 1, height)[:, None, None], np.linspace(-1, 1, width)[:, None]
    # Over a full grid the two directions are orthogonal, so each slope is found by itself.
    centred = coarse - coarse.mean((0, 1))
    down = (centred * y).mean((0, 1)) / (y**2).mean()
    right = (centred * x).mean((0, 1)) / (x**2).mean()
    even = (centred - y * down - x * right).reshape(-1, 3)
    away = np.sqrt(((even - np.median(even, axis=0)) ** 2).sum(1))
    return float(np.quantile(away, 0.99))


def _not_dermoscopy(
    subject: Subject, distance: float, reference: OutOfDistribution
) -> Finding | None:
    """By a model's distance, or for want of any colour."""
    if subject.measures.colour < COLOURLESS:
        return Finding("not_dermoscopy", "refusal", key="colourless")
    if distance > reference.threshold:
        values = {"distance": float(distance), "most": float(reference.threshold)}
        return Finding("not_dermoscopy", "refusal", values)
    return None


def _enlarged(subject: Subject) -> Finding | None:
    if min(subject.height, subject.width) >= subject.size:
        return None
    values = {"width": subject.width, "height": subject.height, "size": subject.size}
    return Finding("enlarged", "warning", values)


def _elongated(subject: Subject) -> Finding | None:
    if subject.judged >= MOST_JUDGED_SHARE:
        return None
    values = {"width": subject.width, "height": subject.height, "share": subject.judged}
    return Finding("elongated", "warning", values)


def _blurred(subject: Subject) -> Finding | None:
    # What was enlarged is never sharp, and has been told so.
    if subject.enlarged or subject.measures.blur <= BLURRED:
        return None
    return Finding("blurred", "warning")


def _overexposed(subject: Subject) -> Finding | None:
    if subject.measures.white <= OVEREXPOSED:
        return None
    return Finding("overexposed", "warning", {"share": subject.measures.white})


def _underexposed(subject: Subject) -> Finding | None:
    return Finding("underexposed", "warning") if _too_dark(subject) else None


def _too_dark(subject: Subject) -> bool:
    return subject.measures.brightest < UNDEREXPOSED


def _ink(subject: Subject) -> Finding | None:
    if subject.measures.ink <= INKED:
        return None
    return Finding("ink", "warning", {"share": subject.measures.ink})


def _no_lesion(subject: Subject) -> Finding | None:
    # In the dark there is no contrast, lesion or not.
    if subject.measures.contrast >= FAINT or _too_dark(subject):
        return None
    return Finding("no_lesion", "warning")


def _much_hair(subject: Subject) -> Finding | None:
    return Finding("hair", "info") if subject.measures.hair > _HAIRY else None


CHECKS: tuple[Callable[[Subject], Finding | None], ...] = (
    _enlarged,
    _elongated,
    _blurred,
    _overexposed,
    _underexposed,
    _no_lesion,
    _ink,
    _much_hair,
)
"""Add a check of the image here; the page and the command line show what it finds."""

OF_FILES: dict[str, Finding] = {
    "few_colours": Finding("few_colours", "warning"),
    "profile_ignored": Finding("profile_ignored", "warning"),
    "transparent": Finding("transparent", "warning"),
    "deep_grey": Finding("deep_grey", "warning"),
    "first_frame": Finding("first_frame", "info"),
}
"""What reading a file remarked, by code; ``images.Picture`` carries the codes."""
