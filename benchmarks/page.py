"""The page, timed in Chromium: weight, until it can be used, first verdict, a move of the slider.

    python -m benchmarks.page --weights weights

app.py serves it, and the browser has nothing kept. "1.6 Mbit/s" is that with 150 ms a round trip
(Chrome's DevTools); times there count from the first byte. A move of the slider is timed from its
request to the first byte of the answer, on this machine and without its network. Prints a table and
writes page.json beside this file. Needs the packages of the extra `dev` and Chromium.
"""

import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.table import Table

from benchmarks.phone import DRAWING, THREE_G
from tests.support.browsing import JUDGED, LOADED, PATIENCE, browser
from tests.support.running import running_app
from training import provenance
from training.files import write_json
from training.provenance import command, git_commit, now

HERE = Path(__file__).parent
MOVES = 20
PACKED = 10_000
"""Milliseconds after the first visit until the server has compressed what all others get."""
VISITS = 3
SEEN = {"usable": "#upload input[type=file]", "whole": LOADED, "verdict": JUDGED}
WATCH = """(seen) => {
  const times = window.seen = {};
  const look = () => {
    for (const [name, selector] of Object.entries(seen)) {
      if (document.querySelector(selector)) times[name] ??= performance.now();
    }
  };
  const all = { childList: true, subtree: true, attributes: true };
  new MutationObserver(look).observe(document, all);
}"""
"""When each part of the page was there first, in milliseconds of the browser's own clock."""
SINCE = "name => window.seen[name] - performance.getEntriesByType('navigation')[0].responseStart"


def main(
    weights: Annotated[Path, typer.Option(help="Folder with the manifest and the models.")] = Path(
        "weights"
    ),
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "page.json",
) -> None:
    """Measure the page."""
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name) / "cache"
        with running_app(weights.resolve(), cache) as app, browser() as chrome:
            with visit(chrome, app.url) as (page, _):  # Nobody's first: the server compresses once.
                page.wait_for_selector(LOADED)
                page.wait_for_timeout(PACKED)
            wire = weigh(chrome, app.url)
            slow = [slowly(chrome, app.url) for _ in range(VISITS)]
            moves = moved(chrome, app.url)
    times = {key: statistics.median(one[key] for one in slow) for key in slow[0]}
    times["slider_ms"] = statistics.median(moves)
    times["slider_slowest_ms"] = max(moves)
    console = Console()
    table = Table("", "", title="The page")
    for key, value in {**{f"wire {kind} kB": size for kind, size in wire.items()}, **times}.items():
        table.add_row(key.replace("_", " "), f"{value:,.1f}")
    console.print(table)
    written = {"command": command(), "git_commit": git_commit(), "written": now()}
    setting = {
        "machine": provenance.describe(),
        "load_average": round(os.getloadavg()[0], 1),
        "visits": VISITS,
        "moves": MOVES,
    }
    write_json(output, written | setting | {"wire_kb": wire, "results": times})
    console.print(f"Written to {output}")


@contextmanager
def visit(
    chrome: Browser, url: str, network: dict[str, Any] | None = None
) -> Iterator[tuple[Page, Counter]]:
    """A first visit on a phone's screen, and the bytes that came, by the type of what came."""
    context = chrome.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(f"({WATCH})({SEEN!r})")
    tools = context.new_cdp_session(page)
    kinds: dict[str, str] = {}
    sizes: Counter = Counter()
    tools.on("Network.responseReceived", lambda e: kinds.setdefault(e["requestId"], e["type"]))
    tools.on(
        "Network.loadingFinished",
        lambda e: sizes.update({kinds.get(e["requestId"], "Other"): e["encodedDataLength"]}),
    )
    tools.send("Network.enable")
    if network:
        tools.send("Network.emulateNetworkConditions", network)
    page.goto(url, wait_until="commit")
    yield page, sizes
    context.close()


def weigh(chrome: Browser, url: str) -> dict[str, float]:
    """Kilobytes of a first visit on the wire."""
    with visit(chrome, url) as (page, sizes):
        page.wait_for_selector(LOADED)
        page.wait_for_timeout(2000)
        found = {kind.lower(): round(size / 1000, 1) for kind, size in sorted(sizes.items())}
        return found | {"sum": round(sizes.total() / 1000, 1)}


def slowly(chrome: Browser, url: str) -> dict[str, float]:
    """Milliseconds at 1.6 Mbit/s: from the first byte, and from the choice of a file on."""
    with visit(chrome, url, THREE_G) as (page, _):
        page.wait_for_selector(LOADED)
        usable, whole = (page.evaluate(SINCE, name) for name in ("usable", "whole"))
        begun = page.evaluate("performance.now()")
        page.set_input_files("#upload input[type=file]", DRAWING)
        page.wait_for_selector(JUDGED)
        verdict = page.evaluate("window.seen.verdict") - begun
    return {"usable_3g_ms": usable, "whole_3g_ms": whole, "verdict_3g_ms": verdict}


def moved(chrome: Browser, url: str) -> list[float]:
    """Milliseconds of the server for each of MOVES moves of the slider, with an image."""
    times = []
    with visit(chrome, url) as (page, _):
        page.wait_for_selector(LOADED)
        page.set_input_files("#upload input[type=file]", DRAWING)
        page.wait_for_selector(JUDGED)
        page.wait_for_timeout(1000)
        for index in range(MOVES):
            key = "ArrowLeft" if index % 2 else "ArrowRight"
            with page.expect_response(_redraws) as answer:
                page.locator("#target input[type=range]").press(key)
            answer.value.finished()
            timing = answer.value.request.timing
            times.append(timing["responseStart"] - timing["requestStart"])
            page.wait_for_timeout(300)
    return times


def _redraws(answer: Any) -> bool:
    """Whether an answer redraws the page: that of the threshold's box is small."""
    return "/run/predict" in answer.url and len(answer.body()) > 2000


if __name__ == "__main__":
    typer.run(main)
