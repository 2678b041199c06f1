"""Evidence map + image -> picture. Pure: arrays in, arrays out, no files and no page.

A map normalised to its own maximum looks as hot at p = 0.001 as at p = 0.99. So its opacity
follows the melanoma probability: a confident benign result looks calm.
"""

import numpy as np
from PIL import Image

PEAK_OPACITY = 0.65
"""Opacity of the strongest point at strength 1: the lesion stays visible beneath it."""
_DIMMED = 0.75


# Nine samples of "viridis" from 0 to 1 (Smith and van der Walt 2015, CC0): lightness rises evenly,
# so it reads the same for colour-blind eyes and in grey, and its blue, green and yellow are not
# colours of skin.
_SAMPLES = np.array(
    [
        (68, 1, 84),
        (71, 45, 123),
        (59, 82, 139),
        (44, 114, 142),
        (33, 145, 140),
        (40, 174, 128),
        (94, 201, 98),
        (173, 220, 48),
        (253, 231, 37),
    ]
)
COLOURS = np.stack(
    [
        np.rint(np.interp(np.linspace(0, 8, 256), range(9), _SAMPLES[:, channel]))
        for channel in range(3)
    ],
    axis=1,
).astype(np.uint8)
"""uint8 (256, 3): the colour of no evidence (0) to the strongest (255); also for a legend."""


def evidence_strength(melanoma_probability: float) -> float:
    """How strongly to draw the map, 0..1: the cube root of the probability (0..1).

    0.001 -> 0.1, 0.05 -> 0.37, 0.5 -> 0.79: visible where a screening threshold lies, calm below.
    Raises ValueError outside 0..1.
    """
    if not 0 <= melanoma_probability <= 1:
        raise ValueError(f"{melanoma_probability!r} is not a probability")
    return melanoma_probability ** (1 / 3)


def overlay(
    rgb: np.ndarray,
    evidence_map: np.ndarray,
    box: tuple[int, int, int, int],
    strength: float,
) -> np.ndarray:
    """Draw an evidence map over the image it explains; uint8 (height, width, 3) of the same shape.

    ``rgb``: uint8 (height, width, 3). ``evidence_map``: (h, w), not negative, any scale; a map of
    zeros draws nothing. ``box``: (left, top, right, bottom), the part that was judged
    (``images.crop_box``); the map is spread over it, the rest is dimmed. ``strength``: 0..1.
    Evidence = map / its maximum * strength; it chooses the colour and, times PEAK_OPACITY, the
    opacity: one scale for the maps of all models and classes. Raises ValueError for values outside.
    """
    height, width = rgb.shape[:2]
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"box {box} does not lie in an image of {width} x {height}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength!r} is not in 0..1")
    picture = rgb.copy()
    if box != (0, 0, width, height):
        picture = np.rint(picture * np.float32(_DIMMED)).astype(np.uint8)
    judged = Image.fromarray(np.ascontiguousarray(rgb[top:bottom, left:right]))
    heat = np.rint(_heat(evidence_map, judged.size) * np.float32(strength)).astype(np.uint8)
    colours = Image.fromarray(heat)
    colours.putpalette(COLOURS.tobytes())
    opacity = Image.fromarray(np.rint(heat * np.float32(PEAK_OPACITY)).astype(np.uint8))
    picture[top:bottom, left:right] = Image.composite(colours.convert("RGB"), judged, opacity)
    return picture


def _heat(evidence_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The map at (width, height), 0..255 of its own maximum; bicubic, its overshoot cut off."""
    values = np.asarray(evidence_map, np.float32)
    if values.ndim != 2 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("the evidence map is not a finite, non-negative (h, w) array")
    peak = values.max()
    if peak > 0:
        values = values / peak
    smooth = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))
    return np.rint(np.clip(smooth, 0, 1) * 255).astype(np.uint8)
