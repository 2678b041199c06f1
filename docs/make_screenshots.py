"""Takes the pictures of README.md: both pages judging drawn lesions, on a desk and on a phone.

    python -m docs.make_screenshots --weights weights --output-dir docs

A drawing, since images of the data set may not be redistributed. Needs the packages of the extra
`dev`, Debian's chromium, and npm for the page that runs on the phone itself.
"""

import importlib.util
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from PIL import Image

from docs.states import WANTED, Found, find
from mel_demo.screening import Screener
from tests.support.running import NotStartedError, running_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page


@dataclass(frozen=True)
class Shot:
    """A picture of the first screen, of a drawing or of a state of ``states.WANTED`` (or before
    any). ``then``: what the visitor does next; of what it opens, the picture."""

    name: str
    width: int
    height: int
    drawing: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    then: "Callable[[Page], None] | None" = None


def _insist(page: "Page") -> None:
    page.click("#insist")
    page.wait_for_selector(".hero.insisted")


def _unreadable(page: "Page") -> None:
    page.set_input_files("#upload input[type=file]", BROKEN)
    page.wait_for_selector(".hero.problem")


def _judging(page: "Page") -> None:
    page.route("**/queue/join*", lambda route: None)
    page.set_input_files("#upload input[type=file]", DRAWINGS / "irregular.jpg")
    page.wait_for_selector(".hero.judging")
    page.wait_for_selector("#upload img", state="attached")


def _forgotten(page: "Page") -> None:
    """Asks as a session that the server does not know."""

    def ask(route: Any) -> None:
        asked = json.loads(route.request.post_data)
        route.continue_(post_data=json.dumps(asked | {"session_hash": "another"}))

    page.route("**/run/predict*", ask)
    page.locator("#target input[type=range]").press("ArrowLeft")
    page.wait_for_selector(".hero.forgotten")


def _many(page: "Page", answered: int | None = None) -> None:
    """All drawings and a broken file in the tab, of which the server answers the first so many."""
    drawings = [
        {"name": path.name, "mimeType": "image/jpeg", "buffer": path.read_bytes()}
        for path in sorted(DRAWINGS.glob("*.jpg"))
    ]
    files = [BROKEN, *drawings]
    answered = len(files) if answered is None else answered
    left = iter(range(answered))

    def judge(route: Any) -> None:
        if next(left, None) is not None:
            route.continue_()

    page.route("**/component_server/**", judge)
    page.click("#tab-many-button")
    page.set_input_files(".drop input", files)
    page.wait_for_function(
        f"document.querySelectorAll('.many-table tbody tr').length === {answered}"
    )
    top = "#tabs" if page.viewport_size["width"] > 640 else ".many-run"
    page.locator(top).evaluate("part => part.scrollIntoView()")


def _many_running(page: "Page") -> None:
    _many(page, 6)


def _many_stopped(page: "Page") -> None:
    _many_running(page)
    page.click("[data-do=stop]")
    page.wait_for_selector("[data-do=go]:visible")


_PHONE = {"device_scale_factor": 1.5}
_DARK = {"color_scheme": "dark"}
DRAWINGS = Path(__file__).parents[1] / "mel_demo/ui/examples"
BROKEN = {"name": "cut off.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff\xe0"}
SHOTS = (
    Shot("page-empty", 1440, 900),
    Shot("page-judging", 1440, 900, then=_judging),
    Shot("page-desktop", 1440, 900, "irregular"),
    Shot("page-desktop-dark", 1440, 900, "keratosis", _DARK),
    Shot("page-no-referral", 1440, 900, "nevus"),
    Shot("page-close-call", 1440, 900, "close call"),
    Shot("page-disagree", 1440, 900, "disagree"),
    Shot("page-other-cancer", 1440, 900, "other cancer"),
    Shot("page-refused", 1440, 900, "landscape"),
    Shot("page-insisted", 1440, 900, "refused", then=_insist),
    Shot("page-unreadable", 1440, 900, then=_unreadable),
    Shot("page-forgotten", 1440, 900, "irregular", then=_forgotten),
    Shot("page-many", 1440, 900, then=_many),
    Shot("page-many-running", 1440, 900, then=_many_running),
    Shot("page-many-stopped", 1440, 900, then=_many_stopped),
    Shot("phone-many", 390, 844, options=_PHONE, then=_many),
    Shot("page-phone-empty", 390, 844, options=_PHONE),
    Shot("page-phone", 390, 844, "irregular", _PHONE),
    Shot("page-phone-dark", 390, 844, "keratosis", _PHONE | _DARK),
    Shot("page-phone-other-cancer", 390, 844, "other cancer", _PHONE),
    Shot("page-phone-refused", 390, 844, "refused", _PHONE | _DARK),
)
PHONE_SHOTS = {
    "phone-start": (390, 844, "light", None),
    "phone-refer": (390, 844, "light", "irregular"),
    "phone-no-referral": (390, 844, "dark", "keratosis"),
    "phone-refused": (390, 844, "light", "landscape"),
    "phone-desktop": (1280, 900, "light", "irregular"),
    "phone-desktop-dark": (1280, 900, "dark", "irregular"),
}
"""The page that runs on the phone: width, height, colour scheme, drawing."""


