"""The page on the phone in real Chromium: what a person does, in flight mode too, and then sees."""

import csv
import io
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from mel_demo.decision.neighbours import neighbours
from mel_demo.decision.operating_point import choose
from mel_demo.decision.verdict import close_calls
from mel_demo.images import open_image
from mel_demo.phone import build
from mel_demo.phone.build import lay_out
from mel_demo.screening import Screener
from mel_demo.texts import Texts
from tests.support.browsing import serious
from tests.support.phone import (
    OFFLINE,
    PICTURES,
    READY,
    judge,
    need_runtime,
    open_phone,
    phone_browser,
    write_coloured_weights,
)
from tests.support.static_host import static_host

pytestmark = pytest.mark.browser
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
T = Texts()


@pytest.fixture(scope="module")
def chrome():
    need_runtime()
    with phone_browser() as started:
        yield started


@pytest.fixture(scope="module")
def screener(tmp_path_factory):
    return Screener(write_coloured_weights(tmp_path_factory.mktemp("coloured")), threads=1)


@pytest.fixture(scope="module")
def folder(screener, tmp_path_factory):
    """The page laid out. Do not write into it."""
    output = tmp_path_factory.mktemp("phone") / "page"
    lay_out(output, screener.folder)
    return output


@pytest.fixture(scope="module")
def host(folder):
    with static_host(folder) as running:
        yield running


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    paths = {}
    for name, colour in PICTURES.items():
        paths[name] = tmp_path_factory.mktemp("pictures") / f"{name}.png"
        Image.new("RGB", (300, 240), colour).save(paths[name])
    return paths


@pytest.fixture(scope="module", params=list(SIZES))
def page(request, chrome, host):
    """One visit for all tests that leave nothing behind, at either size."""
    with visiting(chrome, host.url, request.param) as opened:
        opened.wait_for_selector(READY)
        yield opened


@contextmanager
def visiting(chrome, url, size="phone", **options):
    opened = open_phone(chrome, url, *SIZES[size], **options)
    yield opened
    opened.context.close()


def text(page, selector: str) -> str:
    return " ".join(page.inner_text(selector).split())


def say(key: str, **values: object) -> str:
    return " ".join(T(f"phone_{key}", **values).split())


