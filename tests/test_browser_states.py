"""From one state of the page to the next, in real Chromium: judged, refused, forgotten, late."""

import json

import pytest

from mel_demo.decision.operating_point import choose
from mel_demo.texts import Texts
from tests.support.browsing import HAND_OVER, serious, text, upload, visiting, wait_until_empty

pytestmark = pytest.mark.browser
T = Texts()


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
        wait_until_empty(page, "#pictures")
        assert page.locator("#start").is_visible()
