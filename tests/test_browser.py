"""The page in real Chromium, at desk and phone width: what a visitor does and then sees."""

from pathlib import Path

import pytest

from mel_demo.decision.operating_point import choose
from mel_demo.decision.prevalence import natural_frequencies
from mel_demo.texts import LANGUAGES, Texts
from mel_demo.ui.costs import fractions
from tests.support.browsing import SHIFTS, SIDEWAYS, SIZES, serious, text, upload, visiting

pytestmark = pytest.mark.browser
BOTH = ("teacher", "student")
TABS = ("evidence", "costs", "certainty", "groups", "about")
PLOTS = {"costs": ("roc",), "certainty": ("reliability-plot", "decision-plot")}
T = Texts()


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
