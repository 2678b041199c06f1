"""What dermoscopy-like drawings are made of: skin, outlines, networks, dots, hairs, light.

Maps are float32 arrays of SHAPE. Colour is made as skin makes it: melanin and blood each take away
red, green and blue by Beer and Lambert's law, so that a spot on dark skin is darker than the same
spot on light skin. Knows no picture as a whole (``drawings``) and no file.
"""

import math
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

SHAPE = HEIGHT, WIDTH = 450, 600
"""Of HAM10000's own pictures."""
# Optical density of red, green and blue for one unit. By eye after the absorption spectra at
# omlc.org/spectra (Jacques): melanin takes ever more towards blue, blood spares red.
_MELANIN = np.array([0.60, 0.95, 1.25], np.float32)
_BLOOD = np.array([0.16, 1.05, 0.92], np.float32)
# Lines are drawn at twice the size and scaled down: Pillow draws them without antialiasing.
_FINER = 2
_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


def noise(rng: np.random.Generator, scale: float, octaves: int = 4) -> np.ndarray:
    """Value noise of mean 0 and standard deviation 1.

    ``scale``: size in pixels of its largest patches; each of the ``octaves`` halves it.
    """
    total = np.zeros((1, 1), np.float32)
    for octave in range(octaves):
        cell = max(scale / 2**octave, 1)
        size = math.ceil(WIDTH / cell) + 1, math.ceil(HEIGHT / cell) + 1
        finer = rng.standard_normal(size[::-1], dtype=np.float32)
        total = _resized(total, size) + finer / 2**octave
    total = _resized(total, (WIDTH, HEIGHT))
    return (total - total.mean()) / total.std()


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))


def outline(
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius: float,
    roughness: float,
    stretch: float = 1.0,
    notches: tuple[tuple[float, float, float], ...] = (),
) -> np.ndarray:
    """How deep each pixel lies within a blob, in pixels; negative outside.

    ``centre``: (x, y). ``roughness``: 0 is an ellipse of ``stretch`` (width to height); 0.1 or more
    is irregular, by a Fourier series of the radius over the angle and a shift of every pixel.
    ``notches``: (angle in radians, width in radians, depth as a share of the radius).
    """
    shift = 3 + 30 * roughness
    x = (_X - centre[0] + shift * noise(rng, 90, 3)) / stretch
    y = _Y - centre[1] + shift * noise(rng, 90, 3)
    angles = np.linspace(-np.pi, np.pi, 721)
    edge = np.ones_like(angles)
    for order in range(2, 8):
        phase, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1)
        edge += roughness * height * 2 / order * np.cos(order * angles + phase)
    for at, width, deep in notches:
        away = np.angle(np.exp(1j * (angles - at)))
        edge -= deep * np.exp(-0.5 * (away / width) ** 2)
    reach = np.interp(np.arctan2(y, x), angles, radius * edge).astype(np.float32)
    return reach - np.hypot(x, y)


