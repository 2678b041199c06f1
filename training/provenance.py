"""The machine a number was measured on, in words. Knows nothing of what was measured."""

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path


def processor() -> str:
    """Name of the processor, as Linux tells it or as Python does elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> str:
    """Processor and cores: "AMD EPYC 7763, 2 cores"."""
    return f"{processor()}, {cores()} core{'s' if cores() > 1 else ''}"


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
    """How a file names ``path``: one outside the working folder by its last part.

    The rest says nothing to a reader on another machine, and tells about this one.
    """
    return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()


def command() -> str:
    """The command line of this process, for the files it writes; paths by their short names."""
    words = []
    for word in sys.orig_argv[1:]:
        option, equals, value = word.rpartition("=")  # --data=/somewhere
        words.append(option + equals + (short_name(Path(value)) if "/" in value else value))
    return shlex.join(["python", *words])


def now() -> str:
    """UTC date and time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
