"""Drawn lesions: small pictures and HAM10000-shaped folders for the tests.

No real image is committed to this project. A drawing here is skin with one blob; a "melanoma" is
dark, two-coloured and ragged, everything else round and even, so that a network can learn the
difference within two epochs.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
_FILL = {
    "akiec": (205, 140, 120),
    "bcc": (190, 120, 115),
    "bkl": (150, 115, 80),
    "df": (170, 130, 110),
    "mel": (45, 30, 35),
    "nv": (125, 80, 60),
    "vasc": (170, 40, 60),
}


def draw_lesion(dx: str = "nv", seed: int = 0, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """An RGB drawing of ``size`` (width, height) pixels showing one lesion of class ``dx``."""
    rng = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    skin = np.array([225, 180, 160]) + rng.normal(0, 6, 3)
    picture = np.tile(skin, (height, width, 1)) + rng.normal(0, 4, (height, width, 1))
    cx, cy = width * rng.uniform(0.42, 0.58), height * rng.uniform(0.42, 0.58)
    radius = min(size) * rng.uniform(0.18, 0.3)
    angle = np.arctan2(y - cy, x - cx)
    ragged = 0.28 if dx == "mel" else 0.04
    edge = radius * (
        1
        + ragged * np.sin(3 * angle + rng.uniform(0, 6))
        + ragged * 0.6 * np.sin(7 * angle + rng.uniform(0, 6))
    )
    inside = np.hypot(x - cx, y - cy) < edge
    picture[inside] = np.array(_FILL[dx]) + rng.normal(0, 6, 3)
    if dx == "mel":  # a second colour, off centre
        second = inside & (np.hypot(x - cx - radius * 0.4, y - cy) < radius * 0.5)
        picture[second] = (110, 60, 95)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(max(0.6, min(size) / 150)))


def write_ham10000(
    root: Path,
    lesions_per_class: int | dict[str, int] = 8,
    size: tuple[int, int] = (64, 48),
    seed: int = 0,
    parts: tuple[str, ...] = ("HAM10000_images_part_1", "HAM10000_images_part_2"),
) -> Path:
    """Write a folder in HAM10000's original layout; every third lesion has two images."""
    root.mkdir(parents=True, exist_ok=True)
    for part in parts:
        (root / part).mkdir(exist_ok=True)
    counts = (
        dict.fromkeys(CLASSES, lesions_per_class)
        if isinstance(lesions_per_class, int)
        else lesions_per_class
    )
    rows, number = [], 0
    for dx, lesions in counts.items():
        for lesion in range(lesions):
            for _ in range(2 if lesion % 3 == 0 else 1):
                image_id = f"ISIC_{9_000_000 + number}"
                draw_lesion(dx, seed=seed * 100_003 + number, size=size).save(
                    root / parts[number % len(parts)] / f"{image_id}.jpg", quality=92
                )
                rows.append(
                    [f"HAM_{dx}{lesion:04d}", image_id, dx, "histo", 45, "female", "back", "drawn"]
                )
                number += 1
    with (root / "HAM10000_metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
        )
        writer.writerows(rows)
    return root
