"""Pictures that are no dermoscopy images, to measure how many of them are noticed. Offline.

Photographs, textures and other medical pictures come with scikit-image, scikit-learn, matplotlib
and gradio; text, noise and bare skin are drawn; a folder of everyday photographs may be added. Two
halves of different sources: ``choice`` is learned from and chosen on, what is reported comes from
``report``, on which nothing was chosen. There are no close-up photographs of skin with a phone
among them: none can be had offline. Knows nothing of models.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gradio.media
import matplotlib.cbook
import numpy as np
import skimage.data
import skimage.util
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mel_demo.images import open_image
from training.data.ham10000 import IMAGE_SUFFIXES
from training.errors import DataError

Half = Literal["choice", "report"]
KINDS = ("photograph", "grey photograph", "texture", "other medical", "text", "noise", "bare skin")
SEED = 20260723
SIZE = (600, 450)
"""Width and height of a drawing, in pixels."""
_CROPS, _DRAWINGS = 12, 40
_SMALLEST_CROP = 0.35  # of the source's shorter side: below that hardly anything is left of it
_WORDS = (  # noqa: SIM905, one a line would be the longest part of this file
    "report settings melanoma results total image page menu upload date patient not found "
    "the a of and search 2024 error invoice hello open save message home name number"
).split()


@dataclass(frozen=True, eq=False)
class Other:
    """A picture, uint8 RGB (height, width, 3), with its kind (of KINDS) and its source."""

    kind: str
    source: str
    rgb: np.ndarray


def others(half: Half, photographs: Path | None = None) -> Iterator[Other]:
    """All pictures of one half; the same ones at every call.

    ``photographs``: a folder of JPEG or PNG files, each on its own in one half or the other.
    """
    files = () if photographs is None else _photographs(photographs)
    first = set(np.random.default_rng(SEED).permutation(len(files))[: len(files) // 2].tolist())
    for number, path in enumerate(files):
        if (number in first) == (half == "choice"):
            yield Other("photograph", path.name, open_image(path))
    for number, (kind, sources) in enumerate(_PICTURES[half].items()):
        for source in sources:
            rng = np.random.default_rng([SEED, number, len(source), *source.encode()])
            picture = _load(source)
            for _ in range(_CROPS):
                rgb = _crop(picture, rng)
                yield Other(kind, source, _tinted(rgb, rng) if kind == "texture" else rgb)
    for kind, drawings in _DRAWN[half].items():
        for name, draw in drawings.items():
            rng = np.random.default_rng([SEED, *name.encode()])
            for _ in range(_DRAWINGS):
                yield Other(kind, name, draw(rng))


_PICTURES: dict[Half, dict[str, tuple[str, ...]]] = {
    "choice": {
        "photograph": (
            *("astronaut", "cat", "coffee", "rocket", "stereo_motorcycle"),
            *("china.jpg", "flower.jpg", "grace_hopper.jpg"),
        ),
        "grey photograph": ("camera", "coins", "moon", "clock"),
        "texture": ("brick", "gravel", "grass"),
        "other medical": ("immunohistochemistry", "retina", "cell"),
        "text": ("page", "text"),
    },
    "report": {
        "photograph": (
            *("gradio:lion.jpg", "gradio:cheetah1.jpg", "gradio:tower.jpg", "gradio:bus.png"),
            "hubble_deep_field",
        ),
        "grey photograph": ("lfw_subset",),
        "texture": ("binary_blobs",),
        "other medical": ("microaneurysms", "shepp_logan_phantom"),
    },
}


def _photographs(folder: Path) -> list[Path]:
    """Its pictures by name; DataError without any."""
    found = [] if not folder.is_dir() else sorted(folder.iterdir())
    found = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise DataError(f"{folder} is no folder of photographs: it holds no JPEG or PNG file.")
    return found


def _load(source: str) -> np.ndarray:
    """uint8 RGB of a picture that is installed with a package."""
    if source.startswith("gradio:"):
        return open_image(Path(gradio.media.get_image(source.partition(":")[2])))
    if source == "grace_hopper.jpg":
        path = matplotlib.cbook.get_sample_data(source, asfileobj=False)
        return np.asarray(Image.open(path).convert("RGB"))
    if source.endswith(".jpg"):
        return sklearn.datasets.load_sample_image(source)
    options = {"rng": SEED} if source == "binary_blobs" else {}
    found = getattr(skimage.data, source)(**options)
    found = found[0] if isinstance(found, tuple) else found  # of a stereo pair the left one
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


def _plain_skin(rng: np.random.Generator) -> np.ndarray:
    return _bytes(np.tile(_skin(rng), (SIZE[1], SIZE[0], 1)))


def _lit_skin(rng: np.random.Generator) -> np.ndarray:
    """Light that falls off to one side and to the corners, and the noise of a sensor."""
    x, y = np.meshgrid(np.linspace(-1, 1, SIZE[0]), np.linspace(-1, 1, SIZE[1]))
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.2) * (x * np.cos(angle) + y * np.sin(angle))
    light -= rng.uniform(0, 0.25) * (x**2 + y**2) / 2
    grain = rng.normal(0, rng.uniform(0, 6), (SIZE[1], SIZE[0], 1))
    return _bytes(_skin(rng) * light[..., None] + grain)


def _document(rng: np.random.Generator) -> np.ndarray:
    """Black text on white."""
    return _written(rng, (255, 255, 255), [(0, 0, 0)], bars=0)


def _screen(rng: np.random.Generator) -> np.ndarray:
    """Text in colours on a coloured or dark ground, with the bars and buttons of an application."""
    ground = tuple(int(v) for v in rng.choice([rng.integers(10, 60, 3), rng.integers(200, 256, 3)]))
    inks = [tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(3)]
    return _written(rng, ground, inks, bars=int(rng.integers(1, 5)))


def _written(
    rng: np.random.Generator,
    ground: tuple[int, ...],
    inks: list[tuple[int, ...]],
    bars: int,
) -> np.ndarray:
    image = Image.new("RGB", SIZE, ground)
    draw = ImageDraw.Draw(image)
    for _ in range(bars):
        left, top = rng.integers(0, SIZE[0] - 100), rng.integers(0, SIZE[1] - 30)
        right, bottom = left + rng.integers(60, 400), top + rng.integers(20, 80)
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        draw.rectangle([int(left), int(top), int(right), int(bottom)], fill=fill)
    size = int(rng.integers(11, 34))
    font = ImageFont.load_default(size)
    for line_top in range(8, SIZE[1] - size, round(size * 1.5)):
        line = " ".join(rng.choice(_WORDS, rng.integers(1, 14)))
        draw.text((10, line_top), line, fill=inks[rng.integers(len(inks))], font=font)
    return np.asarray(image)


def _pixel_noise(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        return rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    return _bytes(rng.normal(rng.uniform(60, 200, 3), rng.uniform(20, 70), (SIZE[1], SIZE[0], 3)))


def _cloud_noise(rng: np.random.Generator) -> np.ndarray:
    """Noise of coarse grain: random colours on a small grid, enlarged."""
    cells = int(rng.integers(4, 40))
    grid = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
    smooth = grid.resize(SIZE, Image.Resampling.BICUBIC)
    return np.asarray(smooth.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 3)))))


def _table(rng: np.random.Generator) -> np.ndarray:
    """Figures in a ruled table, with a coloured heading."""
    image = Image.new("RGB", SIZE, (250, 250, 248))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(int(rng.integers(11, 20)))
    down, across = int(rng.integers(22, 40)), int(rng.integers(60, 120))
    draw.rectangle([0, 0, SIZE[0], down], fill=tuple(int(v) for v in rng.integers(40, 220, 3)))
    for top in range(0, SIZE[1], down):
        draw.line([0, top, SIZE[0], top], fill=(180, 180, 180))
        for left in range(0, SIZE[0], across):
            draw.line([left, 0, left, SIZE[1]], fill=(180, 180, 180))
            number = f"{rng.normal(0, 100):.1f}"
            draw.text((left + 5, top + 4), number, fill=(20, 20, 30), font=font)
    return np.asarray(image)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    """Waves of random direction and width in two random colours."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 120)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period) / 2 + 0.5
    first, second = rng.uniform(0, 255, (2, 3))
    return _bytes(first + (second - first) * wave[..., None])


def _mottled_skin(rng: np.random.Generator) -> np.ndarray:
    """Blotches of slightly other skin colours, finger wide, under even light."""
    cells = int(rng.integers(5, 12))
    grid = _bytes(_skin(rng) + rng.normal(0, rng.uniform(2, 8), (cells, cells, 3)))
    smooth = np.asarray(Image.fromarray(grid).resize(SIZE, Image.Resampling.BICUBIC), np.float64)
    return _bytes(smooth + rng.normal(0, rng.uniform(0, 4), (SIZE[1], SIZE[0], 1)))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_DRAWN: dict[Half, dict[str, dict[str, Callable[[np.random.Generator], np.ndarray]]]] = {
    "choice": {
        "text": {"document": _document, "screen": _screen},
        "noise": {"pixel noise": _pixel_noise, "cloud noise": _cloud_noise},
        "bare skin": {"plain skin": _plain_skin, "lit skin": _lit_skin},
    },
    "report": {
        "text": {"table": _table},
        "noise": {"stripes": _stripes},
        "bare skin": {"mottled skin": _mottled_skin},
    },
}