def slide(page, target: float) -> None:
    page.evaluate(
        """(value) => {
          const slider = document.querySelector('#target');
          slider.value = value;
          slider.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
        100 * target,
    )


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_verdict_follows_the_one_rule(page, pictures, screener):
    """At every setting of the slider, with its price, and no model runs for it."""
    table = screener.manifest.models["student"].operating_table
    diagnosis = T.inside("dx_bcc")
    titles = {
        "refer": say("refer"),
        "no_referral": say("no_referral"),
        "other": say("other", diagnosis=diagnosis),
        "refused": T("phone_refused"),
    }
    for name, path in pictures.items():
        judge(page, path)
        assert text(page, "#verdict h2") == titles[name]
        assert page.get_attribute("#verdict", "data-kind") == name
        if name == "refused":
            assert page.is_hidden("#numbers")
            assert page.is_hidden("#setting")
            assert page.is_hidden("#more"), "a refusal stands alone"
            continue
        prediction = screener.screen(open_image(path)).predictions["student"]
        probability = prediction.melanoma_probability
        assert text(page, "#probability") == T.percent(probability)
        for target in (0.8, 0.9, 0.95, 0.995):
            slide(page, target)
            point = choose(table, target)
            refer = probability >= point.threshold
            kind = page.get_attribute("#verdict", "data-kind")
            assert (kind == "refer") == refer, (name, target)
            counts = point.row.holdout
            assert text(page, "#price") == say(
                "price",
                caught=counts.tp,
                melanomas=counts.melanomas,
                alarms=counts.fp,
                others=counts.others,
            )
            low, high = close_calls(point.threshold)
            assert page.is_visible("#close-call") == (low <= probability <= high)
        slide(page, 0.95)
        measured = screener.manifest.models["student"].evidence.scores["holdout"]
        found = neighbours(measured, probability)
        assert text(page, "#alike") == say(
            "alike",
            images=found.images,
            melanomas=found.positives,
            low=T.percent(found.low),
            high=T.percent(found.high),
        )


def test_the_overlay_can_be_taken_off_and_covers_what_was_judged(page, pictures):
    judge(page, pictures["refer"])
    coloured = """() => {
      const { width, height } = document.querySelector('#evidence');
      const context = document.querySelector('#evidence').getContext('2d');
      const alpha = (x, y) => context.getImageData(x, y, 1, 1).data[3];
      return [alpha(width / 2, height / 2), alpha(1, height / 2)];
    }"""
    middle, margin = page.evaluate(coloured)
    assert middle > 60
    assert margin == 0, "what was not judged shows no evidence"
    page.click("#evidence-switch")
    assert page.is_hidden("#evidence")
    page.click("#evidence-switch")
    assert page.is_visible("#evidence")


def test_the_disclaimer_is_always_in_sight_and_nothing_overflows(page, pictures):
    for width in (page.viewport_size["width"], 320):
        page.set_viewport_size({"width": width, "height": 844})
        for name in ("refer", "other"):
            judge(page, pictures[name])
            page.evaluate(
                "document.querySelectorAll('details').forEach((part) => (part.open = true))"
            )
            assert fits(page), (width, name)
            page.evaluate("scrollTo(0, document.body.scrollHeight)")
            box = page.locator(".notice").bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 844
    assert "not a medical device" in text(page, ".notice")
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = false))")


def test_what_a_finger_meets_is_large_enough(page, pictures):
    judge(page, pictures["refer"])
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, select, summary, a, .switch, #target')]
          .filter((element) => element.checkVisibility())
          .map((element) => [element.id || element.textContent, element.getBoundingClientRect()])
          .filter(([, { width, height }]) => width < 44 || height < 44)
          .map(([name, { width, height }]) => `${name}: ${width} x ${height}`)"""
    )
    assert small == []


def test_the_page_speaks_three_languages(page, pictures):
    judge(page, pictures["other"])
    for language in ("de", "es", "en"):
        page.select_option("#language", language)
        t = Texts(language)
        wanted = t("phone_other", diagnosis=t.inside("dx_bcc"))
        assert text(page, "#verdict h2") == wanted
        assert page.evaluate("document.documentElement.lang") == language
        assert page.title() == t("phone_title")
        assert fits(page), language


def test_axe_finds_nothing_serious(page, pictures):
    page.emulate_media(color_scheme="dark" if page.viewport_size["width"] < 800 else "light")
    for name in ("refer", "no_referral", "other", "refused"):
        judge(page, pictures[name])
        page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
        assert serious(page) == {}, name
    page.emulate_media(color_scheme="light")


def jpeg(tmp_path: Path) -> bytes:
    Image.effect_noise((300, 240), 80).convert("RGB").save(tmp_path / "noise.jpg", quality=95)
    return (tmp_path / "noise.jpg").read_bytes()


