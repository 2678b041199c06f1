"""How often damage in a file is seen, and how often a whole file is taken for damaged.

    python -m benchmarks.damaged_files FOLDER... --damage 60

False alarms: of all JPEGs in the folders, as they are and stored anew as progressive ones (without
another loss). Seen: of so many of them at 600x450, stored in every format and damaged at a random
place, three times each: the share that is refused. Of those that are not, the mean difference to
the whole picture in levels (its median). A sector has 512 bytes. Prints tables and writes
damaged_files.json beside this file.
"""

import io
import random
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mel_demo.errors import ImageError
from mel_demo.images import open_image
from training.files import write_json
from training.provenance import command, describe, git_commit, now

HERE = Path(__file__).parent
SIZE = (600, 450)
SECTOR, SEED, TIMES = 512, 20261128, 3
FORMS: dict[str, dict] = {
    "JPEG": {"format": "JPEG", "quality": 90},
    "JPEG, its own tables": {"format": "JPEG", "quality": 90, "optimize": True},
    "JPEG, progressive": {"format": "JPEG", "quality": 90, "progressive": True},
    "TIFF of JPEGs": {"format": "TIFF", "compression": "jpeg", "quality": 90},
    "TIFF, deflated": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "TIFF, not compressed": {"format": "TIFF"},
    "PNG": {"format": "PNG"},
    "WebP": {"format": "WEBP", "quality": 90},
    "WebP, lossless": {"format": "WEBP", "lossless": True},
    "AVIF": {"format": "AVIF", "quality": 85},
}


def zeros(data: bytes, rng: random.Random) -> bytes:
    """A sector of zeros."""
    at = _sector(data, rng)
    return data[:at] + bytes(SECTOR) + data[at + SECTOR :]


def exchanged(data: bytes, rng: random.Random) -> bytes:
    """A sector of the same file in another's place."""
    at, other = _sector(data, rng), _sector(data, rng)
    return data[:at] + data[other : other + SECTOR] + data[at + SECTOR :]


def foreign(data: bytes, rng: random.Random) -> bytes:
    """A sector of random bytes."""
    at = _sector(data, rng)
    return data[:at] + rng.randbytes(SECTOR) + data[at + SECTOR :]


def zeros_to_the_end(data: bytes, rng: random.Random) -> bytes:
    """A transfer that was broken off, in a file of full length."""
    at = _sector(data, rng)
    return data[:at] + bytes(len(data) - at)


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "sector of zeros": zeros,
    "exchanged sector": exchanged,
    "foreign sector": foreign,
    "zeros to the end": zeros_to_the_end,
}


def main(
    folders: Annotated[list[Path], typer.Argument(help="Searched for JPEGs.")],
    damage: Annotated[int, typer.Option(help="So many images are damaged.")] = 60,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "damaged_files.json",
) -> None:
    """Count alarms on whole files and on damaged ones."""
    paths = sorted(path for folder in folders for path in folder.rglob("*.jpg"))
    whole = {
        "as they are": _refused(path.read_bytes() for path in track(paths, "As they are")),
        "progressive": _refused(_progressive(path) for path in track(paths, "Progressive")),
    }
    rng = random.Random(SEED)
    chosen = [Image.open(path).convert("RGB").resize(SIZE) for path in rng.sample(paths, damage)]
    damaged = {
        form: {name: _seen(chosen, form, hurt, rng) for name, hurt in DAMAGES.items()}
        for form in track(FORMS, "Damaged")
    }
    _show(len(paths), whole, damaged)
    record = {"command": command(), "git_commit": git_commit(), "written": now()}
    record |= {"machine": describe(), "images": len(paths)}
    write_json(output, record | {"whole_files_refused": whole, "damaged": damaged})
    typer.echo(f"Written to {output}")


def _sector(data: bytes, rng: random.Random) -> int:
    """Where one begins behind the header, of which no statement is made here."""
    return rng.randrange(2, len(data) // SECTOR) * SECTOR


def _encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def _progressive(path: Path) -> bytes:
    with Image.open(path) as image:
        return _encoded(image, format="JPEG", quality="keep", progressive=True)


def _refused(files: Iterable[bytes]) -> int:
    return sum(_read(data) is None for data in files)


def _read(data: bytes) -> np.ndarray | None:
    try:
        return open_image(data)
    except ImageError:
        return None


def _seen(
    images: list[Image.Image],
    form: str,
    hurt: Callable[[bytes, random.Random], bytes],
    rng: random.Random,
) -> dict:
    count, away = 0, []
    for image in images:
        data = _encoded(image, **FORMS[form])
        whole = open_image(data).astype(int)
        for _ in range(TIMES):
            found = _read(hurt(data, rng))
            count += 1
            if found is not None:
                away.append(float(np.abs(found - whole).mean()))
    unseen = [difference for difference in away if difference > 0]
    return {
        "files": count,
        "refused": count - len(away),
        "unchanged": len(away) - len(unseen),
        "not_seen": len(unseen),
        "levels_where_not_seen": round(statistics.median(unseen), 2) if unseen else None,
    }


def _show(count: int, whole: dict[str, int], damaged: dict[str, dict]) -> None:
    for name, refused in whole.items():
        typer.echo(f"{name}: {refused} of {count} whole files refused")
    table = Table("not seen, of those that changed", *DAMAGES)
    for form, row in damaged.items():
        cells = (f"{one['not_seen']} of {one['files'] - one['unchanged']}" for one in row.values())
        table.add_row(form, *cells)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
