"""From an upload to what the page and the API show: the steps between a file and its panels.

Models run here and nowhere else in the page. Knows no component and no event.
"""

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from mel_demo import __version__
from mel_demo.decision import operating_point
from mel_demo.decision.operating_point import DEFAULT_TARGET, OperatingPoint
from mel_demo.decision.prevalence import DEFAULT_PREVALENCE
from mel_demo.decision.verdict import OTHER_CANCERS, Verdict, call, together
from mel_demo.images import crop_box, read_image, shrink
from mel_demo.manifest import CLASS_NAMES, MELANOMA, Counts, Evidence, Lesions, Manifest, Rates
from mel_demo.pictures.overlay import bands, evidence_strength, overlay
from mel_demo.screening import Screener, Screening

LONGEST_SHOWN = 640
"""Pixels of the longer side of a picture sent to a browser."""
SHOWN_MODELS = ("teacher", "student")
"""The models set side by side; the others stand in the table of all models."""


@dataclass(frozen=True)
class Setting:
    """What the person has set: target sensitivity and prevalence (0..1), what to look for (of
    ``verdict.TARGETS``), which images the figures come from (holdout or external), and the
    diagnosis whose evidence the tab "Why" draws (index into CLASS_NAMES)."""

    target: float = DEFAULT_TARGET
    prevalence: float = DEFAULT_PREVALENCE
    looking_for: str = "melanoma"
    source: str = "holdout"
    index: int = MELANOMA


@dataclass(frozen=True)
class Reading:
    """One model at a setting: its operating point, and what that did on the chosen images.

    ``melanomas_alone``: any skin cancer is looked for, and those images hold none but melanomas.
    """

    key: str
    point: OperatingPoint
    counts: Counts
    rates: Rates
    lesions: Lesions
    evidence: Evidence | None
    melanomas_alone: bool


@dataclass(frozen=True, eq=False)
class Judged:
    """A screening ready to be shown. ``screening.image`` is scaled down for showing.

    ``milliseconds``: from the file to the verdict. ``insisted``: the person wants an answer on an
    image that was refused. ``jpeg``: the image where ``screening`` holds none, see ``kept``.
    """

    screening: Screening
    milliseconds: float
    insisted: bool = False
    jpeg: bytes = b""

    def kept(self) -> "Judged":
        """The same for a session to hold: the image as a JPEG file, a tenth of the memory."""
        bare = replace(self.screening, image=np.empty((0, 0, 3), np.uint8))
        return replace(self, screening=bare, jpeg=as_jpeg(self.image))

    @property
    def image(self) -> np.ndarray:
        """The image as shown, uint8 (height, width, 3)."""
        if self.jpeg:
            return np.asarray(Image.open(io.BytesIO(self.jpeg)))
        return self.screening.image

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image as shown; decodes nothing."""
        if self.jpeg:
            return Image.open(io.BytesIO(self.jpeg)).size
        height, width, _ = self.screening.image.shape
        return width, height

    @property
    def silent(self) -> bool:
        """Whether there is no verdict to give."""
        return self.screening.refused and not self.insisted


NO_IMAGE: Final = False
"""What a session holds where there is no image, or none that could be judged. Not None: that is
what Gradio has where it knows nothing of a session, or nothing any more."""
Kept = Judged | Literal[False] | None


def judge(screener: Screener, source: Path | bytes, on_two: bool = False) -> Judged:
    """Open and screen with all models, as ``Screener.screen``. Raises the ImageError family."""
    start = time.perf_counter()
    screening = screener.screen(*read_image(source), on_two)
    screening = replace(screening, image=shrink(screening.image, LONGEST_SHOWN))
    return Judged(screening, (time.perf_counter() - start) * 1000)


def has_skin_cancer(manifest: Manifest) -> bool:
    """Whether all models were measured on any skin cancer."""
    return all(spec.skin_cancer is not None for spec in manifest.models.values())


def has_external(manifest: Manifest) -> bool:
    """Whether all tables hold counts of other clinics."""
    return all(
        table.rows[0].external is not None and table.external_lesions is not None
        for spec in manifest.models.values()
        for table in [spec.operating_table]
    )


def read(screener: Screener, setting: Setting) -> dict[str, Reading]:
    """Every model at a setting (target 0.8 to 0.995; SettingError), by key."""
    readings = {}
    for key, spec in screener.manifest.models.items():
        target = spec.target(setting.looking_for)
        table, evidence = target.operating_table, target.evidence
        point = operating_point.choose(table, setting.target)
        counts, rates, lesions = point.row.holdout, point.row.holdout_rates, table.holdout_lesions
        of_melanoma = spec.operating_table.rows[0].holdout
        elsewhere = point.row.external is not None and table.external_lesions is not None
        if setting.source == "external" and elsewhere:
            counts, rates = point.row.external, point.row.external_rates
            lesions = table.external_lesions
            of_melanoma = spec.operating_table.rows[0].external
        alone = target is not spec and counts.melanomas == of_melanoma.melanomas
        readings[key] = Reading(key, point, counts, rates, lesions, evidence, alone)
    return readings


def decide(
    screening: Screening, readings: Mapping[str, Reading], setting: Setting, refused: bool = False
) -> Verdict:
    """The one decision on an image; ``refused``: it is none that can be judged."""
    probabilities = {key: found.probabilities for key, found in screening.predictions.items()}
    return decide_by(probabilities, readings, setting, refused)


def decide_by(
    probabilities: Mapping[str, Sequence[float]],
    readings: Mapping[str, Reading],
    setting: Setting,
    refused: bool = False,
) -> Verdict:
    """``decide`` from the probabilities of teacher, student, and others, by key."""
    calls = {
        key: call(shares, setting.looking_for, readings[key].point)
        for key, shares in probabilities.items()
    }
    return together(calls, refused)


def spoken_for(probabilities: tuple[float, ...], looking_for: str) -> int:
    """The class whose map the first screen draws: melanoma, or the likeliest cancer."""
    if looking_for == "melanoma":
        return MELANOMA
    return max((MELANOMA, *OTHER_CANCERS), key=lambda index: probabilities[index])


def frame(screener: Screener, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of an image of (width, height) that is judged: (left, top, right, bottom)."""
    return crop_box(*size, screener.manifest.models["teacher"].preprocessing.max_aspect_ratio)


