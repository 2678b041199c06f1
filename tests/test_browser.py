"""The page in real Chromium, at desk and phone width: what a visitor does and then sees."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

# In CI the tests run, and fail, without Playwright or Chromium.
if not os.environ.get("CI"):
    pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e .[dev]")

from axe_playwright_python.sync_playwright import Axe

from docs.drawings import DRAWINGS
from mel_demo.decision import conformal
from mel_demo.decision.operating_point import choose
from mel_demo.decision.prevalence import natural_frequencies, predictive_values
from mel_demo.screening import Screener
from mel_demo.texts import Texts
from mel_demo.ui import words
from tests.support.apart import write_weights_apart
from tests.support.browsing import LOADED, browser, chromium, open_page, upload
from tests.support.lesions import draw_lesion
from tests.support.running import running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        chromium() is None and not os.environ.get("CI"), reason="needs Debian's chromium"
    ),
]
SIZES = {"desk": (1280, 860), "phone": (390, 844)}
BOTH = ("teacher", "student")
TABS = ("costs", "evidence", "certainty", "groups", "about")
T = Texts()
EXAMPLES = Path(__file__).parents[1] / "mel_demo/ui/examples"
CONTRAST = (Path(__file__).parent / "support" / "contrast.js").read_text(encoding="utf-8")
REMOVE = "#upload [aria-label='Remove Image']"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights_apart(tmp_path_factory.mktemp("apart"))


@pytest.fixture(scope="module")
def tables(weights):
    models = Screener(weights, threads=1).manifest.models
    return {key: models[key].operating_table for key in BOTH}


@pytest.fixture(scope="module")
def app(weights, tmp_path_factory):
    with running_app(weights, tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture(scope="module")
def chrome():
    assert chromium(), "no `chromium` on the PATH: apt-get install chromium"
    with browser() as started:
        yield started


@pytest.fixture(params=list(SIZES))
def page(request, chrome, app):
    with visiting(chrome, app, *SIZES[request.param]) as opened:
        yield opened


@pytest.fixture
def desk(chrome, app):
    with visiting(chrome, app, *SIZES["desk"]) as opened:
        yield opened


@contextmanager
def visiting(chrome, app, width, height, **options):
    opened = open_page(chrome, app.url, width, height, **options)
    yield opened
    opened.context.close()


@pytest.fixture(scope="module")
def lesion(tmp_path_factory):
    path = tmp_path_factory.mktemp("lesion") / "lesion.jpg"
    draw_lesion("mel", seed=3, size=(600, 450)).save(path)
    return path


@pytest.fixture(scope="module")
def dark():
    """A drawing with little blue, which the refusing tiny model lets pass."""
    return EXAMPLES / "irregular-dark.jpg"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Pictures of one colour: grey is referred by both at 95 %, by the student alone at 80 %."""
    folder = tmp_path_factory.mktemp("plain")
    for name, colour in (("grey", (128, 128, 128)), ("red", (255, 0, 0))):
        Image.new("RGB", (200, 200), colour).save(folder / f"{name}.png")
    return folder


def text(page, selector: str) -> str:
    return " ".join(page.inner_text(selector).split())


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def on_first_screen(page, selector: str) -> bool:
    """All of what it selects lies in the window before any scrolling."""
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    boxes = [item.bounding_box() for item in page.locator(selector).all()]
    return bool(boxes) and all(
        box["x"] >= 0
        and box["y"] >= 0
        and box["x"] + box["width"] <= width
        and box["y"] + box["height"] <= height
        for box in boxes
    )


def tab(page, name: str) -> None:
    """Open a tab by the end of its id."""
    page.click(f"#tab-{name}-button")
    page.wait_for_selector(f"#tab-{name}-button[aria-selected=true]")


def slide(page, key: str, percent: str) -> None:
    """Move the slider with the keyboard and wait for the numbers to follow."""
    page.locator("#target input[type=range]").press(key)
    page.wait_for_selector(f"#measured caption:has-text('Set to catch {percent} %')")


def shows_the_manifests_numbers(page, tables, target: float) -> None:
    for key in BOTH:
        row = choose(tables[key], target).row
        page.wait_for_selector(f".card.{key}:has-text('refers from {T.percent(row.threshold)}')")
        for rate, (part, whole) in words.fractions(row.holdout).items():
            cell = text(page, f"#measured tr[data-rate={rate}] td.{key}")
            assert f"{part} of {whole}" in cell
            assert T.share(getattr(row.holdout_rates, rate)) in cell


def test_the_first_screen_says_what_this_is_not_and_what_will_come(page):
    assert "not a medical device" in text(page, ".notice")
    assert on_first_screen(page, ".notice")
    assert on_first_screen(page, "#upload")
    assert on_first_screen(page, ".card .verdict")
    for key in BOTH:
        assert "Waiting for an image" in text(page, f".card.{key}")
    assert fits(page)


