"""Debian's Chromium under Playwright, for the browser tests and the README's pictures."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mel_demo.manifest import Manifest
from tests.support.running import Running

if TYPE_CHECKING:  # not on every machine, see ``missing``
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
SIZES = {"desk": (1440, 900), "phone": (390, 844), "small": (320, 640)}
"""Width and height by name, in CSS pixels."""
JUDGED = "body.judged .card.teacher:is(.refer, .no_referral)"
LOADED = "#footer p"
"""Comes with the answer to the load."""
PATIENCE = 90_000
"""Milliseconds that a step may take on a busy machine."""
SIDEWAYS = """() => [...document.querySelectorAll('.html-container')]
  .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.innerText)"""
"""Parts of the page that a reader would have to push sideways."""
SHIFTS = """window.shifts = 0;
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) window.shifts += shift.hadRecentInput ? 0 : shift.value;
}).observe({ type: 'layout-shift', buffered: true });"""
"""How far the page jumped by itself, as Chromium counts it (cumulative layout shift)."""
HAND_OVER = """([bytes, how, place]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(bytes)], 'red.png', { type: 'image/png' }));
  const more = { bubbles: true, cancelable: true, dataTransfer, clipboardData: dataTransfer };
  const event = how === 'drop' ? new DragEvent('drop', more) : new ClipboardEvent('paste', more);
  document.querySelector(place).dispatchEvent(event);
  return event.defaultPrevented || how === 'paste';
}"""
"""A file's bytes dropped or pasted onto an element -> whether the browser keeps the page."""


def missing() -> str | None:
    """What it takes to drive a browser and is not here."""
    if not importlib.util.find_spec("playwright"):
        return "needs playwright: pip install -e .[dev]"
    return None if shutil.which("chromium") else "needs chromium: apt-get install chromium"


@contextmanager
def browser(*flags: str) -> "Iterator[Browser]":
    """A headless Chromium with these flags beside FLAGS."""
    assert not missing(), missing()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*FLAGS, *flags]
        )
        yield started
        started.close()


def serious(page: "Page") -> dict[str, list[str]]:
    """What axe finds that shuts somebody out: markup by rule."""
    from axe_playwright_python.sync_playwright import Axe

    return {
        rule["id"]: [node["html"][:160] for node in rule["nodes"]]
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
    }


def open_page(browser: "Browser", url: str, width: int, height: int, **options) -> "Page":
    """The app's page at this size, ready for an upload."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector(LOADED)
    return page


def upload(page: "Page", path: str, until: str = JUDGED) -> None:
    """Upload a file and wait for the page to answer."""
    page.set_input_files("#upload input[type=file]", path)
    page.wait_for_selector(until)


@contextmanager
def visiting(
    browser: "Browser", measured: tuple[Running, Manifest], size: str, **options
) -> "Iterator[Page]":
    """The page of ``measured`` at one of SIZES, for as long as the visit lasts."""
    opened = open_page(browser, measured[0].url, *SIZES[size], **options)
    yield opened
    opened.context.close()


def text(page: "Page", selector: str) -> str:
    """What an element says, in one line."""
    return " ".join(page.inner_text(selector).split())


def wait_until_empty(page: "Page", selector: str) -> None:
    """Until an element says nothing: Gradio's own timer leaves it a moment after the answer."""
    page.wait_for_function("(at) => document.querySelector(at).innerText === ''", arg=selector)
