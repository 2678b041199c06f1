"""From an upload to what the page and the API show: the steps between a file and its panels.

Models run here and nowhere else in the page. Knows no component and no event.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mel_demo import operating_point
from mel_demo.images import crop_box, open_image, shrink
from mel_demo.operating_point import Decision, OperatingPoint
from mel_demo.overlay import evidence_strength, overlay
from mel_demo.screening import Screener, Screening

LONGEST_SHOWN = 800
"""Pixels of the longer side of a picture sent to a browser."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A screening ready to be shown. ``screening.image`` is scaled down for showing.

    ``overlays``: uint8 pictures by model key. ``milliseconds``: from the file to here.
    """

    screening: Screening
    overlays: dict[str, np.ndarray]
    milliseconds: float


def judge(screener: Screener, source: Path | bytes) -> Judged:
    """Open, screen with all models and draw the maps; raises the ImageError family."""
    start = time.perf_counter()
    screening = screener.screen(open_image(source))
    shown = shrink(screening.image, LONGEST_SHOWN)
    height, width = shown.shape[:2]
    overlays = {}
    for key, prediction in screening.predictions.items():
        ratio = screener.manifest.models[key].preprocessing.max_aspect_ratio
        overlays[key] = overlay(
            shown,
            prediction.melanoma_evidence,
            crop_box(width, height, ratio),
            evidence_strength(prediction.melanoma_probability),
        )
    milliseconds = (time.perf_counter() - start) * 1000
    return Judged(replace(screening, image=shown), overlays, milliseconds)


def choose_points(screener: Screener, target: float) -> dict[str, OperatingPoint]:
    """Every model's own operating point for a target sensitivity (0.8 to 0.995; SettingError)."""
    return {
        key: operating_point.choose(spec.operating_table, target)
        for key, spec in screener.manifest.models.items()
    }


def decide(
    screener: Screener, screening: Screening, points: Mapping[str, OperatingPoint]
) -> dict[str, Decision]:
    """What each model's operating point says of this image."""
    return {
        key: operating_point.decide(
            screening.predictions[key],
            screener.manifest.models[key].operating_table,
            point.target_sensitivity,
        )
        for key, point in points.items()
    }


def as_json(
    screener: Screener,
    judged: Judged,
    points: Mapping[str, OperatingPoint],
    decisions: Mapping[str, Decision],
) -> dict:
    """The API's answer: plain values, the models by key.

    Of an image that is refused, ``decision`` and ``agree`` are None.
    """
    refused = judged.screening.refused
    models = {}
    for key, point in points.items():
        spec, prediction = screener.manifest.models[key], judged.screening.predictions[key]
        models[key] = {
            "architecture": spec.architecture,
            "melanoma_probability": prediction.melanoma_probability,
            "threshold": point.threshold,
            "decision": None if refused else "refer" if decisions[key].refer else "no referral",
            "probabilities": dict(zip(spec.class_names, prediction.probabilities, strict=True)),
            "milliseconds": round(prediction.milliseconds, 2),
        }
    return {
        "target_sensitivity": next(iter(points.values())).target_sensitivity,
        "models": models,
        "agree": None if refused else len({found.refer for found in decisions.values()}) == 1,
        "refused": refused,
        "findings": [
            {"code": found.code, "severity": found.severity, "text": found.text}
            for found in judged.screening.findings
        ],
        "milliseconds": round(judged.milliseconds, 2),
        "notice": "Research demonstration, not a medical device.",
    }