@pytest.mark.parametrize(
    ("content", "key", "values"),
    [
        (lambda _: b"", "empty", {}),
        (lambda _: b"just some words", "not_an_image", {}),
        (lambda tmp_path: jpeg(tmp_path)[:-9000], "cut_off", {}),
        (lambda _: b"\0\0\0\x18ftypheic" + bytes(900), "heic", {}),
        (lambda _: bytes(20_000_001), "too_many_bytes", {"has": "20.0", "most": 20}),
        (lambda tmp_path: large(tmp_path), "too_many_pixels", {"has": "64.0", "most": 50}),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_gets_a_sentence(page, pictures, tmp_path, content, key, values):
    (tmp_path / "file").write_bytes(content(tmp_path))
    judge(page, tmp_path / "file", "problem")
    assert text(page, "#verdict h2") == say("problem")
    assert text(page, "#verdict p") == say(f"error_{key}", **values)
    assert page.is_hidden("#picture"), "no words or pictures of another state"
    judge(page, pictures["refer"])


def large(tmp_path: Path) -> bytes:
    Image.new("1", (8000, 8000)).save(tmp_path / "large.png")
    return (tmp_path / "large.png").read_bytes()


def test_one_visit_is_enough_for_flight_mode(chrome, folder, pictures):
    """Nothing leaves the origin, nothing is written to the console, and then the host is gone."""
    requests, complaints = [], []
    with static_host(folder) as host, visiting(chrome, "about:blank") as page:
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(host.url)
        page.wait_for_selector(OFFLINE)
        host.stop()
        page.reload()
        page.wait_for_selector(READY)
        judge(page, pictures["refer"])
        assert text(page, "#verdict h2") == say("refer")
        page.goto(f"{host.url}/?from=home-screen")
        page.wait_for_selector(READY)
        own = (host.url, "blob:", "data:")
        assert [url for url in requests if not url.startswith(own)] == []
        assert complaints == []
        assert page.context.cookies() == []
        # Nothing of the person's is kept unless they ask for it.
        assert page.evaluate("indexedDB.databases().then((all) => all.length)") in (0, 1)
        assert text(page, "#kept") == ""


def test_the_content_security_policy_allows_nothing_from_elsewhere(page):
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    rules = {rule.split()[0]: set(rule.split()[1:]) for rule in policy.split(";")}
    assert rules["default-src"] == {"'none'"}
    assert rules["script-src"] == {"'self'", "'wasm-unsafe-eval'"}
    assert rules["base-uri"] == rules["form-action"] == {"'none'"}
    for name in set(rules) - {"default-src", "script-src", "base-uri", "form-action"}:
        assert rules[name] <= {"'self'", "blob:"}, name
    blocked = page.evaluate(
        """() => new Promise((resolve) => {
          document.onsecuritypolicyviolation = (event) => resolve(event.violatedDirective);
          fetch('https://example.org/').catch(() => {});
        })"""
    )
    assert blocked == "connect-src"


@pytest.fixture
def changed(folder, tmp_path):
    """A copy of the page for a test to break."""
    return shutil.copytree(folder, tmp_path / "page")


def test_a_model_that_is_not_the_measured_one_is_not_used(chrome, changed, pictures):
    model = changed / "student.onnx"
    right = model.read_bytes()
    model.write_bytes(right[:-1] + b"\0\0")
    with static_host(changed) as host, visiting(chrome, host.url) as page:
        page.wait_for_selector("body[data-state=problem]")
        assert text(page, "#verdict h2") == say("problem_model")
        assert text(page, "#verdict p") == say("error_wrong_hash", file="student.onnx")
        model.write_bytes(right)
        page.click("#retry")
        page.wait_for_selector(OFFLINE)
        # A cache that lost half of it is mended.
        page.evaluate(
            """async () => {
              const [name] = await caches.keys();
              const cache = await caches.open(name);
              await cache.put('student.onnx', new Response('half'));
            }"""
        )
        page.reload()
        page.wait_for_selector(READY)
        judge(page, pictures["refer"])


@pytest.mark.parametrize(
    ("break_it", "key", "values"),
    [
        (
            lambda page: (page / "index.html").write_text(
                (page / "index.html").read_text().replace(" 'wasm-unsafe-eval'", "")
            ),
            "no_wasm",
            {},
        ),
        (
            lambda page: (page / "student.onnx").unlink(),
            "missing",
            {"file": "student.onnx", "status": 404},
        ),
        (
            lambda page: (page / "canvas.js").write_text(
                (page / "canvas.js").read_text().replace(" > 2", " > -1")
            ),
            "canvas",
            {},
        ),
    ],
    ids=["WebAssembly blocked", "model missing", "canvas hidden"],
)
def test_what_keeps_the_model_away_is_said(chrome, changed, break_it, key, values):
    break_it(changed)
    with static_host(changed) as host, visiting(chrome, host.url) as page:
        page.wait_for_selector("body[data-state=problem]")
        assert text(page, "#verdict p") == say(f"error_{key}", **values)


def test_a_new_release_is_offered_and_taken_over(chrome, changed):
    with static_host(changed) as host, visiting(chrome, host.url) as page:
        page.wait_for_selector(OFFLINE)
        words = json.loads((changed / "locales.json").read_text())
        words["en"]["phone_start"] = "Look at a newer spot"
        (changed / "locales.json").write_text(json.dumps(words))
        (changed / "sw.js").write_text((build.HERE / "static/sw.js").read_text())
        (changed / "files.json").unlink()
        build._name_files(changed)
        page.reload()
        page.wait_for_selector("#update:not([hidden])")
        assert text(page, ".invitation h2") == say("start"), "the old one until the person says so"
        page.click("#update-now")
        page.wait_for_selector(".invitation h2:has-text('Look at a newer spot')")
        assert page.evaluate("caches.keys().then((names) => names.length)") == 1


def test_screenings_are_kept_only_for_whoever_asks(chrome, host, pictures):
    with visiting(chrome, host.url) as page:
        page.wait_for_selector(READY)
        judge(page, pictures["refer"])
        page.click(".history summary")
        assert text(page, "#kept") == ""
        assert page.is_disabled("#export-csv")
        page.click("label:has(#keep)")
        for count, name in enumerate(("refer", "other", "refused")):
            judge(page, pictures[name])
            page.wait_for_selector(f"#kept li >> nth={count}")
        page.reload()
        page.click(".history summary")
        page.wait_for_selector("#kept li >> nth=2")
        exported = {}
        for form in ("csv", "json"):
            with page.expect_download() as download:
                page.click(f"#export-{form}")
            exported[form] = Path(download.value.path()).read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(exported["csv"])))
        assert [row["decision"] for row in rows] == ["", "no_referral", "refer"]
        assert rows[0]["findings"].split()[0] == "not_dermoscopy"
        assert rows[1]["leading"] == "bcc"
        entries = json.loads(exported["json"])
        assert float(rows[2]["probability"]) == entries[2]["probability"] > entries[2]["threshold"]
        assert "picture" not in entries[0]
        page.on("dialog", lambda dialog: dialog.accept())
        page.click("#erase")
        page.wait_for_selector("#kept li", state="detached")
        page.reload()
        page.wait_for_selector(READY)
        assert text(page, "#kept") == ""


