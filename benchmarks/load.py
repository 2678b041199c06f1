"""A crowd at the server: how many uploads a second, how long each waits, and what stays in memory.

    python -m benchmarks.load --images FOLDER            # everything but the soak
    python -m benchmarks.load --images FOLDER --soak 2000

Starts ``app.py`` in a process of its own on a free port, and talks to it as programs do (upload,
call, answer) and as the page in a browser does (its events, by their numbers). Client and server
share the machine's cores. "Bare" is ``mel_demo.screening`` in a process of its own, one thread a
core, on the same files just before. Prints a table and writes load.json beside this file.
"""

import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from benchmarks.latency import uploads_of
from benchmarks.visitors import Caller, Server, Tab, serving
from mel_demo.errors import MelDemoError
from mel_demo.images import read_image
from mel_demo.inference import cores
from mel_demo.screening import Screener
from mel_demo.ui import case
from mel_demo.ui.sessions import MAX_SESSIONS
from mel_demo.ui.upload import keep_picture
from mel_demo.ui.uploads import uploads as kept_uploads
from training.files import write_json
from training.provenance import command, describe, git_commit, now

HERE = Path(__file__).parent
USERS = 50
CALLERS = 8
"""In a closed loop: each sends its next upload once it has the answer."""
SETTLED_SECONDS, IDLE_SECONDS = 5, 20
BARE_SECONDS = 10
VERDICTS, MAPS = "verdicts", "verdicts and maps"
SOAKERS = 4
SAMPLE_EVERY = 50
WARM_UP = 2 * MAX_SESSIONS
"""Screenings: every second is a new visitor's, so that as many are kept by then as ever will be."""


def bare(images: Path | None, weights: Path, pictures: bool, seconds: float) -> float:
    """Images a second of the screener alone, ``pictures``: with both maps as /screen draws them."""
    uploads = itertools.cycle(uploads_of(images))
    screener, lock = Screener(weights, threads=1), threading.Lock()
    done, end = itertools.count(), 0.0

    def work() -> None:
        while time.perf_counter() < end:
            with lock:
                data = next(uploads)
            if pictures:
                judged = case.judge(screener, data)
                for drawn in case.draw_overlays(screener, judged).values():
                    keep_picture(drawn)
            else:
                screener.screen(*read_image(data))
            next(done)

    with kept_uploads():
        work()
        start = time.perf_counter()
        end = start + seconds
        with ThreadPoolExecutor(cores()) as pool:
            for job in [pool.submit(work) for _ in range(cores())]:
                job.result()
        return next(done) / (time.perf_counter() - start)


def crowd(send: list[Callable[[bytes], None]], uploads: list[bytes], each: int) -> dict[str, Any]:
    """All of ``send`` at once, ``each`` uploads after one another."""
    taken: list[float] = []

    def work(index: int) -> None:
        for step in range(each):
            start = time.perf_counter()
            send[index](uploads[(index + step) % len(uploads)])
            taken.append(time.perf_counter() - start)

    start = time.perf_counter()
    with ThreadPoolExecutor(len(send)) as pool:
        list(pool.map(work, range(len(send))))
    elapsed = time.perf_counter() - start
    return {
        "clients": len(send),
        "uploads": len(taken),
        "per_second": round(len(taken) / elapsed, 2),
        "p50_s": round(statistics.median(taken), 3),
        "p95_s": round(float(np.quantile(taken, 0.95)), 3),
    }


def idle(server: Server) -> float:
    """Percent of one core, once what went before is done with."""
    time.sleep(SETTLED_SECONDS)
    before = server.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    return round(100 * (server.cpu_seconds() - before) / IDLE_SECONDS, 2)


