"""The page in real Chromium, at desk and phone width: what a visitor does and then sees."""

import os

import pytest

playwright = pytest.importorskip("playwright.sync_api")

from mel_demo.operating_point import choose  # noqa: E402
from mel_demo.ui import words  # noqa: E402
from tests.browsing import browser, chromium, open_page, upload  # noqa: E402
from tests.lesions import draw_lesion  # noqa: E402
from tests.running import running_app  # noqa: E402

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        # In CI the tests run, and fail, without it.
        chromium() is None and not os.environ.get("CI"),
        reason="needs Debian's chromium",
    ),
]
SIZES = {"desk": (1280, 860), "phone": (390, 844)}
# Gradio's own front end says this when an event has a `js` and no `fn`.
HARMLESS = ("Method not implemented",)


@pytest.fixture(scope="module")
def app(tiny_weights, tmp_path_factory):
    with running_app(tiny_weights, tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture(scope="module")
def chrome():
    with browser() as started:
        yield started


@pytest.fixture(params=list(SIZES))
def page(request, chrome, app):
    opened = open_page(chrome, app.url, *SIZES[request.param])
    yield opened
    opened.context.close()


@pytest.fixture(scope="module")
def lesion(tmp_path_factory):
    path = tmp_path_factory.mktemp("lesion") / "lesion.jpg"
    draw_lesion("mel", seed=3, size=(600, 450)).save(path)
    return path


def text(page, selector: str) -> str:
    return " ".join(page.inner_text(selector).split())


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def rows(tiny_screener, target: float) -> dict:
    models = tiny_screener.manifest.models
    return {key: choose(models[key].operating_table, target).row for key in ("teacher", "student")}


def test_the_first_screen_says_what_this_is_not(page):
    notice = page.locator(".notice")
    assert "not a medical device" in notice.inner_text()
    assert notice.bounding_box()["y"] < 300
    assert page.locator(".card").first.bounding_box()["y"] < 844
    assert fits(page)


def test_an_upload_shows_both_verdicts_maps_and_diagnoses(page, lesion):
    upload(page, lesion)
    for key in ("teacher", "student"):
        verdict = text(page, f".card.{key} .verdict")
        assert verdict in (words.REFER, words.NO_REFERRAL)
        assert "%" in text(page, f".card.{key} .probability")
        assert "ms" in text(page, f".card.{key}")
        page.locator(f"#map-{key}").scroll_into_view_if_needed()  # pictures load when in sight
        page.wait_for_function(
            f"[...document.querySelectorAll('#map-{key} img')].filter("
            "image => image.naturalWidth == 600).length >= 2"
        )
        assert "spoke for melanoma" in text(page, f"#caption-{key}")
    assert "Melanocytic nevus (mole)" in text(page, "#differential")
    assert fits(page)


def test_the_slider_changes_the_numbers_to_the_manifests(page, lesion, tiny_screener):
    upload(page, lesion)
    slider = page.locator("#target input[type=range]")
    for key, row in rows(tiny_screener, 0.95).items():
        assert f"refers from {words.percent(row.threshold)}" in text(page, f".card.{key}")
    slider.focus()
    slider.press("Home")
    for key, row in rows(tiny_screener, 0.80).items():
        page.wait_for_selector(f".card.{key}:has-text('{words.percent(row.threshold)}')")
        cell = f"#measured tr[data-rate=sensitivity] td.{key}"
        page.wait_for_selector(f"{cell}:has-text('{row.holdout.tp} of {row.holdout.melanomas}')")
        assert words.share(row.holdout_rates.sensitivity) in text(page, cell)
    assert "Set to catch 80 %" in text(page, "#measured")


def test_the_preset_returns_to_95_percent(page, lesion):
    upload(page, lesion)
    slider = page.locator("#target input[type=range]")
    slider.focus()
    slider.press("End")
    page.wait_for_selector("#measured:has-text('Set to catch 99.5 %')")
    page.click("#preset")
    page.wait_for_selector("#measured:has-text('Set to catch 95 %')")
    assert slider.input_value() == "95"


def test_a_bad_file_says_why_and_loses_nothing(page, tmp_path, lesion):
    slider = page.locator("#target input[type=range]")
    slider.focus()
    slider.press("Home")
    page.wait_for_selector("#measured:has-text('Set to catch 80 %')")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not an image")
    upload(page, bad, until=".status.problem")
    assert "not an image that can be read" in text(page, "#status")
    assert slider.input_value() == "80"
    assert "Set to catch 80 %" in text(page, "#measured")
    page.click("#upload [aria-label='Remove Image'], #upload [aria-label=Clear]")
    upload(page, lesion)


def test_disagreement_is_said_above_the_verdicts(page, tmp_path):
    from PIL import Image

    path = tmp_path / "red.png"
    Image.new("RGB", (200, 200), (255, 0, 0)).save(path)
    upload(page, path)
    page.wait_for_selector(".status.disagree")
    assert "The models disagree" in text(page, "#status")
    status, card = (
        page.locator(css).first.bounding_box() for css in (".status.disagree", ".card.teacher")
    )
    assert status["y"] < card["y"]


def test_nothing_leaves_this_machine_and_nothing_is_wrong_in_the_console(chrome, app, lesion):
    context = chrome.new_context(color_scheme="dark")
    page, requests, complaints = context.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(app.url)
    page.wait_for_selector("#roc .main-svg")
    upload(page, lesion)
    outside = [url for url in requests if not url.startswith((app.url, "data:", "blob:"))]
    assert outside == []
    assert [text for text in complaints if not text.startswith(HARMLESS)] == []
    assert page.evaluate("document.documentElement.lang") == "en"
    context.close()
