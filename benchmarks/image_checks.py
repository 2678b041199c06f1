"""How often the image checks are wrong, and how often they notice what was done on purpose.

    python -m benchmarks.image_checks --data HAM10000 --splits splits.csv

False alarms: the share of the validation images of HAM10000, as they are, that a check complains
about. Some of these alarms are right (there are blurred and inked images among them), so it is an
upper bound. Caught: the share of the same images, degraded on purpose, that it complains about;
degradations are drawn at 600x450. With --isic2017 and --external the alarms on other clinics'
training images as well, which have pen marks, stickers and hair. Also times the checks. Prints a
table and writes image_checks.json beside this file. Needs the lesion masks of HAM10000.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFilter
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mel_demo.errors import MelDemoError
from mel_demo.findings import findings, look, measure, working_image
from mel_demo.hub import locate
from mel_demo.images import open_image
from mel_demo.manifest import Manifest, load_manifest
from training import provenance
from training.data.ham10000 import Images, read_split
from training.data.isic import SQUASHED_ASPECT
from training.data.measurable import ISIC_2017, Measurable
from training.errors import TrainingError
from training.files import write_json
from training.provenance import command, git_commit, now

HERE = Path(__file__).parent
SIZE = (600, 450)
MASKS = "HAM10000_segmentations_lesion_tschandl"
CODES = ("blurred", "overexposed", "underexposed", "no_lesion", "ink", "hair")
SEED = 20260723
_INKS = ((70, 40, 160), (30, 60, 170), (110, 40, 150), (20, 110, 90))
_SKIN_SHARES = (0.5, 0.4, 0.33)  # of width and height, the largest corner that holds no lesion

Degradation = Callable[[Image.Image, np.random.Generator], Image.Image]


def blur(radius: float) -> Degradation:
    """Gaussian, of a standard deviation in pixels."""
    return lambda image, _: image.filter(ImageFilter.GaussianBlur(radius))


def gain(factor: float) -> Degradation:
    """Exposure, clipped."""
    return lambda image, _: image.point(lambda level: min(255, round(level * factor)))


def ink(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A pen stroke around half of the lesion."""
    image, start = image.copy(), rng.uniform(0, 2 * np.pi)
    angles = start + np.linspace(0, np.pi, 30)
    points = [(300 + 210 * np.cos(a), 225 + 150 * np.sin(a)) for a in angles]
    ImageDraw.Draw(image).line(points, fill=_INKS[rng.integers(len(_INKS))], width=24)
    return image