def main(
    weights: Annotated[Path, typer.Option(help="Folder with the manifest and the models.")] = Path(
        "weights"
    ),
    output_dir: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("docs"),
    only: Annotated[list[str] | None, typer.Option(help="Take this one, or these.")] = None,
) -> None:
    """Take the pictures."""
    if importlib.util.find_spec("playwright") is None:
        sys.exit("Error: Playwright is not installed: `pip install -e '.[dev]'`.")
    if shutil.which("chromium") is None:
        sys.exit("Error: Chromium is not installed: `apt-get install chromium`.")
    from tests.support.browsing import browser

    output_dir.mkdir(parents=True, exist_ok=True)
    screener = Screener(weights)
    with tempfile.TemporaryDirectory() as name:
        try:
            with running_app(weights.resolve(), Path(name) / "cache") as app, browser() as chrome:
                for shot in SHOTS:
                    if only and shot.name not in only:
                        continue
                    found = find(screener, shot.drawing) if shot.drawing in WANTED else None
                    if shot.drawing in WANTED and found is None:
                        print(f"{shot.name}: no drawing shows it with these weights")
                        continue
                    path = output_dir / f"{shot.name}.png"
                    _take(chrome, app.url, path, shot, found)
                    _pack(path)
                    _report(path)
        except NotStartedError as error:
            sys.exit(str(error))
        _take_phone(weights.resolve(), Path(name) / "phone", output_dir, only)


def _take(chrome: "Browser", url: str, path: Path, shot: Shot, found: Found | None) -> None:
    from tests.support.browsing import open_page, upload

    if found:
        url += f"?sensitivity={found.target}"
    page = open_page(chrome, url, shot.width, shot.height, **shot.options)
    if shot.drawing:
        drawing: Any = str(DRAWINGS / f"{shot.drawing}.jpg")
        if found:
            drawing = {"name": "drawing.png", "mimeType": "image/png", "buffer": found.picture}
        upload(page, drawing, until=".hero.now:not(.empty)")
    if shot.then:
        shot.then(page)
    page.wait_for_timeout(1000)  # transitions, and on a phone the scrolling to the verdict
    page.screenshot(path=path)
    page.context.close()


def _take_phone(weights: Path, folder: Path, output_dir: Path, only: list[str] | None) -> None:
    from mel_demo.phone.build import lay_out
    from tests.support.phone import READY, judge, open_phone, phone_browser
    from tests.support.static_host import static_host

    lay_out(folder, weights)
    with static_host(folder) as host, phone_browser() as chrome:
        for name, (width, height, scheme, drawing) in PHONE_SHOTS.items():
            if only and name not in only:
                continue
            page = open_phone(chrome, host.url, width, height, color_scheme=scheme)
            page.wait_for_selector(READY)
            if drawing:
                judge(page, DRAWINGS / f"{drawing}.jpg")
            page.screenshot(path=output_dir / f"{name}.png")
            page.context.close()
            path = output_dir / f"{name}.png"
            _pack(path)
            _report(path)


def _pack(path: Path) -> None:
    """Without the alpha channel and with few colours: they stay in the history for good."""
    picture = Image.open(path).convert("RGB")
    # By other methods the small swatches of the evidence's scale change their colours.
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3).save(path, optimize=True)


def _report(path: Path) -> None:
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
