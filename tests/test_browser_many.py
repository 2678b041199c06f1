"""The tab "Many images" in real Chromium: a dozen files, stopped, sorted, saved, looked at."""

import csv
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from mel_demo.texts import LANGUAGES, Texts
from tests.support.apart import write_weights_apart
from tests.support.browsing import open_page, serious, upload
from tests.support.running import running_app

pytestmark = pytest.mark.browser
T = Texts()
LIMIT = 14
JUDGING = re.compile("component_server")
COLOURS = {
    **{f"dark {n}.png": (30 + n, 10, 10) for n in range(3)},  # referred by both
    **{f"red {n}.png": (255, 0, n) for n in range(3)},  # by the student alone
    **{f"grey {n}.png": (128, 128, 100 + n) for n in range(2)},  # by both at 95 %, one at 80 %
    **{f"white {n}.png": (255, 255, n) for n in range(2)},  # by none
    "blue.png": (0, 0, 255),  # refused
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    weights = write_weights_apart(folder / "weights", evidence=True, refusing=True)
    more = {"MEL_MAX_IMAGES": str(LIMIT)}
    with running_app(weights, folder / "cache", more=more) as running:
        yield running, folder / "cache"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dozen")
    for name, colour in COLOURS.items():
        Image.new("RGB", (200, 150), colour).save(folder / name)
    (folder / "=bad.jpg").write_bytes(b"not an image")
    return sorted(folder.iterdir())


@contextmanager
def tab(chrome, app, width=1440, height=900, **options):
    page = open_page(chrome, app[0].url, width, height, **options)
    page.click("#tab-many-button")
    page.wait_for_selector(".drop")
    yield page
    page.context.close()


def choose(page, files, rows=None) -> None:
    page.set_input_files(".drop input", files)
    until(page, len(files) if rows is None else rows)


def until(page, rows: int) -> None:
    script = f"document.querySelectorAll('.many-table tbody tr').length === {rows}"
    page.wait_for_function(script)


def table(page) -> dict[str, list[str]]:
    """The cells of every row, as they are read, by the file's name."""
    script = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    found = page.eval_on_selector_all(".many-table tbody tr", script)
    return {row[0].strip(): [" ".join(cell.split()) for cell in row[1:]] for row in found}


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_dozen_files_become_rows_that_the_slider_decides_anew(chrome, app, files):
    asked = []
    with tab(chrome, app) as page:
        page.on("request", lambda one: asked.append(one) if "component_server" in one.url else None)
        choose(page, files)
        shown = table(page)
        assert list(shown)[:3] == ["red 0.png", "red 1.png", "red 2.png"]
        assert shown["red 0.png"][0] == T("many_disagree_one")
        assert shown["grey 0.png"][0] == shown["dark 0.png"][0] == T("verdict_refer")
        assert shown["white 0.png"][0] == T("verdict_no_referral")
        assert shown["blue.png"][0] == T("many_refused_one")
        assert shown["=bad.jpg"][0] == T("many_problem_one")
        assert "not an image" in shown["=bad.jpg"][1]
        pictures = "buttons => buttons.map(b => getComputedStyle(b).backgroundImage)"
        found = page.eval_on_selector_all(".many-table button.thumb", pictures)
        assert len(found) == len(COLOURS)
        assert all(one.startswith('url("data:image/webp') for one in found)
        page.locator("#target input[type=range]").press("Home")
        page.wait_for_selector("tr.disagree:has-text('grey 0.png')")
        assert table(page)["blue.png"] == shown["blue.png"]
        assert len(asked) == len(files)
    kept = [path for path in app[1].rglob("*") if path.is_file()]
    assert [path.suffix for path in kept] == [".lock"], "the server's own, of no upload"


def test_the_file_that_is_saved_holds_what_the_table_shows(chrome, app, files):
    with tab(chrome, app) as page:
        choose(page, files)
        page.click("[data-sort=student]")
        page.wait_for_selector("th[aria-sort=descending] [data-sort=student]")
        page.click("[data-sort=student]")
        page.wait_for_selector("th[aria-sort=ascending] [data-sort=student]")
        assert page.evaluate("document.activeElement.dataset.sort") == "student"
        shown = table(page)
        with page.expect_download() as download:
            page.click("[data-do=save]")
        saved = Path(download.value.path()).read_text(encoding="utf-8")
    rows = {row["image"].removeprefix("'"): row for row in csv.DictReader(saved.splitlines())}
    assert list(rows) == list(shown)
    words = {
        "refer": T("verdict_refer"),
        "no referral": T("verdict_no_referral"),
        "disagree": T("many_disagree_one"),
    }
    for name, row in rows.items():
        if row["decision"]:
            verdict, teacher, student, leading, _ = shown[name]
            assert verdict == words[row["decision"]]
            assert teacher.startswith(T.percent(float(row["teacher_probability"])))
            assert student.startswith(T.percent(float(row["student_probability"])))
            assert T(f"dx_{row['student_leading_diagnosis']}") in leading
        else:
            assert row["error"] in shown[name] or row["refused"] == "true"


def test_a_table_that_was_not_saved_does_not_go_unasked(chrome, app, files):
    with tab(chrome, app) as page:
        asked = []
        page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
        choose(page, files[:2])
        upload(page, next(path for path in files if path.name == "dark 0.png"))
        page.click("[data-language=de]")
        page.wait_for_timeout(2000)
        assert asked == ["beforeunload"]
        assert len(table(page)) == 2
        page.click("[data-sort=student]")
        page.wait_for_selector("th[aria-sort] [data-sort=student]")
        assert page.evaluate("localStorage.getItem('mel-language')") == "en"
        page.locator("#target input[type=range]").press("ArrowLeft")
        page.wait_for_timeout(1000)
        assert page.locator(".hero.now.refer").is_visible()
        with page.expect_download():
            page.click("[data-do=save]")
        page.click("[data-language=de]")
        page.wait_for_selector(f"h1:has-text('{Texts('de')('title')}')")
        assert len(asked) == 1


def test_stop_stops_and_goes_on_where_it_was(chrome, app, files):
    with tab(chrome, app) as page:
        held = []
        page.route(JUDGING, lambda route: held.append(route))
        page.set_input_files(".drop input", files)
        while len(held) < 2:
            page.wait_for_timeout(20)
        held[0].continue_()
        until(page, 1)
        page.click("[data-do=stop]")
        for route in held[1:]:
            route.continue_()
        sent = len(held)
        page.wait_for_timeout(800)
        assert len(held) == sent
        assert len(table(page)) == 1
        status = T("many_stopped", done=1, total=len(files))
        assert page.inner_text(".many-run [role=status]") == status
        page.unroute(JUDGING)
        page.click("[data-do=go]")
        until(page, len(files))
        assert sorted(table(page)) == [path.name for path in files]
        page.click("[data-do=clear]")
        until(page, 0)
        assert page.locator(".many-run").is_hidden()


def test_a_server_that_is_away_is_said_and_nothing_is_lost(chrome, app, files):
    with tab(chrome, app) as page:
        page.route(JUDGING, lambda route: route.abort())
        page.set_input_files(".drop input", files[:4])
        page.wait_for_selector("[data-do=go]:not([hidden])")
        assert T("many_lost") in page.inner_text(".many-run [role=status]")
        page.unroute(JUDGING)
        page.click("[data-do=go]")
        until(page, 4)
        assert T("many_lost") not in page.inner_text(".many-run [role=status]")


def test_more_than_the_limit_are_left_out_with_a_sentence(chrome, app, files):
    with tab(chrome, app) as page:
        choose(page, files)
        choose(page, files, LIMIT)
        chosen, left = len(files), 2 * len(files) - LIMIT
        note = T("many_over", chosen=chosen, limit=LIMIT, left=left)
        assert page.inner_text(".many-note") == note
        assert "mel-demo screen" in note


def test_a_line_is_looked_at_closer(chrome, app, files):
    with tab(chrome, app) as page:
        choose(page, files)
        page.click("[aria-label='" + T("many_open", name="dark 0.png") + "']")
        page.wait_for_selector(".hero.now.refer")
        held = []
        page.route("**/gradio_api/upload*", lambda route: held.append(route))
        page.click("[aria-label='" + T("many_open", name="red 1.png") + "']")
        page.wait_for_selector(".hero.judging:visible")
        page.locator("#target input[type=range]").press("ArrowLeft")
        page.wait_for_timeout(500)
        assert page.locator(".hero.judging").is_visible(), "the next image is on its way"
        held[0].continue_()
        page.unroute("**/gradio_api/upload*")  # the question how much of it is there goes on, too
        page.wait_for_selector(".hero.now.disagree")
        assert len(table(page)) == len(files)


@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [(1440, "light", "en"), (390, "dark", "de"), (320, "light", "es"), (320, "dark", "en")],
)
def test_it_fits_every_width_and_axe_finds_nothing_serious(
    chrome, app, files, width, scheme, language
):
    t = Texts(language)
    with tab(chrome, app, width, 844, color_scheme=scheme, locale=language) as page:
        assert language in LANGUAGES
        assert page.inner_text(".drop b") == t("many_drop")
        assert fits(page)
        choose(page, files)
        assert fits(page)
        boxes = page.eval_on_selector_all(
            "#many button, #many .choose, #many-table button",
            "all => all.map(one => one.getBoundingClientRect()).filter(box => box.width)"
            ".map(box => [box.width, box.height])",
        )
        assert min(min(box) for box in boxes) >= 44
        assert serious(page) == {}