def hair(count: int) -> Degradation:
    """Curved dark hairs across the middle."""

    def draw(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        image = image.copy()
        for _ in range(count):
            x, y, angle = rng.uniform(75, 525), rng.uniform(40, 410), rng.uniform(0, 2 * np.pi)
            step, bend = rng.uniform(9, 22), rng.uniform(-0.02, 0.02)
            points = [(x, y)]
            for _ in range(20):
                x, y, angle = x + step * np.cos(angle), y + step * np.sin(angle), angle + bend
                points.append((x, y))
            ImageDraw.Draw(image).line(points, fill=(40, 30, 28), width=4)
        return image

    return draw


DEGRADED: dict[str, tuple[str, Degradation]] = {
    "blur, sigma 6 of 450 pixels": ("blurred", blur(6)),
    "blur, sigma 8": ("blurred", blur(8)),
    "blur, sigma 12": ("blurred", blur(12)),
    "exposure x 1.6": ("overexposed", gain(1.6)),
    "exposure x 2": ("overexposed", gain(2)),
    "exposure x 0.4": ("underexposed", gain(0.4)),
    "exposure x 0.25": ("underexposed", gain(0.25)),
    "pen stroke": ("ink", ink),
    "12 hairs": ("hair", hair(12)),
    "25 hairs": ("hair", hair(25)),
}
BARE = "a corner without lesion, by the mask"


def bare_corner(image: Image.Image, mask: Image.Image) -> Image.Image | None:
    """The largest corner of the image that the lesion does not reach; None without any."""
    lesion = np.asarray(mask.convert("L").resize(image.size)) > 0
    width, height = image.size
    for share in _SKIN_SHARES:
        across, down = int(width * share), int(height * share)
        for left in (0, width - across):
            for top in (0, height - down):
                if not lesion[top : top + down, left : left + across].any():
                    return image.crop((left, top, left + across, top + down))
    return None


def main(
    data: Annotated[Path, typer.Option(help="Folder of HAM10000 with its lesion masks.")],
    splits: Annotated[Path, typer.Option(help="CSV of `training splits`.")] = Path("splits.csv"),
    isic2017: Annotated[Path | None, typer.Option(help="Folder of ISIC 2017.")] = None,
    external: Annotated[Path | None, typer.Option(help="CSV of `training external`.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder of the models.")] = None,
    every: Annotated[int, typer.Option(help="Degrade every so many-th image.")] = 3,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "image_checks.json",
) -> None:
    """Count alarms on images as they are and degraded."""
    try:
        manifest = load_manifest(locate(weights).folder)
        images = read_split(data, splits, "validation")
        given = Measurable(data, splits, isic2017, external)
        elsewhere = given.learned_from([ISIC_2017]).get(ISIC_2017)
    except (MelDemoError, TrainingError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    plain = {"validation": _alarms_as_they_are(images, manifest)}
    if elsewhere is not None:
        plain["ISIC 2017, training"] = _alarms_as_they_are(elsewhere.images, manifest)
    caught = _alarms_degraded(images, data / MASKS, manifest, every)
    times = _times(images, manifest)
    _show(plain, caught, times)
    write_json(
        output,
        {
            "command": command(),
            "git_commit": git_commit(),
            "written": now(),
            "machine": provenance.describe(),
            "as_they_are": plain,
            "degraded": caught,
            "milliseconds": times,
        },
    )
    typer.echo(f"Written to {output}")


def _codes(rgb: np.ndarray, manifest: Manifest) -> set[str]:
    return {finding.code for finding in findings(look(rgb, manifest), manifest, {})}


def _alarms_as_they_are(images: Images, manifest: Manifest) -> dict:
    counts = dict.fromkeys(CODES, 0)
    for path in track(images.paths, description="As they are"):
        rgb = open_image(path)
        if images.squashed_aspect is not None and rgb.shape[0] == rgb.shape[1]:
            size = round(rgb.shape[0] * SQUASHED_ASPECT), rgb.shape[0]
            rgb = np.asarray(Image.fromarray(rgb).resize(size))
        for code in _codes(rgb, manifest).intersection(counts):
            counts[code] += 1
    return {"images": len(images), "alarms": counts}


def _alarms_degraded(images: Images, masks: Path, manifest: Manifest, every: int) -> dict:
    rng = np.random.default_rng(SEED)
    names = [*((name, code) for name, (code, _) in DEGRADED.items()), (BARE, "no_lesion")]
    rows = {name: {"check": code, "images": 0, "caught": 0} for name, code in names}

    def count(name: str, image: Image.Image) -> None:
        rows[name]["images"] += 1
        rows[name]["caught"] += rows[name]["check"] in _codes(np.asarray(image), manifest)

    numbers = range(0, len(images), every)
    for number in track(numbers, description="Degraded"):
        image = Image.fromarray(open_image(images.paths[number])).resize(SIZE)
        for name, (_, degrade) in DEGRADED.items():
            count(name, degrade(image, rng))
        with Image.open(masks / f"{images.image_ids[number]}_segmentation.png") as mask:
            corner = bare_corner(image, mask)
        if corner is not None:
            count(BARE, corner)
    return rows


def _times(images: Images, manifest: Manifest, count: int = 200) -> dict[str, float]:
    """Medians: measuring a working image, and making one of a large upload."""
    ratio = min(spec.preprocessing.max_aspect_ratio for spec in manifest.models.values())
    working = [working_image(open_image(path), ratio) for path in images.paths[:count]]
    large = np.asarray(Image.fromarray(open_image(images.paths[0])).resize((6000, 4000)))
    return {
        "checks": _median([lambda image=image: measure(image) for image in working]),
        "shrinking 6000x4000": _median([lambda: working_image(large, ratio)] * 5),
    }


def _median(calls: list[Callable[[], object]]) -> float:
    found = []
    for call in calls:
        start = time.perf_counter()
        call()
        found.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(found), 2)


def _show(plain: dict, caught: dict, times: dict[str, float]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("alarms on images as they are", *CODES)
    for name, row in plain.items():
        shares = (f"{row['alarms'][code] / row['images']:.1%}" for code in CODES)
        table.add_row(f"{name} ({row['images']})", *shares)
    console.print(table)
    table = Table("degraded", "check", "caught", "of")
    for name, row in caught.items():
        share = f"{row['caught'] / row['images']:.1%}"
        table.add_row(name, row["check"], share, str(row["images"]))
    console.print(table)
    console.print(", ".join(f"{name}: {value} ms" for name, value in times.items()))


if __name__ == "__main__":
    typer.run(main)
