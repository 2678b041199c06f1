"""A server that is killed under a crowd: who loses an answer, and how soon it is there again.

    python -m benchmarks.restart --images FOLDER

50 open pages each send an upload, and half of the answers later the server gets kill -9; another
starts at once, on the same port and the same folder for uploads, and all send theirs again. Clients
and server share the machine's cores. Writes restart.json beside this file (Linux only).
"""

import http.client
import os
import signal
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.latency import uploads_of
from benchmarks.load import USERS, crowd
from benchmarks.visitors import Tab, free_port, serving_at
from training.files import write_json
from training.provenance import command, describe, git_commit, now

HERE = Path(__file__).parent


def killed(weights: Path, uploads: list[bytes], port: int, folder: str) -> dict[str, Any]:
    """A crowd at a server that is killed when half of it has its answer."""
    half, answered, broken = threading.Event(), [], []

    def send(number: int) -> None:
        tab = tabs[number]
        try:
            tab.upload(uploads[number % len(uploads)])
            answered.append(number)
        except (OSError, http.client.HTTPException, RuntimeError):
            broken.append(number)
        if len(answered) >= USERS // 2:
            half.set()

    with serving_at(weights, port, folder) as server:
        tabs = [Tab(server.url) for _ in range(USERS)]
        for tab in tabs:
            tab.load()
        with ThreadPoolExecutor(USERS) as pool:
            sending = [pool.submit(send, number) for number in range(USERS)]
            half.wait(60)
            os.kill(server.pid, signal.SIGKILL)
            for one in sending:
                one.result()
    left = sum(path.is_file() and path.suffix != ".lock" for path in Path(folder).rglob("*"))
    return {"users": USERS, "answered": len(answered), "broken": len(broken), "files_left": left}


def restarted(weights: Path, uploads: list[bytes], port: int, folder: str) -> dict[str, Any]:
    """The next server: seconds to its first answer, what it finds, and the crowd once more."""
    start = time.perf_counter()
    with serving_at(weights, port, folder) as server:
        seconds = time.perf_counter() - start
        found = sum(path.is_file() and path.suffix != ".lock" for path in Path(folder).rglob("*"))
        tabs = [Tab(server.url) for _ in range(USERS)]
        for tab in tabs:
            tab.load()
        again = crowd([tab.upload for tab in tabs], uploads, 1)
    return {"restart_seconds": round(seconds, 2), "files_found": found, "again": again}


def main(
    weights: Annotated[Path, typer.Option(help="Folder with manifest.json.")] = Path("weights"),
    images: Annotated[Path | None, typer.Option(help="Image or folder of images.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often.")] = 3,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "restart.json",
) -> None:
    """Kill a server under a crowd and start another."""
    uploads = uploads_of(images)
    runs = []
    for _ in range(rounds):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            one = killed(weights, uploads, port, folder)
            runs.append(one | restarted(weights, uploads, port, folder))
    found = {
        "restart_seconds_median": statistics.median(run["restart_seconds"] for run in runs),
        "rounds": runs,
    }
    about = {"command": command(), "git_commit": git_commit(), "machine": describe()}
    write_json(output, about | {"written": now()} | found)
    Console().print_json(data=found)
    Console().print(f"Written to {output}")


if __name__ == "__main__":
    typer.run(main)
