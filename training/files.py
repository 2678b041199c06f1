"""Small file habits shared by the commands: atomic writes, hashes, the git commit."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.progress import track


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one step, so that a kill leaves the old or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as readable JSON in one step; NaN is refused (ValueError)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def threaded(work: Callable, items: Iterable, description: str) -> Iterator:
    """``map`` over a few threads (Pillow decodes without the interpreter lock), with a bar."""
    items = list(items)
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield from track(pool.map(work, items), description=description, total=len(items))
