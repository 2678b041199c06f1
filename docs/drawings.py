"""Drawn example images: dermoscopy-like pictures that belong to nobody.

The data set's images may not be redistributed, so the page's examples are drawings, each from a
seed of its own and the same every time. They show what the page does with an image; what a model
says of them says nothing of skin.

    python -m docs.drawings mel_demo/ui/examples

Maps are float32 arrays of SHAPE. Colour is made as skin makes it: melanin and blood each take away
red, green and blue by Beer and Lambert's law, so that a spot on dark skin is darker than the same
spot on light skin.
"""

import io
import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import typer
from PIL import ExifTags, Image, ImageDraw, ImageFilter, ImageFont

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


NOTICE = "drawing, not a photograph"
"""Stands in every file that is written, and belongs beside every drawing that is shown."""
LIGHT, TANNED, BROWN, DARK = 0.12, 0.21, 0.42, 1.05
"""Melanin of the skins drawn."""
_CENTRE = (WIDTH / 2, HEIGHT / 2)
# Strokes of a surgeon's pen, (x, y) from and to.
_INK = np.array([[(150, 90), (208, 122)], [(505, 118), (452, 156)], [(472, 300), (425, 268)]])


class Drawing(NamedTuple):
    """What a drawing is called, and what a visitor sees in it."""

    title: str
    description: str


def _nevus(rng: np.random.Generator, melanin: float) -> np.ndarray:
    """Round, evenly brown, a faint network that fades out at the edge."""
    pigment, blood = skin(rng, melanin)
    depth = outline(rng, (305, 222), 108, 0.014, 1.12)
    body = rise(depth, -9, 26)
    net = honeycomb(rng, 10.5, 0.45) * (0.2 + 0.06 * noise(rng, 60, 3))
    pigment = pigment + body * (0.5 + net + 0.05 * noise(rng, 70))
    pigment = pigment + 0.2 * rise(depth, 5, 95)
    return lit(pigmented(pigment, blood), (320, 205), None)


def _irregular(rng: np.random.Generator, melanin: float) -> np.ndarray:
    """Asymmetrical, notched, of many colours, with a blue-grey veil and a pale scar."""
    pigment, blood = skin(rng, melanin)
    notches = ((0.5, 0.11, 0.24), (-2.3, 0.16, 0.2), (2.5, 0.1, 0.22))
    depth = outline(rng, (292, 232), 134, 0.08, 1.2, notches) + 3.5 * noise(rng, 18, 4)
    body = rise(depth, -6, 10)
    dark = rise(noise(rng, 130, 4), -0.3, 1.3)
    net = honeycomb(rng, 14, 0.6) * (0.16 + 0.45 * dark)
    pigment = pigment + body * (0.55 + 0.12 * noise(rng, 90) + 0.95 * dark + net)
    pigment = pigment + 0.8 * dots(rng, body * (0.1 + dark), 70, 1.5, 6.0, 0.8) * body
    blood = blood + 0.55 * body * rise(noise(rng, 120, 3), 0.4, 1.8)
    picture = pigmented(pigment, blood)
    veil = rise(outline(rng, (338, 206), 56, 0.14, 1.3), -26, 26) * body
    picture = blend(picture, (0.38, 0.41, 0.48), veil * (0.64 + 0.1 * noise(rng, 40)))
    scar = rise(outline(rng, (232, 284), 30, 0.2, 1.5), -20, 18) * body
    pale = pigmented(np.full(1, 0.5 * melanin, np.float32), np.full(1, 0.16, np.float32))
    picture = blend(picture, tuple(pale[0]), 0.6 * scar)
    return lit(picture, (285, 235), 352)


def _keratosis(rng: np.random.Generator, melanin: float) -> np.ndarray:
    """Sharply bordered and waxy, with milia (bright) and plugs (dark) in its ridges."""
    pigment, blood = skin(rng, melanin)
    depth = outline(rng, (298, 228), 122, 0.05, 1.28)
    body = rise(depth, -2, 4)
    ridges = rise(np.abs(noise(rng, 42, 3)), 0.0, 0.9)
    pigment = pigment + body * (0.34 + 0.34 * ridges + 0.08 * noise(rng, 9, 3))
    pigment = pigment + 0.3 * body * rise(-depth, -16, 0)
    pigment = pigment + 0.9 * dots(rng, rise(depth, 14, 30), 24, 3.0, 7.0, 0.5)
    picture = pigmented(pigment, blood * (1 - 0.6 * body))
    milia = dots(rng, rise(depth, 12, 24), 30, 2.0, 4.8, 0.8)
    picture = blend(picture, (0.97, 0.93, 0.80), 0.75 * milia)
    gloss = body * rise(noise(rng, 34, 3), 0.8, 2.4)
    return lit(blend(picture, (0.98, 0.9, 0.76), 0.28 * gloss), (330, 190), None)


