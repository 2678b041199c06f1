"""From an upload to what the page and the API show: the steps between a file and its panels.

Models run here and nowhere else in the page. Knows no component and no event.
"""

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mel_demo.decision import conformal, operating_point
from mel_demo.decision.conformal import Band, Outcome
from mel_demo.decision.operating_point import Decision, OperatingPoint
from mel_demo.images import crop_box, read_image, shrink
from mel_demo.manifest import MELANOMA
from mel_demo.pictures.overlay import evidence_strength, overlay
from mel_demo.screening import Screener, Screening

LONGEST_SHOWN = 800
"""Pixels of the longer side of a picture sent to a browser."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A screening ready to be shown. ``screening.image`` is scaled down for showing.

    ``milliseconds``: from the file to the drawn maps. ``insisted``: the person wants a verdict on
    an image that was refused. ``jpeg``: the image where ``screening`` holds none, see ``kept``.
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
    def silent(self) -> bool:
        """Whether there is no verdict to give."""
        return self.screening.refused and not self.insisted


@dataclass(frozen=True)
class Verdict:
    """What a model's operating point says of an image, and the band in which it is unsure.

    ``band``: None where nothing was measured for one.
    """

    decision: Decision
    band: Band | None

    @property
    def outcome(self) -> Outcome:
        """Refer, no referral, or uncertain inside the band."""
        if self.band is not None:
            return self.band.outcome(self.decision.melanoma_probability)
        return Outcome.REFER if self.decision.refer else Outcome.NO_REFERRAL


def judge(screener: Screener, source: Path | bytes) -> tuple[Judged, dict[str, np.ndarray]]:
    """Open, screen with all models and draw their melanoma maps (by model key).

    Raises the ImageError family.
    """
    start = time.perf_counter()
    screening = screener.screen(*read_image(source))
    judged = Judged(replace(screening, image=shrink(screening.image, LONGEST_SHOWN)), 0.0)
    maps = draw_maps(screener, judged, MELANOMA)
    return replace(judged, milliseconds=(time.perf_counter() - start) * 1000), maps


def draw_maps(screener: Screener, judged: Judged, index: int) -> dict[str, np.ndarray]:
    """Every model's evidence of class ``index`` over the image, uint8 pictures by model key."""
    image = judged.image
    height, width = image.shape[:2]
    drawn = {}
    for key, prediction in judged.screening.predictions.items():
        ratio = screener.manifest.models[key].preprocessing.max_aspect_ratio
        drawn[key] = overlay(
            image,
            prediction.evidence[index],
            crop_box(width, height, ratio),
            evidence_strength(prediction.probabilities[index]),
        )
    return drawn


def choose_points(screener: Screener, target: float) -> dict[str, OperatingPoint]:
    """Every model's own operating point for a target sensitivity (0.8 to 0.995; SettingError)."""
    return {
        key: operating_point.choose(spec.operating_table, target)
        for key, spec in screener.manifest.models.items()
    }


def bands(screener: Screener, points: Mapping[str, OperatingPoint]) -> dict[str, Band]:
    """The uncertain band of every model that was measured for one."""
    models = screener.manifest.models
    return {
        key: conformal.band(evidence.conformal, point.target_sensitivity, point.threshold)
        for key, point in points.items()
        if (evidence := models[key].evidence) is not None
    }


def decide(
    screener: Screener, screening: Screening, points: Mapping[str, OperatingPoint]
) -> dict[str, Verdict]:
    """What each model's operating point says of this image."""
    unsure = bands(screener, points)
    return {
        key: Verdict(
            operating_point.decide(
                screening.predictions[key],
                screener.manifest.models[key].operating_table,
                point.target_sensitivity,
            ),
            unsure.get(key),
        )
        for key, point in points.items()
    }


def as_jpeg(rgb: np.ndarray) -> bytes:
    """uint8 (height, width, 3) as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=90)
    return file.getvalue()


def as_json(
    screener: Screener,
    judged: Judged,
    points: Mapping[str, OperatingPoint],
    verdicts: Mapping[str, Verdict],
) -> dict:
    """The API's answer: plain values, the models by key.

    Of an image that is refused, ``decision``, ``uncertain`` and ``agree`` are None.
    """
    refused = judged.screening.refused
    words_of = {True: "refer", False: "no referral"}
    models = {}
    for key, point in points.items():
        spec, prediction = screener.manifest.models[key], judged.screening.predictions[key]
        band = verdicts[key].band
        models[key] = {
            "architecture": spec.architecture,
            "melanoma_probability": prediction.melanoma_probability,
            "threshold": point.threshold,
            "decision": None if refused else words_of[verdicts[key].decision.refer],
            "uncertain": None if refused else verdicts[key].outcome is Outcome.UNCERTAIN,
            "uncertain_between": None if band is None else [band.low, band.high],
            "probabilities": dict(zip(spec.class_names, prediction.probabilities, strict=True)),
            "milliseconds": round(prediction.milliseconds, 2),
        }
    return {
        "target_sensitivity": next(iter(points.values())).target_sensitivity,
        "models": models,
        "agree": None
        if refused
        else len({found.decision.refer for found in verdicts.values()}) == 1,
        "refused": refused,
        "findings": [
            {"code": found.code, "severity": found.severity, "text": found.text}
            for found in judged.screening.findings
        ],
        "milliseconds": round(judged.milliseconds, 2),
        "notice": "Research demonstration, not a medical device.",
    }
