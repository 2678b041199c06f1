"""Evidence map + image -> bands over it. Pure: arrays in, arrays out, no files and no page.

A map normalised to its own maximum looks as hot at p = 0.001 as at p = 0.99. So evidence is the
map times a strength that follows the probability, and is drawn on one scale as bands of fixed
opacity with a contour each: the calmer the result, the fewer bands.
"""

import numpy as np
from PIL import Image

LEVELS = (0.2, 0.4, 0.6, 0.8)
"""Evidence (0..1) from which each band begins."""
COLOURS = ((62, 180, 240), (44, 214, 170), (198, 226, 60), (255, 236, 90))
"""Of each band: lightness rises, and blue, green and yellow are no colours of skin."""
FILL, LINE = 0.30, 0.95
"""Opacity of a band and of its contour."""
_WIDTH = 1.3
_DIMMED = 0.55


def evidence_strength(probability: float) -> float:
    """How strongly to draw the map, 0..1: the cube root of the probability (0..1).

    0.001 -> 0.1, 0.05 -> 0.37, 0.5 -> 0.79: visible where a screening threshold lies, calm below.
    Raises ValueError outside 0..1.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"{probability!r} is not a probability")
    return probability ** (1 / 3)


def bands(
    size: tuple[int, int],
    evidence_map: np.ndarray,
    box: tuple[int, int, int, int],
    strength: float,
) -> np.ndarray:
    """The bands alone, uint8 RGBA (height, width, 4), to be laid over an image of ``size``.

    ``size``: (width, height). ``evidence_map``: (h, w), not negative, any scale; a map of zeros
    draws nothing. ``box``: (left, top, right, bottom), the part that was judged
    (``images.crop_box``); the map is spread over it, the rest is darkened. ``strength``: 0..1.
    Evidence = map / its maximum * strength: one scale for the maps of all models and classes.
    Raises ValueError for values outside.
    """
    width, height = size
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"box {box} does not lie in an image of {width} x {height}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength!r} is not in 0..1")
    drawn = np.zeros((height, width, 4), np.uint8)
    drawn[..., 3] = round(255 * (1 - _DIMMED))
    evidence = _evidence(evidence_map, (right - left, bottom - top)) * np.float32(strength)
    colour = np.zeros((*evidence.shape, 3), np.float32)
    opacity = np.zeros(evidence.shape, np.float32)
    slope = np.hypot(*np.gradient(evidence)) + 1e-6
    for level, rgb in zip(LEVELS, COLOURS, strict=True):
        inside = evidence >= level
        if not inside.any():
            break
        colour[inside], opacity[inside] = rgb, FILL
        # Pixels from the contour, by the slope there.
        line = np.clip(_WIDTH + 0.5 - np.abs(evidence - level) / slope, 0, 1) * LINE
        over = line > opacity
        colour[over] = rgb
        opacity = np.maximum(opacity, line)
    drawn[top:bottom, left:right, :3] = colour
    drawn[top:bottom, left:right, 3] = np.rint(255 * opacity)
    return drawn


def overlay(
    rgb: np.ndarray,
    evidence_map: np.ndarray,
    box: tuple[int, int, int, int],
    strength: float,
) -> np.ndarray:
    """An image, uint8 (height, width, 3), with the bands of ``bands`` over it."""
    height, width = rgb.shape[:2]
    above = Image.fromarray(bands((width, height), evidence_map, box, strength), "RGBA")
    picture = Image.fromarray(rgb).convert("RGBA")
    picture.alpha_composite(above)
    return np.asarray(picture.convert("RGB"))


def _evidence(evidence_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The map at (width, height), 0..1 of its own maximum; bicubic, its overshoot cut off."""
    values = np.asarray(evidence_map, np.float32)
    if values.ndim != 2 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("the evidence map is not a finite, non-negative (h, w) array")
    peak = values.max()
    if peak > 0:
        values = values / peak
    smooth = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))
    return np.clip(smooth, 0, 1)
