"""Which weights to serve: a folder, or a pinned revision on the Hub fetched into one."""

import os
from dataclasses import dataclass
from pathlib import Path

from mel_demo import hub
from mel_demo.hub import Origin
from mel_demo.manifest import FILE_NAME

DEFAULT = Path(__file__).resolve().parents[1] / "weights"
SOURCE_FILE = "hub.txt"
"""Stands in ``DEFAULT`` where the models are not: names a revision in the Hub's form."""


@dataclass(frozen=True)
class Located:
    """A folder with manifest and models; ``origins``: where it was fetched from, if it was."""

    folder: Path
    origins: tuple[Origin, ...] = ()


def locate(named: Path | str | None = None) -> Located:
    """The weights that ``named`` means: a folder, or one of ``hub.FORMS``.

    None means the environment variable MEL_WEIGHTS, or else ``weights/`` beside mel_demo, which may
    hold ``hub.txt`` in place of the models. Raises WeightsError or ManifestError.
    """
    named = named or os.environ.get("MEL_WEIGHTS") or _default()
    if isinstance(named, Path) or Path(named).is_dir():
        return Located(Path(named))
    return Located(*hub.fetch(named))


def _default() -> Path | str:
    source = DEFAULT / SOURCE_FILE
    if (DEFAULT / FILE_NAME).exists() or not source.exists():
        return DEFAULT
    return source.read_text(encoding="utf-8").strip()
