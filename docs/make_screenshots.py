"""Takes the pictures of README.md: the page judging a drawn lesion, on a desk and on a phone.

    python -m docs.make_screenshots --weights weights --output-dir docs

A drawing, since images of the data set may not be redistributed. Needs the packages of the extra
`dev` and Debian's chromium.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from playwright.sync_api import Browser

from docs.drawn_lesion import drawn_lesion
from tests.browsing import browser, chromium, open_page, upload
from tests.running import running_app

SHOTS = {
    "page-desktop": {"width": 1280, "height": 1500},
    "page-dark": {"width": 1280, "height": 860, "color_scheme": "dark"},
    "page-phone": {"width": 390, "height": 844, "device_scale_factor": 2},
}


def main(
    weights: Annotated[Path, typer.Option(help="Folder with the manifest and the models.")] = Path(
        "weights"
    ),
    output_dir: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("docs"),
) -> None:
    """Take the pictures."""
    if chromium() is None:
        sys.exit("Chromium is not installed: `apt-get install chromium`.")
    with tempfile.TemporaryDirectory() as name:
        lesion = Path(name) / "lesion.jpg"
        drawn_lesion().save(lesion, quality=95)
        with running_app(weights.resolve(), Path(name) / "cache") as app, browser() as chrome:
            for shot, options in SHOTS.items():
                path = output_dir / f"{shot}.png"
                _take(chrome, app.url, lesion, path, options)
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _take(chrome: Browser, url: str, lesion: Path, path: Path, options: dict) -> None:
    page = open_page(chrome, url, **options)
    upload(page, str(lesion))
    page.wait_for_selector("#map-student img", state="attached")
    page.wait_for_function(
        "[...document.images].every(image => image.naturalWidth > 0"
        " || image.getBoundingClientRect().top > innerHeight)"
    )
    page.wait_for_timeout(800)  # the figures' and the map handle's own transitions
    page.screenshot(path=path)
    page.context.close()
    # Without the alpha channel, and packed well: the pictures stay in the history for good.
    Image.open(path).convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    typer.run(main)
