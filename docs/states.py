"""Drawings that show a state of the page, whatever the weights: looked for, not named.

With new weights another drawing may split the models or look like another cancer. Whole drawings
are tried first, then parts of them, at one target sensitivity after the other.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from mel_demo.decision.operating_point import DEFAULT_TARGET
from mel_demo.decision.verdict import Outcome, Verdict
from mel_demo.screening import Screener
from mel_demo.ui import case
from mel_demo.ui.case import SHOWN_MODELS, Setting
from mel_demo.ui.drawings import EXAMPLES

TARGETS = (DEFAULT_TARGET, *(share / 100 for share in range(80, 100)))
WANTED: Mapping[str, Callable[[Verdict], bool]] = {
    "refused": lambda verdict: verdict.outcome is Outcome.NONE,
    "disagree": lambda verdict: (
        verdict.outcome is Outcome.DISAGREE and verdict.other_cancer is None
    ),
    "other cancer": lambda verdict: (
        verdict.outcome is Outcome.NO_REFERRAL and verdict.other_cancer is not None
    ),
    "close call": lambda verdict: (
        verdict.outcome is Outcome.NO_REFERRAL
        and verdict.other_cancer is None
        and any(verdict.calls[key].close for key in SHOWN_MODELS)
    ),
}
"""States by name; all of them when looking for melanoma."""


class Found(NamedTuple):
    """A PNG file, and the target sensitivity at which it shows what was wanted."""

    picture: bytes
    target: float


def find(screener: Screener, state: str) -> Found | None:
    """A drawing of a state of WANTED; None where none of some hundred shows it."""
    readings = {target: case.read(screener, Setting(target)) for target in TARGETS}
    for picture in _candidates():
        screening = screener.screen(np.asarray(picture))
        for target, at_target in readings.items():
            verdict = case.decide(screening, at_target, Setting(target), screening.refused)
            if WANTED[state](verdict):
                file = io.BytesIO()
                picture.save(file, "PNG")
                return Found(file.getvalue(), target)
    return None


def _candidates() -> Iterator[Image.Image]:
    # What no model should judge comes first, so that it stands for what is refused.
    names = sorted(EXAMPLES, key=lambda name: name != "landscape")
    drawings = [Image.open(EXAMPLES[name]).convert("RGB") for name in names]
    yield from drawings
    for share in (0.9, 0.75, 0.6, 0.45, 0.35):
        for across, down in ((0.5, 0.5), (0.4, 0.5), (0.6, 0.5), (0.5, 0.4), (0.5, 0.6)):
            for drawing in drawings:
                wide, high = (round(share * side) for side in drawing.size)
                left = min(max(round(drawing.width * across - wide / 2), 0), drawing.width - wide)
                top = min(max(round(drawing.height * down - high / 2), 0), drawing.height - high)
                part = drawing.crop((left, top, left + wide, top + high))
                yield part.resize(drawing.size, Image.Resampling.BICUBIC)