def test_the_camera_takes_what_its_square_shows(chrome, host):
    with visiting(chrome, host.url, permissions=["camera"]) as page:
        page.wait_for_selector(READY)
        page.click("#take")
        page.wait_for_selector("#camera-state[data-state]")
        ring = page.locator(".ring").bounding_box()
        assert abs(ring["width"] - ring["height"]) < 1
        assert fits(page)
        page.click("#shutter")
        page.wait_for_selector("body[data-state=result]")
        assert page.is_hidden("#camera")
        assert (
            page.evaluate(
                "(({ width, height }) => width / height)(document.querySelector('#image'))"
            )
            == 1
        )
        page.click("#take")
        page.click("#close-camera")
        page.wait_for_selector("#camera", state="hidden")
        # The dialog says that it is closed a moment after it is hidden.
        page.wait_for_function("document.querySelector('#camera video').srcObject === null")


def test_the_example_of_the_module_works_on_a_page_of_ones_own(chrome, changed, pictures):
    """As screen.js documents it; the page itself offers the same as window.melDemo."""
    source = (changed / "screen.js").read_text()
    example = "\n".join(
        line.removeprefix(" *").strip() for line in source.splitlines() if line.startswith(" *   ")
    ).split("console.log")[0]
    (changed / "own.html").write_text(
        '<!doctype html><input type="file"><script type="module">\n'
        + "const input = document.querySelector('input');\n"
        + example.split("\n")[0]
        + "\ninput.onchange = async () => { const file = input.files[0];\n"
        + "\n".join(example.split("\n")[1:])
        + "\ndocument.title = `${decision} ${probability}`; };\n</script>"
    )
    with (
        static_host(changed, isolated=False) as host,
        visiting(chrome, f"{host.url}/own.html") as page,
    ):
        page.set_input_files("input", pictures["refer"])
        page.wait_for_function("document.title.startsWith('refer 0.')")