def _vascular(rng: np.random.Generator, melanin: float) -> np.ndarray:
    """Red and purple lakes of blood, parted by pale walls."""
    pigment, blood = skin(rng, melanin, 0.2)
    depth = outline(rng, (302, 226), 100, 0.06, 1.1)
    body = rise(depth, -8, 10)
    sizes = 0.62 + 0.12 * noise(rng, 70, 2)
    lakes = rise(sizes - honeycomb(rng, 36, 0.3), -0.16, 0.16) * rise(depth, -2, 9)
    blood = blood + 0.5 * body + lakes * (1.15 + 0.2 * noise(rng, 40))
    purple = lakes * rise(noise(rng, 120, 3), 0.1, 1.6)
    picture = pigmented(pigment + 0.5 * purple, blood)
    picture = blend(picture, (0.36, 0.15, 0.34), 0.4 * purple)
    return lit(picture, (280, 205), 340)


def _hairy(rng: np.random.Generator, melanin: float) -> np.ndarray:
    """A plain nevus, with fair hairs and their shadows lying over it: the released student takes
    many dark ones for no dermoscopy image."""
    pigment, blood = skin(rng, melanin)
    depth = outline(rng, (300, 235), 92, 0.05, 1.25)
    body = rise(depth, -10, 22)
    pigment = pigment + body * (0.55 + 0.26 * honeycomb(rng, 11, 0.5) + 0.08 * noise(rng, 70))
    pigment = pigment + 0.35 * dots(rng, body, 24, 2.5, 5, 0.9) * body
    strands = hairs(rng, 40, 4)
    pigment = pigment + 0.16 * np.roll(strands, (5, 4), (0, 1))
    picture = blend(pigmented(pigment, blood), (0.11, 0.08, 0.07), 0.45 * strands)
    return lit(picture, (300, 220), None)


def _measured(rng: np.random.Generator, melanin: float) -> np.ndarray:
    """A nevus beside a ruler's millimetres, marked with a surgeon's purple ink."""
    pigment, blood = skin(rng, melanin)
    depth = outline(rng, (318, 206), 78, 0.06, 1.15)
    body = rise(depth, -7, 16)
    pigment = pigment + body * (0.6 + 0.28 * honeycomb(rng, 11, 0.5) + 0.08 * noise(rng, 50))
    picture = pigmented(pigment, blood)
    ink, pen, fine = fine_canvas()
    for start, end in _INK:
        pen.line((*(fine * start), *(fine * end)), fill=255, width=12 * fine)
        for x, y in (fine * start, fine * end):
            pen.circle((x, y), 6 * fine, fill=255)
    worn = np.clip(0.84 + 0.1 * noise(rng, 14, 4), 0, 0.96)
    picture = blend(picture, (0.25, 0.13, 0.50), worn * scaled(ink))
    ruler, pen, fine = fine_canvas()
    font = ImageFont.load_default(20 * fine)
    for millimetre in range(31):
        x = (24 + 18.4 * millimetre) * fine
        long = 34 if millimetre % 10 == 0 else 24 if millimetre % 5 == 0 else 15
        pen.line((x, HEIGHT * fine, x, (HEIGHT - long) * fine), fill=255, width=2 * fine)
        if millimetre % 10 == 0:
            at = (x, (HEIGHT - 40) * fine)
            pen.text(at, str(millimetre), fill=255, font=font, anchor="mb")
    picture = blend(picture, (0.05, 0.05, 0.06), 0.88 * scaled(ruler))
    return lit(picture, _CENTRE, None)


def _blurred(rng: np.random.Generator, melanin: float) -> np.ndarray:
    """The irregular one, out of focus."""
    whole = Image.fromarray((255 * np.clip(_irregular(rng, melanin), 0, 1)).astype(np.uint8))
    return np.asarray(whole.filter(ImageFilter.GaussianBlur(9)), np.float32) / 255


def _overexposed(rng: np.random.Generator, melanin: float) -> np.ndarray:
    """A plain nevus under too much light, though not so much that it is refused."""
    return _nevus(rng, melanin) * 1.35 + 0.05