def test_an_upload_shows_both_verdicts_maps_and_diagnoses(page, lesion):
    upload(page, lesion)
    for key in BOTH:
        verdict = text(page, f".card.{key} .verdict")
        assert verdict in (T("verdict_refer"), T("verdict_no_referral"), T("verdict_uncertain"))
        assert "%" in text(page, f".card.{key} .probability")
        assert "ms" in text(page, f".card.{key}")
    for selector in (".notice", ".status h2", ".card .verdict"):
        assert on_first_screen(page, selector), selector
    tab(page, "evidence")
    for key in BOTH:
        page.locator(f"#map-{key}").scroll_into_view_if_needed()  # pictures load when in sight
        page.wait_for_function(
            f"[...document.querySelectorAll('#map-{key} img')].filter("
            "image => image.naturalWidth == 600).length >= 2"
        )
        assert "spoke for melanoma" in text(page, f"#caption-{key}")
    assert "Melanocytic nevus (mole)" in text(page, "#classes")
    assert fits(page)


def test_an_image_taken_away_is_gone_from_the_whole_page(desk, lesion):
    upload(desk, lesion)
    tab(desk, "evidence")
    desk.click(REMOVE)
    desk.wait_for_selector(".status.waiting")
    for key in BOTH:
        desk.wait_for_selector(f".card.{key}.empty")
        desk.wait_for_selector(f"#map-{key} img", state="detached")
        assert "comes here" in text(desk, f"#caption-{key}")


def test_the_slider_changes_verdicts_and_numbers_to_the_manifests(page, plain, tables):
    upload(page, plain / "grey.png")
    shows_the_manifests_numbers(page, tables, 0.95)
    assert "Both models would refer this lesion" in text(page, "#status")
    slide(page, "Home", "80")
    shows_the_manifests_numbers(page, tables, 0.80)
    page.wait_for_selector(".status.disagree")
    assert text(page, ".card.teacher .verdict") == T("verdict_no_referral")
    assert text(page, ".card.student .verdict") == T("verdict_refer")
    slide(page, "ArrowRight", "80.1")
    shows_the_manifests_numbers(page, tables, 0.801)


def test_the_preset_returns_to_95_percent(page, tables):
    """Without an image too: what a setting costs is known before."""
    slide(page, "End", "99.5")
    shows_the_manifests_numbers(page, tables, 0.995)
    page.click("#preset")
    page.wait_for_selector("#measured:has-text('Set to catch 95 %')")
    shows_the_manifests_numbers(page, tables, 0.95)
    assert page.input_value("#target input[type=range]") == "95"


def test_a_slider_moved_while_the_models_run_has_the_last_word(desk, lesion, tables):
    """On a busy server an image waits for its turn; the setting shown must be the slider's."""
    waiting = []
    desk.route("**/gradio_api/queue/join*", lambda route: waiting.append(route))
    with desk.expect_request("**/gradio_api/queue/join*"):
        desk.set_input_files("#upload input[type=file]", lesion)
    slide(desk, "Home", "80")
    for route in waiting:
        route.continue_()
    desk.unroute_all(behavior="wait")
    desk.wait_for_selector(".card.teacher:not(.empty)")
    desk.wait_for_selector(".card.student:not(.empty)")
    shows_the_manifests_numbers(desk, tables, 0.80)
    assert "Set to catch 80 %" in text(desk, "#measured")


def test_a_bad_file_says_why_and_loses_nothing(page, tmp_path, lesion):
    slide(page, "Home", "80")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not an image")
    upload(page, bad, until=".status.problem")
    assert "not an image that can be read" in text(page, "#status")
    assert page.input_value("#target input[type=range]") == "80"
    assert "Set to catch 80 %" in text(page, "#measured")
    assert fits(page)
    page.click(REMOVE)
    upload(page, lesion)
    assert "Set to catch 80 %" in text(page, "#measured")


