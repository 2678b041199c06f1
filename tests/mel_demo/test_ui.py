"""The page's handlers and panels, without a browser."""

import pickle
import re
from collections import Counter
from html import escape, unescape
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mel_demo.decision.operating_point import choose
from mel_demo.decision.verdict import Call, together
from mel_demo.errors import ImageError
from mel_demo.images import open_image
from mel_demo.inference import Model
from mel_demo.manifest import CLASS_NAMES, MELANOMA, load_manifest
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, Texts
from mel_demo.ui import case, costs, evidence, verdict
from mel_demo.ui.about import about
from mel_demo.ui.case import Setting
from mel_demo.ui.page import Page
from tests.support.apart import write_weights_apart
from tests.support.running import ROOT
from tests.support.tiny_weights import write_tiny_weights

GREY, RED, WHITE, BLUE = (128, 128, 128), (255, 0, 0), (255, 255, 255), (0, 0, 255)
BOTH = ("teacher", "student")
T = Texts()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return Page(Screener(write_weights_apart(tmp_path_factory.mktemp("apart")), threads=1))


@pytest.fixture
def upload(tmp_path):
    def save(colour, size=(200, 150)):
        path = tmp_path / "upload.png"
        Image.new("RGB", size, colour).save(path)
        return path

    return save


@pytest.fixture
def runs(monkeypatch):
    """How often each model has run since the test began."""
    counted, run = Counter(), Model.run_all

    def counting(self, prepared):
        counted[self.spec.key] += len(prepared)
        return run(self, prepared)

    monkeypatch.setattr(Model, "run_all", counting)
    return counted


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_what_was_measured_of_the_released_maps(language):
    t, manifest = Texts(language), load_manifest(ROOT / "weights")
    said = str(evidence.faithful(t, manifest)), str(evidence.faithfulness_table(t, manifest))
    for key in BOTH:
        found = manifest.models[key].evidence.faithfulness
        share = t.share(found.methods[found.served]["energy_in_lesion"])
        assert all(share in unescape(html) for html in said)


@pytest.fixture(scope="module")
def released():
    """The released manifest, and what all models do at a setting by it."""
    manifest = load_manifest(ROOT / "weights")
    return manifest, lambda setting: case.read(SimpleNamespace(manifest=manifest), setting)


@pytest.mark.parametrize("source", ["holdout", "external"])
def test_the_table_of_all_models_shows_figures_of_the_chosen_images_alone(released, source):
    manifest, read = released
    setting = Setting(source=source)
    table = flat(costs.strip(T, manifest, read(setting), setting))
    for spec in manifest.models.values():
        assert T.measure(spec.metrics[source]["ece"]) in table
    assert T(f"source_{source}") in table


@pytest.mark.parametrize("source", ["holdout", "external"])
@pytest.mark.parametrize("looking_for", ["melanoma", "skin_cancer"])
def test_images_without_other_skin_cancer_are_called_so(released, looking_for, source):
    """ISIC 2017 holds melanomas, seborrhoeic keratoses and nevi."""
    _, read = released
    setting = Setting(looking_for=looking_for, source=source)
    readings = read(setting)
    wanted = (looking_for, source) == ("skin_cancer", "external")
    for html in (verdict.price(T, readings, setting), costs.measured(T, readings, setting)):
        assert (T("melanomas_alone") in flat(html)) is wanted


def test_about_says_what_all_images_from_elsewhere_say(released):
    manifest, _ = released
    said = flat(about(T, manifest))
    for spec in manifest.models.values():
        for split in ("external", "archive"):
            assert T.measure(spec.metrics[split]["roc_auc"]) in said


def test_about_counts_the_runs_of_a_mean_in_place_of_their_names(released):
    manifest, _ = released
    said = flat(about(T, manifest))
    assert "SHA-256" not in said
    for key, spec in manifest.models.items():
        runs = spec.training.init.count("(SHA-256")
        assert f"{T(f'role_{key}')}: {T('start_mean', count=runs)}" in said


