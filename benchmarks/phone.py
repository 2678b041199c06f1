"""The page on the phone, timed in Chromium: weight, start, first and later verdicts.

    python -m benchmarks.phone --weights weights

The page is laid out anew and served compressed, as app.py does at /phone. "Throttled" slows the
page's processor four times (Chrome's DevTools); "3G" is 1.6 Mbit/s with 150 ms a round trip. The
server's own time is that of mel_demo's screening by the same model, on the same drawing. Prints a
table and writes phone.json beside this file. Needs the packages of the extra `dev`, Chromium, npm.
"""

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette

from mel_demo.errors import MelDemoError
from mel_demo.images import open_image
from mel_demo.phone import serve
from mel_demo.phone.build import lay_out
from mel_demo.screening import Screener
from tests.support.phone import READY, phone_browser
from training import provenance
from training.files import write_json
from training.provenance import command, git_commit, now

HERE = Path(__file__).parent
DRAWING = HERE.parent / "mel_demo" / "ui" / "examples" / "irregular.jpg"
SLOWER = 4
THREE_G = {"offline": False, "latency": 150, "downloadThroughput": 2e5, "uploadThroughput": 2e5}
RUNS = 20
VERDICT = """async () => {
  const file = await (await fetch('examples/irregular.jpg')).blob();
  const begun = performance.now();
  await window.melDemo.screen(file);
  return performance.now() - begun;
}"""


def main(
    weights: Annotated[Path, typer.Option(help="Folder with the manifest and the models.")] = Path(
        "weights"
    ),
    model: Annotated[str | None, typer.Option(help="student_int8 or student.")] = None,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "phone.json",
) -> None:
    """Measure the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "page"
        spec = lay_out(folder, weights, model)
        results = {"wire": wire(folder)}
        with served(folder) as url, phone_browser() as chrome:
            results |= timed(chrome, url)
    results["server_verdict_ms"] = server(weights, spec.key)
    console = Console()
    table = Table("", "", title=f"The page on the phone, {spec.key}")
    for key, value in (results["wire"] | results).items():
        if key != "wire":
            table.add_row(key.replace("_", " "), f"{value:,.1f}")
    console.print(table)
    written = {"command": command(), "git_commit": git_commit(), "written": now()}
    setting = {
        "machine": provenance.describe(),
        "load_average": round(os.getloadavg()[0], 1),
        "model": spec.key,
        "runs": RUNS,
    }
    write_json(output, written | setting | {"results": results})
    console.print(f"Written to {output}")


def wire(folder: Path) -> dict[str, float]:
    """Megabytes that a first visit fetches, as the server sends them."""
    parts = {"page_mb": 0, "runtime_mb": 0, "model_mb": 0}
    fetched = [*folder.glob("*.*"), *folder.glob("icons/icon.svg"), *folder.glob("runtime/*")]
    for path in fetched:
        kind = "model" if path.suffix == ".onnx" else "page"
        kind = "runtime" if path.parent.name == "runtime" else kind
        parts[f"{kind}_mb"] += len(serve.ENCODERS["br"](path.read_bytes()))
    rounded = {key: round(value / 1e6, 2) for key, value in parts.items()}
    return rounded | {"sum_mb": round(sum(parts.values()) / 1e6, 2)}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder at /phone/ of a server of its own."""
    os.environ["MEL_PHONE"] = str(folder)
    config = uvicorn.Config(Starlette(routes=serve.routes()), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/phone/"
    finally:
        server.should_exit = True
        thread.join()


def timed(chrome: Browser, url: str) -> dict[str, float]:
    """Milliseconds of starts and verdicts, each in a context of its own."""
    with visit(chrome) as page:  # the server compresses a file once: not part of any start
        start(page, url)
        warm = [page.evaluate(VERDICT) for _ in range(RUNS)][1:]
    with visit(chrome, slower=SLOWER) as page:
        _, ready = start(page, url)
        first = page.evaluate(VERDICT)
        slow = [page.evaluate(VERDICT) for _ in range(RUNS)]
    with visit(chrome, network=THREE_G) as page:
        shell, all_there = start(page, url)
    return {
        "start_throttled_ms": ready,
        "first_verdict_throttled_ms": first,
        "verdict_throttled_ms": statistics.median(slow),
        "verdict_ms": statistics.median(warm),
        "shell_3g_ms": shell,
        "ready_3g_ms": all_there,
    }


@contextmanager
def visit(
    chrome: Browser, slower: int = 1, network: dict[str, Any] | None = None
) -> Iterator[Page]:
    """A new page on a phone's screen, slowed down through DevTools."""
    context = chrome.new_context(viewport={"width": 390, "height": 844}, service_workers="block")
    page = context.new_page()
    page.set_default_timeout(180_000)
    tools = context.new_cdp_session(page)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    if network:
        tools.send("Network.enable")
        tools.send("Network.emulateNetworkConditions", network)
    yield page
    context.close()


def start(page: Page, url: str) -> tuple[float, float]:
    """Milliseconds until the page can be used, and until the model can."""
    begun = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("#language option", state="attached")
    shell = time.perf_counter()
    page.wait_for_selector(READY)
    return (shell - begun) * 1000, (time.perf_counter() - begun) * 1000


def server(weights: Path, key: str) -> float:
    """Median milliseconds from the same file to the same model's verdict on the server."""
    screener = Screener(weights)
    data = DRAWING.read_bytes()
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        screener.models[key].predict(open_image(data))
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    try:
        typer.run(main)
    except MelDemoError as error:
        sys.exit(f"Error: {error}")
