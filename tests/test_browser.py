"""The page in real Chromium, at desk and phone width: what a visitor does and then sees."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from mel_demo.decision.operating_point import choose
from mel_demo.decision.prevalence import natural_frequencies
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, Texts
from mel_demo.ui.costs import fractions
from tests.support.apart import write_weights_apart
from tests.support.browsing import HAND_OVER, SHIFTS, SIDEWAYS, open_page, serious, upload
from tests.support.running import running_app

pytestmark = pytest.mark.browser
SIZES = {"desk": (1440, 900), "phone": (390, 844), "small": (320, 640)}
BOTH = ("teacher", "student")
TABS = ("evidence", "costs", "certainty", "groups", "about")
PLOTS = {"costs": ("roc",), "certainty": ("reliability-plot", "decision-plot")}
T = Texts()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The page of models that were measured for everything, and refuse what is blue."""
    folder = tmp_path_factory.mktemp("measured")
    weights = write_weights_apart(folder / "weights", evidence=True, refusing=True, elsewhere=True)
    with running_app(weights, folder / "cache") as running:
        yield running, Screener(weights, threads=1).manifest


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Pictures of one colour: nearly black is referred by both, red by the student alone."""
    folder = tmp_path_factory.mktemp("plain")
    colours = {"black": (40, 20, 20), "red": (255, 0, 0)}
    colours |= {"blue": (0, 0, 255), "also blue": (1, 0, 255)}
    for name, colour in colours.items():
        Image.new("RGB", (200, 150), colour).save(folder / f"{name}.png")
    (folder / "bad.jpg").write_bytes(b"not an image")
    return folder


@contextmanager
def visiting(chrome, measured, size, **options):
    opened = open_page(chrome, measured[0].url, *SIZES[size], **options)
    yield opened
    opened.context.close()


def text(page, selector: str) -> str:
    return " ".join(page.inner_text(selector).split())


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def tab(page, name: str) -> None:
    page.click(f"#tab-{name}-button")
    page.wait_for_selector(f"#tab-{name}-button[aria-selected=true]")
    for plot in PLOTS.get(name, ()):
        page.wait_for_selector(f"#{plot} .field")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("size", "scheme"), [("desk", "light"), ("phone", "dark"), ("small", "light")]
)
def test_verdict_prices_and_tabs_fit_and_agree_with_the_manifest(
    chrome, measured, plain, size, scheme, language
):
    t = Texts(language)
    with visiting(chrome, measured, size, color_scheme=scheme, locale=language) as page:
        assert page.evaluate("document.documentElement.lang") == language
        assert page.title() == t("title")
        assert page.eval_on_selector_all(
            ".switch", "all => all.every(one => one.scrollWidth <= one.clientWidth)"
        )
        ends = page.locator("#target [data-testid=max-value], #prevalence [data-testid=min-value]")
        assert ends.all_text_contents() == [t.digits("99.5")], "a tab that is closed has none"
        for role in ("slider", "spinbutton"):
            assert page.get_by_role(role, name=t("label_target"), exact=True).count() == 1
        assert page.get_by_role("group", name=t("label_looking_for"), exact=True).count() == 1
        assert page.get_by_role("button", name=t("upload_camera"), exact=True).count() == 1
        upload(page, plain / "black.png")
        assert text(page, "#hero h2").startswith(t("refer_title"))
        assert page.get_attribute("#hero", "aria-live") == "polite"
        box = page.locator("#hero h2").first.bounding_box()
        assert 0 <= box["y"] <= page.viewport_size["height"] - box["height"]
        for key in BOTH:
            row = choose(measured[1].models[key].operating_table, 0.95).row
            assert t.percent(row.threshold) in text(page, f".card.{key}")
            counts = row.holdout
            assert t(
                "price_melanoma",
                tp=t.count(counts.tp),
                positives=t.count(counts.melanomas),
                fp=t.count(counts.fp),
                others=t.count(counts.others),
            ) in text(page, f".price .{key}")
        for name in TABS:
            tab(page, name)
            assert text(page, f"#tab-{name}-button") == t(f"tab_{name}")
            assert fits(page), name
            assert page.evaluate(SIDEWAYS) == [], name


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_nothing_jumps_while_the_page_loads_or_when_the_answer_comes(chrome, measured, plain, size):
    width, height = SIZES[size]
    context = chrome.new_context(viewport={"width": width, "height": height}, locale="en")
    context.add_init_script(SHIFTS)
    page = context.new_page()
    page.goto(measured[0].url)
    page.wait_for_selector("#footer p")
    loaded = page.evaluate("window.shifts")
    held = []
    page.route("**/queue/join*", lambda route: held.append(route))
    upload(page, plain / "black.png", until=".hero.judging")
    page.wait_for_timeout(700)  # Chromium forgives what moves within half a second of a hand.
    before = page.evaluate("window.shifts")
    held[0].continue_()
    page.wait_for_selector("body:not(.is-judging) .hero.now.refer")
    page.wait_for_timeout(300)
    assert loaded < 0.1
    assert page.evaluate("window.shifts") - before < 0.1
    context.close()


def test_the_language_switch_changes_the_whole_page_and_is_remembered(chrome, measured):
    with visiting(chrome, measured, "desk", locale="fr-FR") as page:
        assert page.evaluate("document.documentElement.lang") == "en"
        page.click("[data-language=de]")
        german = Texts("de")
        page.wait_for_selector(f"h1:has-text('{german('title')}')")
        page.reload()
        page.wait_for_selector(f"h1:has-text('{german('title')}')")
        page.wait_for_selector(f"#tab-evidence-button:has-text('{german('tab_evidence')}')")


def test_another_language_keeps_image_verdict_and_switches(chrome, measured, plain):
    german = Texts("de")
    with visiting(chrome, measured, "desk", locale="en") as page:
        upload(page, plain / "red.png", until=".hero.disagree")
        page.click(f"#source label:has-text('{T('label_external')}')")
        page.click("[data-language=de]")
        page.wait_for_selector(f".hero.disagree:has-text('{german('disagree_title')}')")
        page.wait_for_selector(f"#source label.selected:has-text('{german('label_external')}')")
        page.click("[data-another]")
        page.wait_for_selector(f"body:not(.judged) .hero.empty:has-text('{german('empty_title')}')")
        page.click("[data-drawing=nevus]")
        page.wait_for_selector(".hero.now:not(.empty, .problem)")


@pytest.mark.parametrize("source", ["holdout", "external"])
@pytest.mark.parametrize("looking_for", ["melanoma", "skin_cancer"])
def test_the_switches_show_the_figures_of_their_table(chrome, measured, looking_for, source):
    with visiting(chrome, measured, "desk") as page:
        for name, choice in (("looking-for", looking_for), ("source", source)):
            page.click(f"#{name} label:has-text('{T(f'label_{choice}')}')")
        rows = {
            key: choose(measured[1].models[key].target(looking_for).operating_table, 0.95).row
            for key in BOTH
        }
        counts = {key: getattr(row, source) for key, row in rows.items()}
        for key in BOTH:
            found = counts[key]
            values = {
                "tp": T.count(found.tp),
                "positives": T.count(found.melanomas),
                "fp": T.count(found.fp),
                "others": T.count(found.others),
            }
            page.wait_for_selector(
                f".price .{key}:has-text('{T(f'price_{looking_for}', **values)}')"
            )
            assert T.percent(rows[key].threshold) in text(page, f".card.{key}")
        tab(page, "costs")
        for key in BOTH:
            rates = getattr(rows[key], f"{source}_rates")
            for rate, (part, whole) in fractions(counts[key]).items():
                cell = text(page, f"[data-rate={rate}] td.{key}")
                said = T("of", part=T.count(part), whole=T.count(whole))
                assert cell == f"{said} {T.share(getattr(rates, rate))}"
            marked = page.get_attribute(f"#roc .point.chosen.{key}", "aria-label")
            assert T.count(counts[key].fp) in marked
            row = text(page, f"#table tr.{key}")
            assert T.share(rates.sensitivity) in row
            assert T.share(rates.specificity) in row
            people = natural_frequencies(rates.sensitivity.value, rates.specificity.value, 0.02)
            assert text(page, f"#crowds .{key} figcaption p") == T(
                "people_says", referred=people.referred, found=people.found
            )


def test_the_curves_say_their_values_and_a_click_on_the_roc_moves_the_slider(chrome, measured):
    with visiting(chrome, measured, "phone", has_touch=True) as page:
        tab(page, "costs")
        mark = page.locator("#roc .point.chosen.student")
        mark.focus()
        shown = mark.evaluate("mark => getComputedStyle(mark, '::after').content")
        assert shown == f'"{mark.get_attribute("aria-label")}"'
        counts = choose(measured[1].models["teacher"].operating_table, 0.80).row.holdout
        box = page.locator("#roc .field").bounding_box()
        x, y = counts.fp / counts.others, 1 - counts.tp / counts.melanomas
        page.locator("#roc .field").tap(position={"x": x * box["width"], "y": y * box["height"]})
        page.wait_for_selector(f".price .teacher:has-text('catches {counts.tp} of')")


def test_a_typed_threshold_lands_on_a_measured_one_and_an_emptied_box_is_no_error(chrome, measured):
    with visiting(chrome, measured, "desk") as page:
        failed = []
        page.on("response", lambda answer: failed.append(answer.url) if answer.status > 399 else 0)
        page.click("#more-ways button")
        page.fill("#threshold input", "20")
        page.press("#threshold input", "Enter")
        page.wait_for_selector(f"#landed:has-text('{T('role_teacher')}: the nearest')")
        target = float(page.input_value("#target input[type=number]")) / 100
        point = choose(measured[1].models["teacher"].operating_table, target)
        assert T.percent(point.threshold) in text(page, "#landed")
        page.wait_for_timeout(1500)  # The box is told the threshold that it landed on.
        page.fill("#threshold input", "")
        page.press("#threshold input", "Enter")
        page.wait_for_selector(f"#landed:has-text('{T('landed_empty')}')")
        page.fill("#target input[type=number]", "")
        page.press("#target input[type=number]", "Enter")
        page.wait_for_timeout(500)
        assert failed == []


def test_the_api_view_opens_without_a_refusal_in_the_console(chrome, measured):
    with visiting(chrome, measured, "desk") as page:
        refused = []
        page.on("console", lambda said: refused.append(said.text) if said.type == "error" else 0)
        page.on("response", lambda answer: refused.append(answer.url) if answer.status > 399 else 0)
        with page.expect_response("**/mcp/schema"), page.expect_response("**/monitoring/summary"):
            page.click(".show-api")
        page.wait_for_selector("text=gradio_client")
        assert refused == []


def test_states_follow_each_other_and_the_last_of_five_uploads_is_shown(chrome, measured, plain):
    with visiting(chrome, measured, "desk") as page:
        assert T("empty_title") in text(page, "#hero")
        upload(page, plain / "bad.jpg", until=".hero.problem")
        page.click(".hero.problem [data-another]")
        page.wait_for_selector(".hero.empty")
        for name in ("black", "red", "black", "red"):
            page.set_input_files("#upload input[type=file]", plain / f"{name}.png")
        upload(page, plain / "blue.png", until=".hero.refused")
        page.wait_for_timeout(1500)
        assert T("refused_title") in text(page, "#hero h2")
        page.click("#insist")
        page.wait_for_selector(".hero.insisted")
        assert page.locator(".card.no_referral").count() == 0
        assert page.locator(".card.insisted .alike").count() == 0, "no test image was like this one"


def test_the_first_screen_is_a_button_and_the_keyboard_goes_on_at_the_answer(
    chrome, measured, plain
):
    with visiting(chrome, measured, "phone", has_touch=True) as page:
        assert serious(page) == {}
        said = "getComputedStyle(document.querySelector('[data-testid=upload-text]'), '::after')"
        assert page.evaluate(f"{said}.content") == f'"{T("upload_take")}"'
        sources = "buttons => buttons.map(button => button.offsetHeight)"
        assert min(page.eval_on_selector_all("#upload .source-selection button", sources)) >= 40
        assert "·" not in page.inner_text("footer[aria-label]")
        with page.expect_file_chooser():
            page.locator(".hero.empty").tap(position={"x": 60, "y": 90})
        with page.expect_file_chooser() as chosen:
            page.press(".hero.empty button", "Enter")
        chosen.value.set_files(plain / "black.png")
        page.wait_for_selector(".hero.refer:focus")


@pytest.mark.parametrize(
    ("shown", "how", "place"),
    [
        ("black", "drop", "#hero"),
        ("blue", "drop", "#upload img"),
        ("bad", "drop", "#tabs"),
        ("black", "paste", "body"),
    ],
)
def test_an_image_dropped_or_pasted_anywhere_is_judged(chrome, measured, plain, shown, how, place):
    with visiting(chrome, measured, "desk") as page:
        path = next(plain.glob(f"{shown}.*"))
        upload(page, path, until=".hero.now:not(.empty)")
        kept = page.evaluate(HAND_OVER, [list((plain / "red.png").read_bytes()), how, place])
        assert kept, "else the browser leaves the page for the file"
        page.wait_for_selector(".hero.judging:visible")
        page.wait_for_selector("body:not(.is-judging) .hero.now.disagree")


def test_while_it_is_judged_the_page_says_so_and_never_for_good(chrome, measured, plain):
    with visiting(chrome, measured, "desk") as page:
        held = []
        page.route("**/queue/join*", lambda route: held.append(route))
        page.click("[data-drawing=landscape]")
        page.wait_for_selector(f".hero.judging:has-text('{T('judging_title')}')")
        assert page.locator(".spinner").evaluate("i => getComputedStyle(i).borderTopWidth") == "5px"
        held[0].continue_()
        page.unroute("**/queue/join*")
        page.wait_for_selector("body:not(.is-judging) .hero.now:not(.empty)")
        for name in ("blue", "also blue"):  # The second has the same answer.
            page.set_input_files("#upload input[type=file]", plain / f"{name}.png")
            page.wait_for_selector("body:not(.is-judging) .hero.now.refused")
        page.route("**/upload*", lambda route: route.abort())
        page.set_input_files("#upload input[type=file]", plain / "red.png")
        page.wait_for_selector(".hero.judging")
        page.wait_for_selector("body:not(.is-judging) .hero.now")


def test_a_control_moved_while_it_is_judged_has_the_last_word(chrome, measured, plain):
    table = measured[1].models["teacher"].operating_table
    before, after = (T.percent(choose(table, target).threshold) for target in (0.95, 0.80))
    assert before != after
    with visiting(chrome, measured, "desk") as page:
        held = []
        page.route("**/queue/join*", lambda route: held.append(route))
        page.set_input_files("#upload input[type=file]", plain / "black.png")
        page.wait_for_selector(".hero.judging")
        page.locator("#target input[type=range]").press("Home")
        page.wait_for_url("**sensitivity=0.8&**")
        held[0].continue_()
        page.wait_for_selector(f"body.judged .card.teacher:has-text('{after}')")
        page.wait_for_timeout(500)
        assert after in text(page, ".card.teacher")
        page.unroute("**/queue/join*")
        again = []
        page.on("request", lambda request: again.append(request.url))
        page.set_input_files("#upload input[type=file]", plain / "red.png")
        page.wait_for_selector("body:not(.is-judging) .hero.now:not(.empty)")
        page.wait_for_timeout(500)
        assert not [url for url in again if "run/predict" in url], "nothing moved: asked once"


def test_an_answer_from_before_the_image_does_not_wipe_its_verdict(chrome, measured, plain):
    held = []

    def hold(route):
        if len(held) < 2:
            held.append((route, route.fetch()))
        else:
            route.continue_()

    with visiting(chrome, measured, "desk") as page:
        page.route("**/run/predict*", hold)
        for name, choice in (("source", "external"), ("looking-for", "skin_cancer")):
            page.click(f"#{name} label:has-text('{T(f'label_{choice}')}')")
        while len(held) < 2:
            page.wait_for_timeout(20)
        page.set_input_files("#upload input[type=file]", plain / "black.png")
        page.wait_for_selector("body.judged:not(.is-judging) .card.teacher .verdict")
        for route, answer in held:
            with page.expect_response("**/run/predict*"):
                route.fulfill(response=answer)
            page.wait_for_timeout(300)
            page.wait_for_selector("#cards [data-another]")
        assert page.locator("#pictures img").count()


def test_a_session_that_the_server_has_forgotten_shows_nothing_of_it(chrome, measured, plain):
    def of_another(route):
        asked = json.loads(route.request.post_data)
        route.continue_(post_data=json.dumps(asked | {"session_hash": "another"}))

    with visiting(chrome, measured, "desk") as page:
        upload(page, plain / "red.png", until=".hero.disagree")
        page.route("**/run/predict*", of_another)
        page.locator("#target input[type=range]").press("Home")
        page.wait_for_selector(f".hero.forgotten:has-text('{T('forgotten')}')")
        page.wait_for_selector("#report[disabled]")
        page.click(".hero.forgotten [data-another]")
        page.wait_for_selector(".hero.empty")
        assert page.locator("#pictures figure").count() == 0
        assert page.locator("#start").is_visible()


def test_the_slider_moves_the_decision_and_nothing_is_wrong(chrome, measured, plain):
    complaints = []
    with visiting(chrome, measured, "desk") as page:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        upload(page, plain / "red.png", until=".hero.disagree")
        page.locator("#target input[type=range]").press("Home")
        counts = choose(measured[1].models["teacher"].operating_table, 0.80).row.holdout
        page.wait_for_selector(f".price .teacher:has-text('catches {counts.tp} of')")
        page.fill("#target input[type=number]", "")
        page.click("#preset")
        counts = choose(measured[1].models["teacher"].operating_table, 0.95).row.holdout
        page.wait_for_selector(f".price .teacher:has-text('catches {counts.tp} of')")
        assert complaints == []


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_axe_finds_nothing_serious(chrome, measured, plain, size, scheme):
    with visiting(chrome, measured, size, color_scheme=scheme) as page:
        upload(page, plain / "black.png")
        for name in TABS:
            tab(page, name)
            assert serious(page) == {}, name


def test_who_chooses_the_colours_sees_what_is_chosen(chrome, measured):
    with visiting(chrome, measured, "desk", forced_colors="active") as page:
        chosen = page.locator(".switch label.selected, .top [aria-current]")
        outlines = "all => all.map((one) => getComputedStyle(one).outlineStyle)"
        assert chosen.evaluate_all(outlines) == ["solid"] * 3


def test_the_report_is_downloaded_whole(chrome, measured, plain):
    with visiting(chrome, measured, "desk") as page:
        upload(page, plain / "black.png")
        page.wait_for_selector("#report:not([disabled])")
        with page.expect_download() as download:
            page.click("#report")
        document = Path(download.value.path()).read_text(encoding="utf-8")
        assert measured[1].version in document
