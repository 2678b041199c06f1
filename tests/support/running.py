"""The real app in a process of its own, for the tests that talk to it over HTTP."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 180
"""Seconds; a machine that runs other tests beside this one starts slower than the promised 8."""


@dataclass(frozen=True)
class Running:
    """Where the app answers, the seconds from its start to its first answer, its process, and what
    it wrote so far."""

    url: str
    seconds: float
    process: subprocess.Popen
    log: Callable[[], str]


class NotStartedError(Exception):
    """app.py ended, or did not answer in time; the message holds what it wrote."""


@contextmanager
def running_app(
    weights: Path | str,
    cache: Path,
    root: Path = ROOT,
    python: str = sys.executable,
    more: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[Running]:
    """``python app.py`` with ``weights``; uploads are kept below ``cache``.

    ``root``: the source tree. ``more``: environment variables. ``port``: by default a free one.
    Raises NotStartedError.
    """
    port = port or free_port()
    environment = os.environ | {
        "MEL_WEIGHTS": str(weights),
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(cache),
        **(more or {}),
    }
    url = f"http://127.0.0.1:{port}"
    # A file and not a pipe: nobody would read the pipe while the app writes.
    with tempfile.TemporaryFile("w+") as log:
        start = time.monotonic()
        process = subprocess.Popen(
            [python, "app.py"], cwd=root, env=environment, stdout=log, stderr=log, text=True
        )
        try:
            while not _answers(url):
                if process.poll() is not None or time.monotonic() - start > START_LIMIT:
                    process.kill()
                    process.wait()
                    log.seek(0)
                    raise NotStartedError(f"app.py did not start:\n{log.read()}")
                time.sleep(0.05)
            seconds = time.monotonic() - start

            def so_far() -> str:
                return os.pread(log.fileno(), 10**7, 0).decode()  # leaves the app's place alone

            yield Running(url, seconds, process, so_far)
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