@pytest.mark.parametrize(
    ("probability", "peak", "says"),
    [(0.004, 1, "map_calm"), (0.033, 0, "map_empty"), (0.033, 1, "1 of 4"), (0.9, 1, "4 of 4")],
)
def test_the_words_of_a_map_are_those_of_its_picture(probability, peak, says):
    """Nothing is said of a place or a share where no band is drawn."""
    maps = np.zeros((7, 5, 5), np.float32)
    maps[MELANOMA, 2, 2] = peak
    shares = [(1 - probability) / 6] * 7
    shares[MELANOMA] = probability
    found = SimpleNamespace(evidence=maps, probabilities=shares)
    said = flat(evidence.captions(T, dict.fromkeys(BOTH, found), MELANOMA))
    chance = T.percent(probability)
    wanted = says if " of " in says else T(says, diagnosis="melanoma", probability=chance)
    assert said.count(wanted) == len(BOTH)
    assert ("cover about" in said) is (" of " in says)
    assert chance in said


def shown(page, source, percent=95, language="en"):
    return page.on_image(source, language, MELANOMA, percent, 2)


def moved(page, kept, percent, prevalence=2, language="en"):
    return page.on_setting(kept, kept is not None, language, percent, prevalence)


def flat(html):
    """Its text, tags left out and white space made single."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


@pytest.mark.parametrize(
    ("colour", "percent", "kind"),
    [
        (GREY, 95, "refer"),
        (GREY, 80, "disagree"),
        (RED, 95, "disagree"),
        (WHITE, 95, "no_referral"),
    ],
)
def test_the_hero_says_the_one_decision(page, upload, colour, percent, kind):
    found = shown(page, upload(colour), percent)
    assert f'class="hero now {kind}"' in found["hero"]
    assert T(f"{kind}_title") in flat(found["hero"])
    for key in BOTH:
        probability = found["session"].screening.predictions[key].melanoma_probability
        threshold = choose(page.manifest.models[key].operating_table, percent / 100).threshold
        decision = "refer" if probability >= threshold else "no_referral"
        assert f'class="card {key} {decision}"' in found["cards"]
        assert T.percent(probability) in found["cards"]
        assert T.percent(threshold) in found["cards"]


@pytest.mark.parametrize("percent", [80, 90, 95, 99.5])
def test_every_figure_is_the_manifests(page, percent):
    found = moved(page, None, percent)
    for key in BOTH:
        row = choose(page.manifest.models[key].operating_table, percent / 100).row
        for rate, (part, whole) in costs.fractions(row.holdout).items():
            assert T("of", part=part, whole=whole) in flat(found["measured"])
            assert T.share(getattr(row.holdout_rates, rate)) in flat(found["measured"])
        counts = row.holdout
        assert f"catches {counts.tp} of {counts.melanomas} melanomas" in flat(found["price"])
        assert f"alarms on {counts.fp} of {counts.others} others" in flat(found["price"])


def test_the_slider_runs_no_model(page, upload, runs):
    kept = shown(page, upload(GREY))["session"]
    assert runs == {"teacher": 1, "student": 1}
    moved(page, kept, 80)
    assert runs == {"teacher": 1, "student": 1}


def test_what_is_refused_has_no_other_fault(tmp_path):
    """A blue picture has no pen marks, and the page asks for no lesion in the middle of it."""
    page = Page(Screener(write_tiny_weights(tmp_path / "weights", refusing=True), threads=1))
    Image.new("RGB", (200, 150), (0, 0, 255)).save(tmp_path / "blue.png")
    found = page.on_image(tmp_path / "blue.png", "en", MELANOMA, 95, 2)
    assert T("refused_title") in found["hero"]
    assert "finding" not in found["hero"]
    document = page.on_report(found["session"], "de", 95, 2)["document"]
    assert document.count('class="finding') == 1


def test_a_refusal_that_is_overridden_keeps_the_warning_and_shows_no_green(tmp_path):
    screener = Screener(write_tiny_weights(tmp_path / "weights", refusing=True), threads=1)
    page = Page(screener)
    Image.new("RGB", (200, 150), (255, 255, 255)).save(tmp_path / "white.png")
    found = page.on_image(tmp_path / "white.png", "en", MELANOMA, 95, 2)
    assert T("refused_title") in found["hero"]
    assert found["pictures"] == ""
    answer = page.on_insist(found["session"], "en", MELANOMA, 95, 2)
    assert T("insisted_title") in flat(answer["hero"])
    assert flat(answer["hero"]).index(T("insisted_more")) < len(T("insisted_title")) + 3
    assert "no_referral" not in answer["hero"]
    assert 'class="card teacher insisted"' in answer["cards"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_parts_are_written_in_each_language(page, upload, language):
    t = Texts(language)
    found = page.on_load(language, 95, 2) | shown(page, upload(GREY), language=language)
    assert t("title") in unescape(found["header"])
    assert t("refer_title") in unescape(found["hero"])
    document = page.on_report(found["session"], language, 95, 2)["document"]
    assert t("refer_title") in unescape(document)
    assert page.manifest.version in document


def test_a_language_that_is_not_spoken_is_english_whole(page):
    assert page.on_load("fr", 95, 2) == page.on_load("en", 95, 2)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_a_bad_file_says_why_and_leaves_the_setting(page, tmp_path, content):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    found = shown(page, path, 90)
    assert escape(str(caught.value)).replace("&#x27;", "&#39;") in found["hero"]
    assert not found["session"]
    threshold = choose(page.manifest.models["teacher"].operating_table, 0.90).threshold
    assert T.percent(threshold) in found["cards"]
    assert "slider" not in found


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_bad_file_is_said_in_the_readers_language(page, tmp_path, language):
    path = tmp_path / "bad.jpg"
    path.write_bytes(b"not an image")
    hero = flat(shown(page, path, language=language)["hero"])
    assert Texts(language)("error_NotAnImageError") in hero


@pytest.mark.parametrize(("leading", "explained"), [("nv", True), ("mel", False), ("bcc", False)])
def test_a_referral_of_a_likely_mole_says_why(page, upload, leading, explained):
    judged = shown(page, upload(GREY))["session"]
    point = choose(page.manifest.models["teacher"].operating_table, 0.95)
    found = Call(point.threshold, point, CLASS_NAMES.index(leading))
    hero = flat(verdict.hero(T, judged, together(dict.fromkeys(BOTH, found))))
    assert (T("refer_yet") in hero) == explained


@pytest.mark.parametrize("typed", [None, float("nan"), "", 0, 400])
def test_an_emptied_or_wild_number_box_is_no_error(page, typed):
    assert moved(page, None, typed)["measured"]


@pytest.mark.parametrize(
    ("typed", "says"), [(20.0, "landed"), (0.0, "landed"), (70.0, "landed_limit")]
)
def test_a_typed_threshold_lands_on_a_measured_one_and_says_so(page, typed, says):
    answer = page.on_threshold(typed, "teacher", "melanoma", "en", 95)
    table = page.manifest.models["teacher"].operating_table
    point = choose(table, answer["slider"] / 100)
    assert T.percent(point.threshold) in answer["landed"]
    assert ("outside" in answer["landed"]) == (says == "landed_limit")


def test_an_emptied_threshold_says_what_to_type(page):
    answer = page.on_threshold(None, "teacher", "melanoma", "en", 90)
    assert T("landed_empty") in answer["landed"]
    assert answer["slider"] == 90


def test_the_differential_lists_all_classes(page, upload):
    table = shown(page, upload(RED))["classes"]
    assert all(escape(T(f"dx_{name}")).replace("&#x27;", "&#39;") in table for name in CLASS_NAMES)


def test_the_session_keeps_numbers_and_a_small_picture(page, upload):
    kept = shown(page, upload(GREY, (3000, 2000)))["session"]
    assert kept.screening.image.size == 0
    assert len(pickle.dumps(kept)) < 300_000


def test_text_from_outside_is_escaped():
    assert "<b>" not in verdict.problem(T, ImageError("<b>"))


ASKS = [
    lambda page, kept: page.on_setting(kept, True, "en", 95, 2),
    lambda page, kept: page.on_class(kept, True, "en", MELANOMA, 95, 2),
    lambda page, kept: page.on_insist(kept, "en", MELANOMA, 95, 2),
    lambda page, kept: page.on_report(kept, "en", 95, 2),
]


@pytest.mark.parametrize("ask", ASKS)
def test_a_forgotten_session_says_so_and_shows_nothing_of_the_image(page, ask):
    found = ask(page, None)
    assert T("forgotten_more") in found["hero"]
    assert not found["report"]["interactive"]
    assert not found["insist"]["visible"]
    assert found["pictures"] == found["maps"] == ""
    assert 'class="verdict"' not in found["cards"]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("source", [None, b"not an image"])
def test_what_was_taken_away_or_not_judged_has_not_been_forgotten(page, ask, source):
    found = ask(page, shown(page, source)["session"])
    assert "hero" not in found
    assert not found.get("document")