def draw_map(screener: Screener, judged: Judged, key: str, index: int) -> np.ndarray:
    """Bands of a model's evidence of a class, uint8 RGBA of the image's size."""
    prediction = judged.screening.predictions[key]
    strength = evidence_strength(prediction.probabilities[index])
    box = frame(screener, judged.size)
    return bands(judged.size, prediction.evidence[index], box, strength)


def draw_overlays(screener: Screener, judged: Judged) -> dict[str, Image.Image]:
    """Evidence of melanoma over the image by both models set side by side, RGB by key: for API and
    report."""
    image, predictions = judged.image, judged.screening.predictions
    return {
        key: overlay(
            image,
            predictions[key].evidence[MELANOMA],
            frame(screener, judged.size),
            evidence_strength(predictions[key].melanoma_probability),
        )
        for key in SHOWN_MODELS
    }


def as_jpeg(rgb: np.ndarray) -> bytes:
    """uint8 (height, width, 3) as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=88)
    return file.getvalue()


def as_json(
    screener: Screener,
    judged: Judged,
    readings: Mapping[str, Reading],
    verdict: Verdict,
    setting: Setting,
) -> dict[str, Any]:
    """The API's answer: plain values, the models by key.

    Of an image that is refused, ``decision``, ``close_call`` and ``agree`` are None.
    """
    refused = judged.screening.refused
    words_of = {True: "refer", False: "no referral"}
    models = {}
    for key, found in verdict.calls.items():
        spec, prediction = screener.manifest.models[key], judged.screening.predictions[key]
        models[key] = {
            "architecture": spec.architecture,
            "melanoma_probability": prediction.melanoma_probability,
            "probability": found.probability,
            "threshold": found.point.threshold,
            "decision": None if refused else words_of[found.refer],
            "close_call": None if refused else found.close,
            "leading_diagnosis": CLASS_NAMES[found.leading],
            "probabilities": dict(zip(spec.class_names, prediction.probabilities, strict=True)),
            "milliseconds": round(prediction.milliseconds, 2),
        }
    decision = None if refused else str(verdict.outcome).replace("_", " ")
    return {
        "decision": decision,
        "looking_for": setting.looking_for,
        "target_sensitivity": setting.target,
        "models": models,
        "agree": None if refused else verdict.outcome != "disagree",
        "refused": refused,
        "findings": [
            {"code": found.code, "severity": found.severity, "text": found.text}
            for found in judged.screening.findings
        ],
        "milliseconds": round(judged.milliseconds, 2),
        "versions": {"mel_demo": __version__, "weights": screener.manifest.version},
        "notice": "Research demonstration, not a medical device.",
    }