def test_disagreement_is_said_above_the_verdicts(page, plain):
    upload(page, plain / "red.png", until=".status.disagree")
    assert "The models disagree" in text(page, "#status")
    status, card = (
        page.locator(css).first.bounding_box() for css in (".status.disagree", ".card.teacher")
    )
    assert status["y"] + status["height"] <= card["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(chrome, app, plain, scheme, tmp_path):
    with visiting(chrome, app, *SIZES["desk"], color_scheme=scheme) as page:
        assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
        for name in TABS:
            tab(page, name)
            assert page.evaluate(CONTRAST) == []
        upload(page, plain / "red.png", until=".status.disagree")
        assert page.evaluate(CONTRAST) == []
        (tmp_path / "bad.jpg").write_bytes(b"not an image")
        page.click(REMOVE)
        upload(page, tmp_path / "bad.jpg", until=".status.problem")
        assert page.evaluate(CONTRAST) == []


def test_nothing_leaves_this_machine_and_nothing_is_wrong_in_the_console(chrome, app, lesion):
    requests, complaints = [], []
    context = chrome.new_context()
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.goto(app.url)
    page.wait_for_selector("#roc .main-svg")
    upload(page, lesion)
    slide(page, "End", "99.5")
    page.click("#preset")
    page.wait_for_selector("#measured:has-text('Set to catch 95 %')")
    outside = [url for url in requests if not url.startswith((app.url, "data:", "blob:"))]
    assert outside == []
    assert complaints == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert "Melanoma screening" in page.title()
    context.close()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The page of models that were measured for everything, and refuse what is blue."""
    folder = tmp_path_factory.mktemp("measured")
    weights = write_weights_apart(folder / "weights", evidence=True, refusing=True)
    with running_app(weights, folder / "cache") as running:
        yield running, Screener(weights, threads=1).manifest


@pytest.fixture(params=list(SIZES))
def full(request, chrome, measured):
    with visiting(chrome, measured[0], *SIZES[request.param]) as opened:
        yield opened, measured[1]


def test_prevalence_changes_the_people_and_the_predictive_values(full):
    page, manifest = full
    page.click("#preset-11")
    page.wait_for_selector("#table .muted:has-text('11 %')")
    for key in BOTH:
        table = manifest.models[key].operating_table
        rates = choose(table, 0.95).row.holdout_rates
        values = predictive_values(rates, table.holdout_lesions, 0.11)
        people = natural_frequencies(rates.sensitivity.value, rates.specificity.value, 0.11)
        figure = f"#crowds figure[data-model={key}]"
        assert T.share(values.ppv) in text(page, f"{figure} [data-value=ppv]")
        assert f"{people.referred} would be referred" in text(page, figure)
        drawn = page.locator(f"{figure} svg path.found").first.get_attribute("d")
        assert drawn.count("M") in (people.found, people.found + 1), "one mark a person, one legend"
        assert T.share(values.ppv) in text(page, f"#table tr.{key} [data-cell=ppv]")
    assert fits(page)


def test_a_threshold_and_a_tap_on_the_roc_move_the_slider(full):
    page, manifest = full
    page.click("#more-ways button")
    page.click("#threshold input")  # as a hand would; Gradio fills a new box a moment after
    page.fill("#threshold input", "20")
    page.press("#threshold input", "Enter")
    page.wait_for_selector("#measured caption:has-text('Set to catch 80 %')")
    assert page.input_value("#target input[type=range]") == "80"
    row = manifest.models["teacher"].operating_table.rows[17]
    place = page.evaluate(
        """([x, y]) => {
          const plot = document.querySelector('#roc .js-plotly-plot');
          const {xaxis, yaxis} = plot._fullLayout;
          plot.scrollIntoView({block: 'center'});
          const {left, top} = plot.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y)];
        }""",
        [row.holdout.fp / row.holdout.others, row.holdout.tp / row.holdout.melanomas],
    )
    page.mouse.click(*place)
    page.wait_for_selector("#measured caption:has-text('Set to catch 90 %')")
    page.wait_for_function(
        "wanted => Math.abs(document.querySelector('#threshold input').value - wanted) < 1e-3",
        arg=100 * row.threshold,
    )


def test_a_link_opens_the_setting_it_was_copied_from(full, chrome, measured):
    page, _ = full
    slide(page, "Home", "80")
    page.wait_for_function("location.search.includes('sensitivity=0.8')")
    address = page.evaluate("location.href")
    other = page.context.new_page()
    other.goto(address)
    other.wait_for_selector("#measured caption:has-text('Set to catch 80 %')")
    assert other.input_value("#target input[type=range]") == "80"


@pytest.mark.parametrize(
    ("query", "target", "prevalence"),
    [
        ("?sensitivity=0.9&prevalence=0.11", "90", "11"),
        ("?sensitivity=2&prevalence=0", "99.5", "0.1"),
        ("?sensitivity=x", "95", "2"),
    ],
)
def test_a_link_with_bad_values_opens_the_nearest_setting(
    chrome, measured, query, target, prevalence
):
    with visiting(chrome, measured[0], *SIZES["desk"]) as page:
        page.goto(measured[0].url + query)
        page.wait_for_selector(f"#measured caption:has-text('Set to catch {target} %')")
        page.wait_for_selector(f"#table .muted:has-text('{prevalence} %')")
        assert page.input_value("#target input[type=range]") == target
        assert page.input_value("#prevalence input[type=range]") == prevalence


def test_a_hand_quicker_than_the_line_is_not_overruled(chrome, measured):
    """The slider is moved before the server has answered the load."""
    held = []

    def hold_first(route):
        if held:
            route.continue_()
        else:
            held.append(route)

    with visiting(chrome, measured[0], *SIZES["desk"]) as page:
        page.route("**/gradio_api/run/**", hold_first)
        with page.expect_request("**/gradio_api/run/**"):
            page.reload()
        page.wait_for_selector("#roc .main-svg")
        slide(page, "Home", "80")
        assert page.locator(LOADED).count() == 0, "the load is still held back"
        with page.expect_response(lambda answer: "80,2]" in (answer.request.post_data or "")):
            held[0].continue_()
        page.wait_for_selector(LOADED)
        assert page.input_value("#target input[type=range]") == "80"
        assert "Set to catch 80 %" in text(page, "#measured caption")


def test_the_certainty_tab_shows_this_image_among_the_measured(full, dark):
    page, manifest = full
    upload(page, dark)
    tab(page, "certainty")
    for key in BOTH:
        page.wait_for_selector(f"#histogram-{key} .main-svg")
        assert "this image" in text(page, f"#histogram-{key}")
        band = conformal.band(
            manifest.models[key].evidence.conformal,
            0.95,
            choose(manifest.models[key].operating_table, 0.95).threshold,
        )
        assert T.percent(band.high) in text(page, f"[data-band={key}]")
    for plot in ("reliability-plot", "decision-plot"):
        page.wait_for_selector(f"#{plot} .main-svg")
    assert fits(page)


def test_the_groups_tab_shows_the_manifests_groups(full):
    page, manifest = full
    tab(page, "groups")
    for key in BOTH:
        for group in manifest.models[key].evidence.subgroups["sex"]:
            row = f"#subgroups tr[data-group={group.name}]"
            assert T.share(group.sensitivity) in text(
                page, f"{row} td.{key}[data-rate=sensitivity]"
            )
    assert "few cases" in text(page, "#subgroups tr[data-group=male]")
    assert fits(page)


def test_no_dermoscopy_is_refused_until_the_person_insists(full, tmp_path):
    page, _ = full
    Image.new("RGB", (200, 200), (0, 0, 255)).save(tmp_path / "blue.png")
    upload(page, tmp_path / "blue.png", until=".status.refused")
    assert "does not look like a dermoscopy image" in text(page, "#status")
    for key in BOTH:
        assert "Waiting" in text(page, f".card.{key}")
    page.click("#insist")
    page.wait_for_selector(".card.teacher:not(.empty)")
    assert "do not rely on anything below" in text(page, "#status")
    assert page.is_hidden("#insist")


def test_another_diagnosis_and_view_can_be_chosen(full, dark):
    page, _ = full
    upload(page, dark)
    tab(page, "evidence")
    page.click("#class input")
    page.get_by_role("option", name=T("dx_nv")).click()
    page.wait_for_selector("#caption-teacher:has-text('melanocytic nevus')")
    page.get_by_label(T("label_view_map"), exact=True).check()
    page.wait_for_function("document.querySelector('#map-teacher img').naturalWidth > 0")
    assert fits(page)


def test_the_report_is_downloaded_whole(full, dark, tmp_path):
    page, manifest = full
    assert page.is_disabled("#report")
    upload(page, dark)
    page.wait_for_selector("#report:not([disabled])")
    with page.expect_download() as download:
        page.click("#report")
    document = Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename.endswith(".html")
    assert manifest.models["student"].sha256 in document
    assert dark.name not in document


def test_a_drawing_of_the_gallery_is_judged(full):
    page, _ = full
    page.locator("#examples button").nth(list(DRAWINGS).index("nevus-dark")).click()
    page.wait_for_selector(".card.teacher:not(.empty)")


@pytest.mark.parametrize(("locale", "says"), [("de-DE", "Melanom"), ("es-ES", "melanoma")])
def test_the_page_speaks_the_browsers_language(chrome, measured, dark, locale, says):
    with visiting(chrome, measured[0], *SIZES["phone"], locale=locale) as page:
        t = Texts(locale[:2])
        page.wait_for_selector(f"h1:has-text('{t('title')}')")
        page.wait_for_selector(f"#upload:has-text('{t('label_upload')}')")
        upload(page, dark)
        assert t("melanoma_probability") in text(page, ".card.teacher")
        assert "Set to catch" not in text(page, "#measured")
        for name in TABS:
            tab(page, name)
            assert fits(page), name


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_axe_finds_nothing_serious(chrome, measured, dark, size, scheme):
    with visiting(chrome, measured[0], *SIZES[size], color_scheme=scheme) as page:
        upload(page, dark)
        for name in TABS:
            tab(page, name)
            found = Axe().run(page).response["violations"]
            serious = {
                rule["id"]: [node["html"][:160] for node in rule["nodes"]]
                for rule in found
                if rule["impact"] in ("serious", "critical")
            }
            assert serious == {}, name
