"""Evidence map + image -> bands over it. Pure: no file, no page.

A map normalised to its own maximum looks as hot at p = 0.001 as at p = 0.99. So evidence is the map
times a strength that follows the probability, drawn on one scale as bands of fixed opacity with a
contour each: the calmer the result, the fewer bands.
"""

import io

import numpy as np
from PIL import Image

LEVELS = (0.2, 0.4, 0.6, 0.8)
"""Evidence (0..1) from which each band begins."""
COLOURS = ((96, 134, 246), (38, 184, 200), (126, 216, 92), (255, 236, 64))
"""Of each band, blue to yellow as in "viridis" without its dark end, which dark skin swallows:
lightness rises, so it reads the same for colour-blind eyes and in grey, and none is a colour of
skin. Also for a legend."""
FILL = 0.32
"""Opacity of a band: the lesion stays visible beneath it."""
# Pixels either side of a contour, for 512 on the longer side of the image: its colour, and a dark
# edge that parts it from light skin.
_LINE, _EDGE = 0.9, 2.0
_EDGE_COLOUR, _EDGE_OPACITY = (10, 14, 34), 0.5
_DIMMED = 0.6
_COUNTED = 128  # pixels a side on which ``coverage`` counts
_FILLS = np.array([(0, 0, 0, 0), *((*colour, round(255 * FILL)) for colour in COLOURS)], np.uint8)


def evidence_strength(probability: float) -> float:
    """How strongly to draw the map, 0..1: the cube root of the probability (0..1).

    0.001 -> 0.1, 0.05 -> 0.37, 0.5 -> 0.79: visible where a screening threshold lies, calm below.
    Raises ValueError outside 0..1.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"{probability!r} is not a probability")
    return float(probability ** (1 / 3))


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
    inside = _inside(evidence_map, (right - left, bottom - top), strength, max(size) / 512)
    if (left, top, right, bottom) == (0, 0, width, height):
        return inside
    drawn = np.zeros((height, width, 4), np.uint8)
    drawn[..., 3] = round(255 * (1 - _DIMMED))
    drawn[top:bottom, left:right] = inside
    return drawn


def coverage(evidence_map: np.ndarray, strength: float) -> tuple[int, float]:
    """How many bands ``bands`` draws of a map, and the share (0..1) of the judged part in them."""
    evidence = _spread(_shares(evidence_map), (_COUNTED, _COUNTED), strength)
    count = sum(bool(evidence.max() >= level) for level in LEVELS)
    return count, float((evidence >= LEVELS[0]).mean())


def _spread(values: np.ndarray, size: tuple[int, int], strength: float) -> np.ndarray:
    """Evidence (0..1) at each pixel of the judged part, of ``size``; ``values``: of ``_shares``."""
    smooth = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))
    return np.clip(smooth, 0, 1) * np.float32(strength)  # bicubic overshoots


def _inside(
    evidence_map: np.ndarray, size: tuple[int, int], strength: float, scale: float
) -> np.ndarray:
    """``bands`` of the part that was judged, of ``size``."""
    values = _shares(evidence_map)
    width, height = size
    if strength < LEVELS[0] or not values.any():  # most images: no band, and nothing to compute
        return np.zeros((height, width, 4), np.uint8)
    evidence = _spread(values, size, strength)
    reached = [level for level in LEVELS if evidence.max() >= level]
    band = np.zeros(evidence.shape, np.uint8)
    for level in reached:
        band += evidence >= level
    # A pixel's four bytes at once: NumPy is slow along a short axis.
    drawn = _FILLS.view(np.uint32)[:, 0][band].view(np.uint8)
    _contours(drawn.reshape(-1, 4), evidence, reached, scale)
    return drawn.reshape(height, width, 4)


def _contours(drawn: np.ndarray, evidence: np.ndarray, levels: list[float], scale: float) -> None:
    """Draw every level's contour into uint8 RGBA (pixels, 4), in place."""
    if not levels:
        return
    slope = _slope(evidence)
    reach = slope * np.float32(_EDGE * scale + 0.5)
    for level, colour in zip(levels, COLOURS, strict=False):
        offset = np.abs(evidence - np.float32(level))
        # Few pixels are near: only those are computed as fractions. Channels first, as above, and
        # colours with their opacity as a factor (premultiplied) while layers are put on them.
        near = np.flatnonzero(offset < reach)
        distance = offset.ravel()[near] / slope.ravel()[near]  # in pixels, by the slope there
        layers = drawn[near].T.astype(np.float32)
        layers[:3] *= layers[3] / 255
        for width, shade, most in ((_EDGE, _EDGE_COLOUR, _EDGE_OPACITY), (_LINE, colour, 1.0)):
            line = np.clip(width * scale + 0.5 - distance, 0, 1) * np.float32(most)
            layers *= 1 - line
            layers += np.array((*shade, 255), np.float32)[:, None] * line
        layers[:3] *= 255 / np.maximum(layers[3], 1e-6)
        drawn[near] = np.rint(layers).T


def overlay(
    rgb: np.ndarray,
    evidence_map: np.ndarray,
    box: tuple[int, int, int, int],
    strength: float,
) -> Image.Image:
    """An image, uint8 (height, width, 3), with ``bands`` over it; RGB of the same size."""
    height, width = rgb.shape[:2]
    above = Image.fromarray(bands((width, height), evidence_map, box, strength))
    picture = Image.fromarray(rgb)
    picture.paste(above, mask=above)
    return picture


def encoded(picture: np.ndarray) -> bytes:
    """A WebP file of a drawing such as ``bands``, uint8 (height, width, 3 or 4 with opacity).

    Without loss: of even surfaces that is quicker, and mostly smaller, than with it.
    """
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True, quality=20, method=1)
    return file.getvalue()


def _slope(evidence: np.ndarray) -> np.ndarray:
    """Change a pixel; a little above 0, so that a plain has no contour, wherever it lies."""
    if min(evidence.shape) < 2:
        return np.full_like(evidence, 1e-6)
    down, right = np.gradient(evidence)
    return np.sqrt(down * down + right * right) + np.float32(1e-6)


def _shares(evidence_map: np.ndarray) -> np.ndarray:
    """The map as float32, 0..1 of its own maximum."""
    values = np.asarray(evidence_map, np.float32)
    if values.ndim != 2 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("the evidence map is not a finite, non-negative (h, w) array")
    peak = values.max()
    return values / peak if peak > 0 else values
