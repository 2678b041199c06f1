"""Pictures that are no dermoscopy images, to measure how many of them are noticed. Offline.

Photographs, textures and other medical pictures come with scikit-image and gradio; text, noise and
bare skin are drawn. Nothing may be chosen by what they say: the distance and its threshold come
from other pictures. There are no close-up photographs of skin with a phone among them: none can be
had offline. Knows nothing of models.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio.media
import numpy as np
import skimage.data
import skimage.util
from PIL import Image, ImageDraw, ImageFont

from mel_demo.images import open_image

_SEED = 20260723
_SIZE = (600, 450)
"""Width and height of a drawing, in pixels."""
_CROPS, _DRAWINGS = 12, 40
_SMALLEST_CROP = 0.35  # of the source's shorter side: below that hardly anything is left of it


@dataclass(frozen=True, eq=False)
class Other:
    """A picture, uint8 RGB (height, width, 3), with its kind and its source."""

    kind: str
    source: str
    rgb: np.ndarray


def others() -> Iterator[Other]:
    """All pictures; the same ones at every call."""
    for number, (kind, sources) in enumerate(_PICTURES.items()):
        for source in sources:
            rng = np.random.default_rng([_SEED, number, len(source), *source.encode()])
            picture = _load(source)
            for _ in range(_CROPS):
                rgb = _crop(picture, rng)
                yield Other(kind, source, _tinted(rgb, rng) if kind == "texture" else rgb)
    for kind, drawings in _DRAWN.items():
        for name, draw in drawings.items():
            rng = np.random.default_rng([_SEED, *name.encode()])
            for _ in range(_DRAWINGS):
                yield Other(kind, name, draw(rng))


_PICTURES: dict[str, tuple[str, ...]] = {
    "photograph": (
        *("gradio:lion.jpg", "gradio:cheetah1.jpg", "gradio:tower.jpg", "gradio:bus.png"),
        "hubble_deep_field",
    ),
    "grey photograph": ("lfw_subset",),
    "texture": ("binary_blobs",),
    "other medical": ("microaneurysms", "shepp_logan_phantom"),
}


def _load(source: str) -> np.ndarray:
    """uint8 RGB of a picture that is installed with a package."""
    if source.startswith("gradio:"):
        return open_image(Path(gradio.media.get_image(source.partition(":")[2])))
    options = {"rng": _SEED} if source == "binary_blobs" else {}
    found = getattr(skimage.data, source)(**options)
    if source == "lfw_subset":  # 200 small pictures, the first hundred of faces
        found = np.hstack([np.vstack(found[row : row + 6]) for row in range(0, 48, 6)])
    return np.asarray(Image.fromarray(skimage.util.img_as_ubyte(found)).convert("RGB"))


def _crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A 4:3 part of random size and place."""
    height, width = picture.shape[:2]
    most = min(height, width * 3 // 4)
    part = int(most * rng.uniform(_SMALLEST_CROP, 1))
    across = part * 4 // 3
    top, left = rng.integers(0, height - part + 1), rng.integers(0, width - across + 1)
    return np.ascontiguousarray(picture[top : top + part, left : left + across])


def _tinted(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every other texture in one colour, since all textures here are grey."""
    if rng.random() < 0.5:
        return rgb
    return _bytes(rgb * rng.uniform(0.4, 1.1, 3))


def _skin(rng: np.random.Generator) -> np.ndarray:
    """A colour between dark and light skin, float64 (3,)."""
    dark, light = np.array([95, 60, 45]), np.array([240, 205, 185])
    return dark + rng.uniform(0, 1) * (light - dark) + rng.normal(0, 6, 3)


def _table(rng: np.random.Generator) -> np.ndarray:
    """Figures in a ruled table, with a coloured heading."""
    image = Image.new("RGB", _SIZE, (250, 250, 248))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(int(rng.integers(11, 20)))
    down, across = int(rng.integers(22, 40)), int(rng.integers(60, 120))
    draw.rectangle([0, 0, _SIZE[0], down], fill=tuple(int(v) for v in rng.integers(40, 220, 3)))
    for top in range(0, _SIZE[1], down):
        draw.line([0, top, _SIZE[0], top], fill=(180, 180, 180))
        for left in range(0, _SIZE[0], across):
            draw.line([left, 0, left, _SIZE[1]], fill=(180, 180, 180))
            number = f"{rng.normal(0, 100):.1f}"
            draw.text((left + 5, top + 4), number, fill=(20, 20, 30), font=font)
    return np.asarray(image)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    """Waves of random direction and width in two random colours."""
    x, y = np.meshgrid(np.arange(_SIZE[0]), np.arange(_SIZE[1]))
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 120)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period) / 2 + 0.5
    first, second = rng.uniform(0, 255, (2, 3))
    return _bytes(first + (second - first) * wave[..., None])


def _mottled_skin(rng: np.random.Generator) -> np.ndarray:
    """Blotches of slightly other skin colours, finger wide, under even light."""
    cells = int(rng.integers(5, 12))
    grid = _bytes(_skin(rng) + rng.normal(0, rng.uniform(2, 8), (cells, cells, 3)))
    smooth = np.asarray(Image.fromarray(grid).resize(_SIZE, Image.Resampling.BICUBIC), np.float64)
    return _bytes(smooth + rng.normal(0, rng.uniform(0, 4), (_SIZE[1], _SIZE[0], 1)))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_DRAWN: dict[str, dict[str, Callable[[np.random.Generator], np.ndarray]]] = {
    "text": {"table": _table},
    "noise": {"stripes": _stripes},
    "bare skin": {"mottled skin": _mottled_skin},
}
