"""Debian's Chromium under Playwright, for the browser tests and the README's pictures."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
JUDGED = "body.judged .card.teacher:is(.refer, .no_referral)"
LOADED = "#footer p"
"""Comes with the answer to the load."""
PATIENCE = 90_000
"""Milliseconds that a step may take on a busy machine."""


def chromium() -> str | None:
    """Where Chromium is, None where it is not."""
    return shutil.which("chromium")


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield started
        started.close()


def open_page(browser: Browser, url: str, width: int, height: int, **options) -> Page:
    """The app's page at this size, ready for an upload."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector(LOADED)
    return page


def upload(page: Page, path: str, until: str = JUDGED) -> None:
    """Upload a file and wait for the page to answer."""
    page.set_input_files("#upload input[type=file]", path)
    page.wait_for_selector(until)
