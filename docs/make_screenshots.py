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
    from playwright.sync_api import Browser


@dataclass(frozen=True)
class Shot:
    """A picture ``width`` CSS pixels wide, from the top of the page to the end of ``last``."""

    name: str
    width: int
    tab: str
    last: str
    options: dict[str, Any] = field(default_factory=dict)


SHOTS = (
    Shot("page-desktop", 1280, "evidence", "#caption-student"),
    Shot("page-desktop-dark", 1280, "certainty", "#histogram-student", {"color_scheme": "dark"}),
    Shot("page-phone", 390, "costs", "#crowds", {"device_scale_factor": 2}),
    Shot(
        "page-phone-dark",
        390,
        "evidence",
        "#caption-teacher",
        {"device_scale_factor": 2, "color_scheme": "dark"},
    ),
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
DRAWING = Path(__file__).parents[1] / "mel_demo/ui/examples/irregular.jpg"
_TALL = 4000
"""Height of the window in pixels: more than any picture, so that no part waits for scrolling."""


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
                    Image.open(path).convert("RGB").save(path, optimize=True)
                    _report(path)
        except NotStartedError as error:
            sys.exit(str(error))
        _take_phone(weights.resolve(), Path(name) / "phone", output_dir)


def _take(chrome: "Browser", url: str, path: Path, shot: Shot) -> None:
    from tests.support.browsing import open_page, upload

    page = open_page(chrome, url, shot.width, _TALL, **shot.options)
    upload(page, str(DRAWING))
    page.click(f"#tab-{shot.tab}-button")
    page.wait_for_selector(shot.last)
    page.wait_for_function("[...document.images].every((image) => image.naturalWidth > 0)")
    page.wait_for_timeout(800)  # the figures' and the map handle's own transitions
    end = page.locator(shot.last).bounding_box()
    area = {"x": 0, "y": 0, "width": shot.width, "height": end["y"] + end["height"] + 16}
    page.screenshot(path=path, clip=area)
    page.context.close()


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
                judge(page, DRAWING.with_stem(drawing))
            page.screenshot(path=output_dir / f"{name}.png")
            page.context.close()
            path = output_dir / f"{name}.png"
            Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
            _report(path)


def _report(path: Path) -> None:
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
