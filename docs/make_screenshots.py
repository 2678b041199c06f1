"""Takes the pictures of README.md: both pages judging drawn lesions, on a desk and on a phone.

    python -m docs.make_screenshots --weights weights --output-dir docs

A drawing, since images of the data set may not be redistributed. Needs the packages of the extra
`dev`, Debian's chromium, and npm for the page that runs on the phone itself.
"""

import importlib.util
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from PIL import Image

from tests.support.running import NotStartedError, running_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@dataclass(frozen=True)
class Shot:
    """A picture of the first screen, of a drawing (or before any) and a scheme; ``many``: of the
    tab "Many images" with all drawings and a broken file."""

    name: str
    width: int
    height: int
    drawing: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    many: bool = False


_PHONE = {"device_scale_factor": 1.5}
SHOTS = (
    Shot("page-empty", 1440, 900),
    Shot("page-desktop", 1440, 900, "irregular"),
    Shot("page-desktop-dark", 1440, 900, "keratosis", {"color_scheme": "dark"}),
    Shot("page-no-referral", 1440, 900, "nevus"),
    Shot("page-refused", 1440, 900, "landscape"),
    Shot("page-many", 1440, 900, many=True),
    Shot("phone-many", 390, 844, options=_PHONE, many=True),
    Shot("page-phone", 390, 844, "irregular", _PHONE),
    Shot("page-phone-dark", 390, 844, "keratosis", _PHONE | {"color_scheme": "dark"}),
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
DRAWINGS = Path(__file__).parents[1] / "mel_demo/ui/examples"


def main(
    weights: Annotated[Path, typer.Option(help="Folder with the manifest and the models.")] = Path(
        "weights"
    ),
    output_dir: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("docs"),
) -> None:
    """Take the pictures."""
    if importlib.util.find_spec("playwright") is None:
        sys.exit("Error: Playwright is not installed: `pip install -e '.[dev]'`.")
    if shutil.which("chromium") is None:
        sys.exit("Error: Chromium is not installed: `apt-get install chromium`.")
    from tests.support.browsing import browser

    output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        try:
            with running_app(weights.resolve(), Path(name) / "cache") as app, browser() as chrome:
                for shot in SHOTS:
                    path = output_dir / f"{shot.name}.png"
                    _take(chrome, app.url, path, shot)
                    # Without the alpha channel, and packed well: they stay in the history for good.
                    Image.open(path).convert("RGB").quantize(192).save(path, optimize=True)
                    _report(path)
        except NotStartedError as error:
            sys.exit(str(error))
        _take_phone(weights.resolve(), Path(name) / "phone", output_dir)


def _take(chrome: "Browser", url: str, path: Path, shot: Shot) -> None:
    from tests.support.browsing import open_page, upload

    page = open_page(chrome, url, shot.width, shot.height, **shot.options)
    if shot.drawing:
        upload(page, str(DRAWINGS / f"{shot.drawing}.jpg"), until=".hero.now:not(.empty)")
    if shot.many:
        _show_many(page)
    page.wait_for_timeout(1000)  # transitions, and on a phone the scrolling to the verdict
    page.screenshot(path=path)
    page.context.close()


def _show_many(page: "Page") -> None:
    page.click("#tab-many-button")
    broken = {"name": "cut off.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff\xe0"}
    drawings = [
        {"name": path.name, "mimeType": "image/jpeg", "buffer": path.read_bytes()}
        for path in sorted(DRAWINGS.glob("*.jpg"))
    ]
    page.set_input_files(".drop input", [*drawings, broken])
    rows = f"document.querySelectorAll('.many-table tbody tr').length === {len(drawings) + 1}"
    page.wait_for_function(rows)
    top = "#tabs" if page.viewport_size["width"] > 640 else ".many-run"
    page.locator(top).evaluate("part => part.scrollIntoView()")


def _take_phone(weights: Path, folder: Path, output_dir: Path) -> None:
    from mel_demo.phone.build import lay_out
    from tests.support.phone import READY, judge, open_phone, phone_browser
    from tests.support.static_host import static_host

    lay_out(folder, weights)
    with static_host(folder) as host, phone_browser() as chrome:
        for name, (width, height, scheme, drawing) in PHONE_SHOTS.items():
            page = open_phone(chrome, host.url, width, height, color_scheme=scheme)
            page.wait_for_selector(READY)
            if drawing:
                judge(page, DRAWINGS / f"{drawing}.jpg")
            page.screenshot(path=output_dir / f"{name}.png")
            page.context.close()
            path = output_dir / f"{name}.png"
            Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
            _report(path)


def _report(path: Path) -> None:
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
