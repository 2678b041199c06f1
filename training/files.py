"""Small file habits shared by the commands: atomic writes, hashes, the git commit."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from training.errors import PublishError

CARD = "README.md"


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one step, so that a kill leaves the old or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as readable JSON in one step; NaN is refused (ValueError)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def emptied(folder: Path) -> Path:
    """``folder``, made or emptied; a card must be the first file that is written into it.

    By the front matter of its card an earlier build is known: PublishError for any other content,
    such as a training run, which would be lost.
    """
    card = folder / CARD
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        if not card.is_file() or not card.read_bytes().startswith(b"---"):
            raise PublishError(
                f"{folder} holds something else, which would be lost. Name a new folder with "
                "--output."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_commit() -> str:
    """Commit of this source tree; "-dirty" behind it when files differ, "unknown" without git."""
    root = Path(__file__).parent.parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def short_name(path: Path) -> str:
    """How a file names ``path``: an absolute one by its last part.

    The rest says nothing to a reader on another machine, and tells about this one.
    """
    return path.name if path.is_absolute() else path.as_posix()
