"""The real app in a process of its own, for the tests that talk to it over HTTP."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START_LIMIT = 60
"""Seconds; a machine that runs other tests beside this one starts slower than the promised 8."""


@dataclass(frozen=True)
class Running:
    """Where the app answers, and the seconds from its start to its first answer."""

    url: str
    seconds: float


@contextmanager
def running_app(weights: Path, cache: Path) -> Iterator[Running]:
    """``python app.py`` on a free port with ``weights``; uploads are kept below ``cache``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "MEL_WEIGHTS": str(weights),
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(cache),
    }
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(url):
            if process.poll() is not None or time.monotonic() - start > START_LIMIT:
                process.kill()
                raise AssertionError(f"app.py did not start:\n{process.communicate()[0]}")
            time.sleep(0.05)
        yield Running(url, time.monotonic() - start)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