def load(images: Path | None, weights: Path, each: int) -> dict[str, Any]:
    """The crowd's figures."""
    uploads = uploads_of(images)
    rates = {}
    options = [f"--weights={weights}", *([f"--images={images}"] if images else [])]
    for name in (VERDICTS, MAPS):
        alone = [sys.executable, "-m", "benchmarks.load", "--bare", name, *options]
        rates[name] = float(subprocess.run(alone, capture_output=True, check=True).stdout)
    with serving(weights) as server:
        memory = {"started": server.megabytes()}
        empty = idle(server)
        callers = [Caller(server.url) for _ in range(CALLERS)]
        crowd([caller.screen for caller in callers], uploads, 2)
        api = crowd([caller.screen for caller in callers], uploads, each)
        memory["after the API's callers"] = server.megabytes()
        tabs = [Tab(server.url) for _ in range(USERS)]
        for tab in tabs:
            tab.load()
        at_once = crowd([tab.upload for tab in tabs], uploads, 1)
        memory[f"after {USERS} visitors"] = server.megabytes()
        page = crowd([tab.upload for tab in tabs[:CALLERS]], uploads, each)
        memory["after the page's visitors"] = server.megabytes()
        with tabs[0].open():
            one = idle(server)
    for found in (api, page):
        for name, rate in rates.items():
            found[f"share_of_bare_{name.replace(' ', '_')}"] = round(found["per_second"] / rate, 3)
    return {
        "bare_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "api": api,
        "page": page,
        f"page_{USERS}_at_once": at_once,
        "idle_percent_of_a_core": {"nobody": empty, "one open tab": one},
        "memory_mb": memory,
    }


def soak(images: Path | None, weights: Path, screenings: int) -> dict[str, Any]:
    """Screenings in a row, half through the API and half through new tabs; memory over them."""
    uploads = uploads_of(images)
    with serving(weights) as server:
        memory: dict[int, float] = {}
        done = itertools.count(1)

        def one(index: int) -> None:
            data = uploads[index % len(uploads)]
            if index % 2:
                Caller(server.url).screen(data)
            else:
                tab = Tab(server.url)
                tab.load()
                tab.upload(data)
            count = next(done)
            if count % SAMPLE_EVERY == 0:
                memory[count] = server.megabytes()

        start = time.perf_counter()
        with ThreadPoolExecutor(SOAKERS) as pool:
            list(pool.map(one, range(screenings)))
        minutes = (time.perf_counter() - start) / 60
    after = [found for count, found in memory.items() if count >= WARM_UP]
    return {
        "screenings": screenings,
        "minutes": round(minutes, 1),
        "warm_up": WARM_UP,
        "memory_mb": memory,
        "spread_percent_after_warm_up": round(100 * (max(after) / min(after) - 1), 2),
        "growth_percent_after_warm_up": round(100 * (after[-1] / after[0] - 1), 2),
    }


def main(
    weights: Annotated[Path, typer.Option(help="Folder with manifest.json.")] = Path("weights"),
    images: Annotated[Path | None, typer.Option(help="Image or folder of images.")] = None,
    each: Annotated[int, typer.Option(min=1, help="Uploads of every client in a loop.")] = 45,
    soaked: Annotated[
        int | None,
        typer.Option("--soak", min=2 * WARM_UP, help="That many screenings, and nothing else."),
    ] = None,
    bare_of: Annotated[str | None, typer.Option("--bare", hidden=True)] = None,
    output: Annotated[Path, typer.Option(help="JSON to write into.")] = HERE / "load.json",
) -> None:
    """Measure the server under a crowd, or over a long time."""
    if bare_of:
        print(bare(images, weights, bare_of == MAPS, BARE_SECONDS))
        return
    about = {"command": command(), "git_commit": git_commit(), "machine": describe()}
    found = soak(images, weights, soaked) if soaked else load(images, weights, each)
    written = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    written["soak" if soaked else "load"] = about | {"written": now()} | found
    write_json(output, written)
    Console().print_json(data=found)
    Console().print(f"Written to {output}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MelDemoError as error:
        sys.exit(f"Error: {error}")
