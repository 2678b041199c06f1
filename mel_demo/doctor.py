"""Is this installation able to screen? Checks from the ground up, each with its way out.

Knows the requirements, the weights and one drawn image; it prints nothing (``cli`` does).
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from mel_demo.errors import MelDemoError
from mel_demo.hub import locate
from mel_demo.manifest import load_manifest, verify_weights
from mel_demo.screening import Screener

MIN_PYTHON = (3, 11)
REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
_RUNS = 5


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``text``: what was found, and what to do where ``ok`` is False."""

    name: str
    ok: bool
    text: str


def examine(
    weights: Path | str | None = None, requirements: Path = REQUIREMENTS
) -> Iterator[Check]:
    """Check Python, packages, weights, and a run of all models, in this order.

    ``weights``: as in ``located.locate``. Stops after weights that do not fit, as
    nothing can be run with them.
    """
    yield _python()
    yield from _packages(requirements)
    try:
        located = locate(weights)
        for origin in located.origins:
            yield Check("fetched", True, str(origin))
        folder = located.folder
        manifest = load_manifest(folder)
        yield Check("manifest", True, f"{folder}, format {manifest.format}, {manifest.created}")
        for key, spec in manifest.models.items():
            path = verify_weights(spec, folder)
            yield Check(key, True, f"{path.name}, {spec.bytes / 1e6:.1f} MB, SHA-256 as recorded")
        yield from _run(Screener(folder))
    except MelDemoError as error:
        yield Check("weights", False, str(error))


def drawn_image() -> np.ndarray:
    """Skin with a round dark spot: uint8 (450, 600, 3). It means nothing; it only has to run."""
    y, x = np.mgrid[0:450, 0:600]
    picture = np.full((450, 600, 3), (225, 180, 160), np.uint8)
    picture[np.hypot(x - 300, y - 225) < 90] = (110, 70, 55)
    return picture


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= MIN_PYTHON
    wanted = ".".join(map(str, MIN_PYTHON))
    return Check("Python", ok, version if ok else f"{version}; install Python {wanted} or newer")


def _packages(requirements: Path) -> Iterator[Check]:
    """Compare what is installed with lines of the form ``name>=1.2,<3``."""
    if not requirements.is_file():  # installed as a package: pip has checked them
        return
    for line in requirements.read_text(encoding="utf-8").splitlines():
        match = re.match(r"([A-Za-z0-9_.-]+)(.*)", line.partition("#")[0].strip())
        if not match:
            continue
        name, wanted = match.groups()
        way_out = f"run `pip install -r {requirements.name}`"
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Check(name, False, f"not installed; {way_out}")
            continue
        ok = _fits(version, wanted)
        yield Check(name, ok, version if ok else f"{version}, wanted {wanted}; {way_out}")


def _fits(version: str, wanted: str) -> bool:
    have = _numbers(version)
    for sign, bound in re.findall(r"(>=|<)\s*([0-9.]+)", wanted):
        if (have >= _numbers(bound)) != (sign == ">="):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    release = re.match(r"[0-9]+(\.[0-9]+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else [0]
    while numbers[-1:] == [0]:  # 6.0 is 6
        numbers.pop()
    return tuple(numbers)


def _run(screener: Screener) -> Iterator[Check]:
    rgb = drawn_image()
    screenings = [screener.screen(rgb) for _ in range(_RUNS)]
    for key in screener.models:
        fastest = min(screening.predictions[key].milliseconds for screening in screenings)
        yield Check(f"{key} run", True, f"{fastest:.1f} ms, the best of {_RUNS}")