def _landscape(rng: np.random.Generator) -> np.ndarray:
    """Hills before an evening sky."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    picture = np.empty((HEIGHT, WIDTH, 3), np.float32)
    picture[:] = (0.27, 0.45, 0.72)
    picture = blend(picture, (1.0, 0.80, 0.55), rise(y, -40, 300))
    glow = np.hypot(x - 420, y - 150)
    picture = blend(picture, (1.0, 0.93, 0.76), 0.75 * np.exp(-glow / 90))
    picture = blend(picture, (1.0, 0.97, 0.88), rise(-glow, -34, -31))
    clouds = rise(noise(rng, 70, 5)[:, : WIDTH // 4].repeat(4, axis=1), 0.2, 2.2)
    picture = blend(picture, (1.0, 0.94, 0.92), 0.55 * clouds * rise(-y, -230, -60))
    for index, (base, height, colour) in enumerate(
        (
            (235, 30, (0.60, 0.60, 0.72)),
            (275, 34, (0.42, 0.50, 0.60)),
            (325, 26, (0.27, 0.42, 0.40)),
            (385, 20, (0.15, 0.30, 0.22)),
        )
    ):
        ridge = base + height * noise(rng, 150 - 20 * index, 6)[index * 40]
        picture = blend(picture, colour, rise(y - ridge, -0.8, 0.8))
    return picture


class _Scene(NamedTuple):
    drawing: Drawing
    seed: int
    paint: Callable[[np.random.Generator], np.ndarray]


# Scenes of one seed show one lesion: on other skin, out of focus, in too much light.
_SCENES = {
    "nevus": _Scene(
        Drawing("Calm mole", "Round and evenly brown, with a faint network; light skin."),
        seed=1,
        paint=partial(_nevus, melanin=LIGHT),
    ),
    "irregular": _Scene(
        Drawing(
            "Irregular lesion",
            "Asymmetrical and notched, many colours, a blue-grey veil; light skin.",
        ),
        seed=4,
        paint=partial(_irregular, melanin=LIGHT),
    ),
    "keratosis": _Scene(
        Drawing("Keratosis", "Waxy and sharply bordered, with bright milia and dark plugs."),
        seed=0,
        paint=partial(_keratosis, melanin=TANNED),
    ),
    "vascular": _Scene(
        Drawing("Vascular lesion", "Red and purple lakes of blood between pale walls."),
        seed=4,
        paint=partial(_vascular, melanin=LIGHT),
    ),
    "nevus-brown": _Scene(
        Drawing("Calm mole, brown skin", "The same mole on brown skin."),
        seed=1,
        paint=partial(_nevus, melanin=BROWN),
    ),
    "nevus-dark": _Scene(
        Drawing("Calm mole, dark skin", "The same mole on dark skin."),
        seed=1,
        paint=partial(_nevus, melanin=DARK),
    ),
    "irregular-dark": _Scene(
        Drawing("Irregular lesion, dark skin", "The same irregular lesion on dark skin."),
        seed=4,
        paint=partial(_irregular, melanin=DARK),
    ),
    "hair": _Scene(
        Drawing("Under hair", "A plain mole with fair hairs lying over it."),
        seed=5,
        paint=partial(_hairy, melanin=TANNED),
    ),
    "ruler": _Scene(
        Drawing("Ruler and ink", "A mole with a ruler and a surgeon's pen marks; brown skin."),
        seed=6,
        paint=partial(_measured, melanin=BROWN),
    ),
    "blurred": _Scene(
        Drawing("Out of focus", "The irregular lesion, blurred: nothing fine can be seen."),
        seed=4,
        paint=partial(_blurred, melanin=LIGHT),
    ),
    "overexposed": _Scene(
        Drawing("Too much light", "The calm mole, overexposed: much of the skin is bare white."),
        seed=1,
        paint=partial(_overexposed, melanin=LIGHT),
    ),
    "landscape": _Scene(
        Drawing("No lesion at all", "Hills at sunset: the models answer all the same."),
        seed=7,
        paint=_landscape,
    ),
}
DRAWINGS: Mapping[str, Drawing] = MappingProxyType(
    {name: scene.drawing for name, scene in _SCENES.items()}
)
"""All drawings by name, in the order to show them."""


def draw(name: str) -> np.ndarray:
    """One of DRAWINGS: uint8 RGB (450, 600, 3), the same every time. KeyError for another name."""
    scene = _SCENES[name]
    rng = np.random.default_rng(scene.seed)
    return exposed(rng, scene.paint(rng))


def jpeg(name: str) -> bytes:
    """``draw`` as a JPEG file whose comment and EXIF description say that it is a drawing."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = NOTICE
    file = io.BytesIO()
    Image.fromarray(draw(name)).save(file, "JPEG", quality=92, comment=NOTICE, exif=exif)
    return file.getvalue()


def main(folder: Path) -> None:
    """Write all drawings as JPEG files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DRAWINGS:
        (folder / f"{name}.jpg").write_bytes(jpeg(name))
    print(f"{len(DRAWINGS)} drawings written to {folder}")


if __name__ == "__main__":
    typer.run(main)
