"""A drawing that looks like a dermoscopy image, for the README's pictures. Not a real lesion.

Skin, a pigmented spot with an uneven edge and network, a few hairs: all from smoothed noise. It was
made to look at, not to be judged; whatever the models say of it means nothing.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def drawn_lesion(seed: int = 0, size: tuple[int, int] = (600, 450)) -> Image.Image:
    """An RGB drawing of ``size`` (width, height) pixels."""
    rng = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[0:height, 0:width]

    def noise(cell: float) -> np.ndarray:
        """Smooth noise (height, width) of mean 0 and deviation 1, with features of ``cell`` px."""
        small = rng.normal(size=(int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
        smooth = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))
        return (smooth - smooth.mean()) / smooth.std()

    distance = np.hypot((x - width * 0.5) / 1.15, y - height * 0.5)
    edge = height * 0.27 + 16 * noise(90) + 9 * noise(35) + 3 * noise(9)
    inside = 1 / (1 + np.exp((distance - edge) / 7))
    depth = inside * np.clip(0.72 + 0.22 * noise(60) + 0.12 * noise(22), 0.2, 1.15)
    network = inside * np.clip(np.abs(noise(7)) - 0.9, 0, 1) * 0.35

    shade = 1 - 0.22 * (np.hypot(x - width / 2, y - height / 2) / np.hypot(width, height) * 2) ** 2
    skin = np.array([226, 172, 150]) + np.array([7, 8, 8]) * noise(120)[..., None]
    skin = skin + np.array([4, 5, 5]) * noise(12)[..., None] + 3 * noise(3)[..., None]
    brown = np.array([112, 62, 40]) + np.array([14, 10, 8]) * noise(30)[..., None]
    blue = np.array([92, 84, 98])
    veil = (inside * np.clip(noise(75) - 0.9, 0, 1) * 0.5)[..., None]
    amount = np.clip(depth + network, 0, 1)[..., None]
    picture = (skin * (1 - amount) + brown * amount) * (1 - veil) + blue * veil
    image = Image.fromarray(np.clip(picture * shade[..., None], 0, 255).astype(np.uint8))

    hairs = Image.new("L", (2 * width, 2 * height))
    for _ in range(6):
        start, bend = rng.uniform(0, 1, 2) * (2 * width, 2 * height), rng.normal(0, 0.004)
        heading, points = rng.uniform(0, 2 * np.pi), []
        for _ in range(60):
            points.append(tuple(start))
            start = start + 9 * np.array([np.cos(heading), np.sin(heading)])
            heading += bend * 9
        ImageDraw.Draw(hairs).line(points, fill=150, width=3, joint="curve")
    hairs = hairs.resize(size, Image.Resampling.LANCZOS)
    image.paste((62, 44, 38), mask=hairs)
    return image.filter(ImageFilter.GaussianBlur(0.6))