def rise(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 up to ``start``, 1 from ``end`` on, smooth between them (smoothstep)."""
    t = np.clip((values - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def honeycomb(rng: np.random.Generator, cell: float, warp: float) -> np.ndarray:
    """A net, 0 in its holes to 1 on its lines.

    ``cell``: pixels from hole to hole. ``warp``: how far it is bent, as a share of ``cell``.
    Three plane waves 60 degrees apart, whose sum has its peaks on a triangular lattice: the holes.
    """
    x = _X + warp * cell * noise(rng, 4 * cell, 4)
    y = _Y + warp * cell * noise(rng, 4 * cell, 4)
    wave = 4 * math.pi / (math.sqrt(3) * cell)
    total = sum(
        np.cos(np.float32(wave * math.cos(a)) * x + np.float32(wave * math.sin(a)) * y)
        for a in (0.3, 0.3 + math.pi / 3, 0.3 + 2 * math.pi / 3)
    )
    return rise(-total, -1.6, 1.4)


def dots(
    rng: np.random.Generator, where: np.ndarray, count: int, low: float, high: float, soft: float
) -> np.ndarray:
    """``count`` discs, 0..1, likelier where ``where`` (not negative) is higher.

    ``low``, ``high``: their radius in pixels. ``soft``: width of their edge as a share of it.
    """
    drawn = np.zeros(SHAPE, np.float32)
    heap = np.cumsum(where.ravel(), dtype=np.float64)
    places = np.searchsorted(heap, rng.uniform(0, heap[-1], count))
    for place, radius in zip(places, rng.uniform(low, high, count), strict=True):
        cy, cx = divmod(int(place), WIDTH)
        reach = math.ceil(radius * (1 + soft)) + 1
        window = np.s_[max(cy - reach, 0) : cy + reach + 1, max(cx - reach, 0) : cx + reach + 1]
        distance = np.hypot((_X[window] - cx) * rng.uniform(0.8, 1.2), _Y[window] - cy)
        disc = rise(-distance, -radius * (1 + soft), -radius * (1 - soft))
        drawn[window] = np.maximum(drawn[window], disc)
    return drawn


def hairs(rng: np.random.Generator, count: int, width: float) -> np.ndarray:
    """Curved strands across the picture, 0..1. ``width``: at their root, in pixels."""
    canvas = Image.new("L", (WIDTH * _FINER, HEIGHT * _FINER))
    pen = ImageDraw.Draw(canvas)
    lean = rng.uniform(0.2, 0.7)
    steps = np.linspace(0, 1, 60)[:, None]
    for _ in range(count):
        root = rng.uniform((-60, -60), (WIDTH, HEIGHT))
        angle, length = rng.normal(lean, 0.35), rng.uniform(220, 460)
        ahead = np.array([math.cos(angle), math.sin(angle)])
        aside = np.array([-ahead[1], ahead[0]]) * rng.normal(0, 70)
        middle, tip = root + ahead * length / 2 + aside, root + ahead * length
        curve = (1 - steps) ** 2 * root + 2 * steps * (1 - steps) * middle + steps**2 * tip
        points = [tuple(point) for point in curve * _FINER]
        thick = width * rng.uniform(0.6, 1.1) * _FINER
        for index, (start, end) in enumerate(pairwise(points)):
            pen.line((start, end), fill=255, width=max(1, round(thick * (1 - index / 75))))
    return scaled(canvas)


def scaled(canvas: Image.Image) -> np.ndarray:
    """A finely drawn canvas of mode L as a map, 0..1."""
    small = canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def fine_canvas() -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """An empty canvas for ``scaled``, its pen, and how many of its pixels make one."""
    canvas = Image.new("L", (WIDTH * _FINER, HEIGHT * _FINER))
    return canvas, ImageDraw.Draw(canvas), _FINER


def skin(
    rng: np.random.Generator, melanin: float, blood: float = 0.17
) -> tuple[np.ndarray, np.ndarray]:
    """Melanin and blood of bare skin: uneven tone, furrows, pores.

    ``melanin``: about 0.12 for light skin, 0.45 for brown, 1.1 for dark.
    """
    furrows = rise(honeycomb(rng, 30, 0.5), 0.45, 1.0)
    grain = noise(rng, 5, 3)
    pigment = melanin * (1 + 0.07 * noise(rng, 160) + 0.05 * grain - 0.06 * furrows)
    redness = blood * (1 + 0.13 * noise(rng, 240, 6) - 0.07 * furrows + 0.03 * grain)
    return pigment, np.maximum(redness, 0)


def pigmented(melanin: np.ndarray, blood: np.ndarray) -> np.ndarray:
    """RGB, 0..1, (450, 600, 3), of skin that holds this much of both."""
    return np.exp(-(melanin[..., None] * _MELANIN + blood[..., None] * _BLOOD))


def blend(picture: np.ndarray, colour: tuple[float, float, float], share: np.ndarray) -> np.ndarray:
    """``picture`` moved towards an RGB ``colour`` (0..1) by ``share`` (0..1) at each pixel."""
    return picture + share[..., None] * (np.array(colour, np.float32) - picture)


def lit(picture: np.ndarray, centre: tuple[float, float], field: float | None) -> np.ndarray:
    """A dermatoscope's light, brightest at ``centre`` (x, y), and the dark outside of its round
    ``field`` (radius in pixels; None: larger than the picture)."""
    away = np.hypot(_X - centre[0], _Y - centre[1])
    light = 1.03 - 0.24 * (away / 375) ** 2
    if field is not None:
        middle = np.hypot(_X - WIDTH / 2, _Y - HEIGHT / 2)
        light = light * (1 - 0.97 * rise(middle, field - 12, field + 6))
    return picture * light[..., None]


def exposed(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """uint8 RGB of a picture in 0..1, with a sensor's noise; what is brighter than 1 is lost."""
    grain = rng.standard_normal(SHAPE, dtype=np.float32)[..., None]
    return np.clip(np.rint(255 * picture + 1.7 * grain), 0, 255).astype(np.uint8)
