"""A picture with texture, as cameras have it, and files of it."""

import io

import numpy as np
from PIL import Image

from tests.support.lesions import draw_lesion


def textured(size: tuple[int, int] = (320, 240)) -> Image.Image:
    rng = np.random.default_rng(0)
    picture = np.asarray(draw_lesion("mel", 1, size), np.float32) + rng.normal(
        0, 8, (*size[::-1], 1)
    )
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


PICTURE = textured()
