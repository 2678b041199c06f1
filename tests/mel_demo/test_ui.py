"""The page's handlers and panels, without a browser."""

import dataclasses
import json
import math
import pickle
import re
import time
from collections import Counter
from html import escape
from html.parser import HTMLParser
from typing import ClassVar

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from mel_demo.decision import conformal
from mel_demo.decision.operating_point import choose
from mel_demo.decision.prevalence import natural_frequencies, predictive_values
from mel_demo.errors import ImageError
from mel_demo.images import MAX_BYTES, open_image
from mel_demo.inference import Model
from mel_demo.manifest import CLASS_NAMES, MELANOMA, Elsewhere, Faithfulness, Interval
from mel_demo.pictures.figures import roc_figure
from mel_demo.screening import Finding, Screener
from mel_demo.texts import Texts
from mel_demo.ui import case, costs, evidence, groups, verdict, view, words
from mel_demo.ui.about import about
from mel_demo.ui.page import Page, launch_options
from tests.support.apart import write_weights_apart
from tests.support.tiny_weights import write_tiny_weights

GREY, RED = (128, 128, 128), (255, 0, 0)
BOTH = ("teacher", "student")
T = Texts()
STUDENT_ALONE = "The teacher would not refer this lesion, the student would refer this lesion"
TEACHER_ALONE = "The teacher would refer this lesion, the student would not refer this lesion"


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
    counted, run = Counter(), Model.run

    def counting(self, prepared):
        counted[self.spec.key] += 1
        return run(self, prepared)

    monkeypatch.setattr(Model, "run", counting)
    return counted


def shown(page, source, percent=95):
    """What on_image answers, by the name of the part of the page it goes to."""
    return page.on_image(source, percent, 2, MELANOMA)


def moved(page, kept, percent, prevalence=2):
    """What the page shows at another setting."""
    return page.on_setting(kept, kept is not None, percent, prevalence)


def rows_of(page, percent):
    models = page.manifest.models
    return {key: choose(models[key].operating_table, percent / 100).row for key in BOTH}


class Cells(HTMLParser):
    """Text of the table cells, by the row's data-rate and the cell's class: cells[rate, key]."""

    def __init__(self, html):
        super().__init__()
        self.cells, self._rate, self._at = {}, None, None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "tr":
            self._rate = found.get("data-rate")
        elif tag == "td":
            self._at = self._rate, found.get("class")
            self.cells[self._at] = []

    def handle_endtag(self, tag):
        if tag == "td":
            self._at = None

    def handle_data(self, data):
        if self._at:
            self.cells[self._at].append(data)


def card(verdicts, key):
    """The HTML of one model's card."""
    (found,) = re.findall(rf'<article class="card {key} .*?</article>', verdicts, re.DOTALL)
    return found


def flat(html):
    """Its text, tags left out and white space made single."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_a_new_image_gives_both_verdicts_maps_and_classes(page, upload, runs):
    found = shown(page, upload(GREY))
    assert runs == {"teacher": 1, "student": 1}
    assert "Both models would refer this lesion" in found["status"]
    for key in BOTH:
        prediction = found["session"].screening.predictions[key]
        own = flat(card(found["cards"], key))
        assert f"{T.percent(prediction.melanoma_probability)} melanoma probability" in own
        assert f"{prediction.milliseconds:.0f} ms" in own
        assert f"{page.manifest.models[key].bytes / 1e6:.1f} MB" in own
        bare, mapped = found[f"map-{key}"]
        assert bare.shape == mapped.shape == (150, 200, 3)
        assert (bare == GREY).all()
        assert (mapped != bare).any()


def test_the_differential_lists_all_classes_the_most_probable_first(page, upload):
    found = shown(page, upload(RED))
    table, predictions = found["classes"], found["session"].screening.predictions
    places = [table.index(escape(T(f"dx_{name}"))) for name in CLASS_NAMES]
    order = sorted(range(7), key=lambda index: places[index])
    probabilities = [predictions["teacher"].probabilities[index] for index in order]
    assert probabilities == sorted(probabilities, reverse=True)
    text = flat(table)
    for key in BOTH:
        assert all(T.percent(value) in text for value in predictions[key].probabilities)


def test_the_session_keeps_numbers_and_a_small_picture(page, upload):
    kept = shown(page, upload(GREY, (3000, 2000)))["session"]
    assert kept.screening.image.size == 0
    assert kept.image.shape == (533, 800, 3), "a small JPEG, for the maps of other diagnoses"
    assert len(pickle.dumps(kept)) < 300_000


@pytest.mark.parametrize("image", [GREY, None], ids=["judged", "no image yet"])
@pytest.mark.parametrize("percent", [80, 90, 95, 99.5])
def test_every_figure_is_the_manifests(page, upload, percent, image):
    kept = shown(page, upload(image))["session"] if image else None
    found = moved(page, kept, percent)
    measured = found["measured"]
    cells = Cells(measured).cells
    assert len(cells) == 8
    for key, row in rows_of(page, percent).items():
        counts, rates = row.holdout, row.holdout_rates
        for rate, part, whole in (
            ("sensitivity", counts.tp, counts.tp + counts.fn),
            ("specificity", counts.tn, counts.tn + counts.fp),
            ("ppv", counts.tp, counts.tp + counts.fp),
            ("npv", counts.tn, counts.tn + counts.fn),
        ):
            fraction, share = cells[rate, key]
            interval = getattr(rates, rate)
            assert fraction == f"{part} of {whole}"
            for value in (interval.value, interval.low, interval.high):
                assert f"{100 * value:.1f}" in share
        assert f"refers from {T.percent(row.threshold)}" in card(found["cards"], key)
        assert (
            f"{T('role_' + key)}: threshold {T.percent(row.threshold)}, which caught "
            f"{row.validation.tp} of {row.validation.melanomas} validation melanomas."
        ) in flat(measured)
        marker = next(t for t in found["roc"].data if t.legendgroup == key and t.mode == "markers")
        assert marker.y[0] == rates.sensitivity.value
        assert marker.x[0] == pytest.approx(1 - rates.specificity.value)
    lesions = page.manifest.models["teacher"].operating_table.holdout_lesions
    assert f"on 120 images of {lesions.melanoma + lesions.other} lesions" in flat(measured)
    assert f"20 images show a melanoma, of {lesions.melanoma} lesions" in flat(measured)


def test_the_slider_runs_no_model_and_answers_within_100_ms(page, upload, runs):
    kept = shown(page, upload(GREY))["session"]
    runs.clear()
    moved(page, kept, 95)
    times = []
    for percent in np.arange(80, 99.6, 0.5):
        start = time.perf_counter()
        moved(page, kept, percent)
        times.append(time.perf_counter() - start)
    assert not runs
    # The median: a busy machine may take a single one away.
    assert np.median(times) < 0.1


def test_the_setting_changes_the_verdict_and_not_the_probability(page, upload):
    kept = shown(page, upload(GREY))["session"]
    probability = T.percent(kept.screening.teacher.melanoma_probability)
    for percent, kind, says in (
        (95, "refer", "Refer"),
        (80, "no_referral", "No referral at this"),
    ):
        own = card(moved(page, kept, percent)["cards"], "teacher")
        assert f'class="card teacher {kind}"' in own
        assert says in own
        assert f"<b>{probability}</b>" in own


@pytest.mark.parametrize(
    ("colour", "percent", "kind", "says"),
    [
        (GREY, 95, "refer", "Both models would refer this lesion"),
        (GREY, 80, "disagree", STUDENT_ALONE),
        (RED, 95, "disagree", STUDENT_ALONE),
        ((0, 255, 0), 95, "disagree", TEACHER_ALONE),
        (
            (255, 255, 255),
            95,
            "no_referral",
            "Neither model would refer this lesion at this setting",
        ),
    ],
)
def test_the_first_thing_said_is_whether_the_models_agree(
    page, upload, colour, percent, kind, says
):
    kept = shown(page, upload(colour))["session"]
    status = moved(page, kept, percent)["status"]
    assert f'class="status {kind}"' in status
    assert says in flat(status)
    title = re.search("<h2>(.*?)</h2>", status).group(1)
    assert ("disagree" in title) == (kind == "disagree")
    assert flat(status).startswith(title)


def test_what_is_doubtful_about_the_image_stays_said_when_the_slider_moves(page, upload):
    found = shown(page, upload(GREY, (600, 200)))
    for status in (found["status"], moved(page, found["session"], 80)["status"]):
        assert "The image is elongated (600 x 200 pixels)" in status


JPEG_START = b"\xff\xd8\xff\xe0"


@pytest.mark.parametrize(
    "content",
    [b"", b"not an image", JPEG_START + b"cut off", JPEG_START + bytes(MAX_BYTES)],
    ids=["empty", "no image", "damaged", "20 MB and more"],
)
def test_a_bad_file_says_why_and_leaves_the_setting(page, tmp_path, content, runs):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    found = shown(page, path, 90)
    assert 'role="alert"' in found["status"]
    assert escape(str(caught.value)) in found["status"]
    assert found["session"] is found["map-teacher"] is found["map-student"] is None
    assert found["cards"].count("Waiting for an image") == 2
    assert "Set to catch 90 %" in flat(found["measured"])
    assert not runs


def test_taking_the_image_away_empties_what_it_filled(page):
    found = shown(page, None, 85)
    assert "No image yet" in found["status"]
    assert found["cards"].count("Waiting for an image") == 2
    assert found["session"] is found["map-teacher"] is found["map-student"] is None
    for key in BOTH:
        assert "comes here" in found[f"caption-{key}"]
    assert "come here" in found["classes"]
    assert "Set to catch 85 %" in flat(found["measured"])


def test_without_an_image_the_slider_leaves_the_status_alone(page):
    """It may say why the last file could not be judged."""
    assert "status" not in moved(page, None, 85)


@pytest.mark.parametrize(
    ("typed", "taken"), [(40, "80"), (79.9, "80"), (100, "99.5"), (None, "95"), (math.nan, "95")]
)
def test_a_number_box_left_empty_or_out_of_range_takes_the_nearest_setting(page, typed, taken):
    assert f"Set to catch {taken} %" in flat(moved(page, None, typed)["measured"])


def test_large_images_are_scaled_down_for_the_browser(page, upload):
    for key in BOTH:
        for picture in shown(page, upload(GREY, (3000, 2000)))[f"map-{key}"]:
            assert max(picture.shape) == case.LONGEST_SHOWN


def test_text_from_outside_is_escaped():
    finding = Finding("x", "warning", "<script>alert(1)</script>")
    assert "<script>" not in verdict.refused(T, [finding])
    assert "<b>" not in verdict.problem(T, "<b>")


def test_text_of_the_manifest_is_escaped(page):
    evil = '<img src=x onerror="alert(1)">'
    models = {}
    for key, spec in page.manifest.models.items():
        data = dataclasses.replace(spec.data, name=evil, licence=evil, doi=evil)
        models[key] = dataclasses.replace(
            spec,
            architecture=evil,
            data=data,
            training=dataclasses.replace(spec.training, init=evil),
            source_commit=evil,
        )
    manifest = dataclasses.replace(page.manifest, created=evil, models=models)
    points = {key: choose(spec.operating_table, 0.95) for key, spec in manifest.models.items()}
    external = {"more": {evil: 3}, "external": Elsewhere(evil, images=3, melanomas=1)}
    models = {
        key: dataclasses.replace(
            spec,
            data=dataclasses.replace(spec.data, **external),
            metrics=spec.metrics | {"external": spec.metrics["holdout"]},
        )
        for key, spec in models.items()
    }
    manifest = dataclasses.replace(manifest, models=models)
    html = verdict.cards(T, manifest, points) + about(T, manifest)
    assert "<img" not in html
    assert "&lt;img" in html


def test_what_is_said_about_the_models_is_the_manifests(tiny_screener):
    manifest = tiny_screener.manifest
    text = flat(about(T, manifest))
    for spec in manifest.models.values():
        found = spec.metrics["holdout"]["roc_auc"]
        assert f"{found.value:.3f} ({found.low:.3f}–{found.high:.3f})" in text
        assert f"{spec.bytes / 1e6:.1f} MB" in text
    assert "Drawn lesions (doi 10.0000/none, Apache-2.0)" in text
    assert "480 images for training, 120 for choosing, 120 kept aside" in text
    assert "17% of these images" in text.replace(" %", "%")  # 20 of 120
    assert manifest.created[:10] in text
    assert "Training also used" not in text
    assert "Other clinics" not in text


def test_what_other_clinics_say_is_told(tiny_screener):
    external = {"roc_auc": Interval(0.712, 0.66, 0.76)}
    models = {
        key: dataclasses.replace(
            spec,
            data=dataclasses.replace(
                spec.data,
                more={"ISIC 2017": 1595},
                external=Elsewhere("ISIC 2017", images=400, melanomas=75),
            ),
            metrics=spec.metrics | {"external": external},
        )
        for key, spec in tiny_screener.manifest.models.items()
    }
    text = flat(about(T, dataclasses.replace(tiny_screener.manifest, models=models)))
    assert "Training also used 1,595 images of ISIC 2017." in text
    assert "ROC-AUC on 400 images of ISIC 2017 (75 melanomas), kept out of training" in text
    assert "Teacher 0.712 (0.660–0.760); Student 0.712" in text


def test_the_evidence_map_is_also_told_in_words(page, tmp_path):
    pixels = np.full((150, 150, 3), 255, np.uint8)
    pixels[100:, 100:] = 0  # dark speaks for melanoma
    Image.fromarray(pixels).save(tmp_path / "dark corner.png")
    found = shown(page, tmp_path / "dark corner.png")
    for key in BOTH:
        assert T(f"role_{key}") in found[f"caption-{key}"]
        assert "strongest at the lower right" in flat(found[f"caption-{key}"])


def test_an_empty_map_is_told_too(page, upload):
    found = shown(page, upload(RED))
    assert "the map is empty" in found["caption-teacher"]
    assert "strongest" in found["caption-student"]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (0.0, "0.00 %"),
        (0.00001, "under 0.01 %"),
        (0.0004, "0.04 %"),
        (0.031, "3.1 %"),
        (0.5, "50 %"),
        (0.994, "99.4 %"),
        (0.99999, "99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_are_neither_rounded_to_nothing_nor_to_certainty(value, says):
    assert T.percent(value) == says


@pytest.mark.parametrize(
    ("row", "column", "where"),
    [(0, 0, "upper_left"), (0, 2, "upper"), (2, 2, "centre"), (2, 4, "right")],
)
def test_places_on_the_map_have_names(row, column, where):
    evidence = np.zeros((5, 5))
    evidence[row, column] = 1
    assert words.place(evidence) == where
    assert T(f"place_{where}")


def test_nothing_is_kept_or_reported(page):
    blocks, options = page.build(), launch_options()
    assert blocks.analytics_enabled is False
    # "Deleted from the server within minutes", says the page.
    assert max(blocks.delete_cache) <= 15 * 60
    assert options["run_history"] is False
    assert options["share"] is False
    assert options["enable_monitoring"] is False


def test_an_undefined_rate_is_drawn_and_told(tiny_screener):
    manifest = tiny_screener.manifest
    points = {key: choose(spec.operating_table, 0.95) for key, spec in manifest.models.items()}
    nothing_referred = manifest.models["teacher"].operating_table.rows[0]
    assert nothing_referred.holdout_rates.ppv.value is None
    points["teacher"] = dataclasses.replace(points["teacher"], row=nothing_referred)
    assert "not defined" in Cells(costs.measured(T, manifest, points)).cells["ppv", "teacher"]
    assert len(roc_figure(manifest, points, view.names(T), T.starting("figure_")).data) == 4


def test_a_released_int8_student_is_judged_too_and_does_not_crowd_the_page(page, upload, tmp_path):
    """The page sets teacher and student side by side; the API and the table of models give all."""
    weights = write_weights_apart(tmp_path / "weights")
    manifest = json.loads((weights / "manifest.json").read_text())
    manifest["models"]["student_int8"] = manifest["models"]["student"]
    (weights / "manifest.json").write_text(json.dumps(manifest))
    three = Page(Screener(weights, threads=1))
    source = upload(GREY)
    found, before = shown(three, source), shown(page, source)
    for part in ("cards", "measured", "classes", "caption-student"):
        assert flat(re.sub(r"[\d.]+ ms", "", found[part])) == flat(
            re.sub(r"[\d.]+ ms", "", before[part])
        ), part
    assert len(found["roc"].data) == len(before["roc"].data)
    assert found["status"].count("INT8") == 0
    answer = three.screen(source, 0.95)[0]
    assert set(answer["models"]) == {"teacher", "student", "student_int8"}
    assert "Student INT8" in about(T, three.manifest)


@pytest.fixture(scope="module")
def measured_page(tmp_path_factory):
    """A page whose models were measured for uncertain bands, groups and figures."""
    weights = write_weights_apart(tmp_path_factory.mktemp("measured"), evidence=True)
    return Page(Screener(weights, threads=1))


def test_near_the_threshold_neither_yes_nor_no_is_said(measured_page, upload):
    """Mid-grey: teacher 0.143 between 0 and 0.30, student 0.143 between 0 and 0.35 at 95 %."""
    found = shown(measured_page, upload(GREY))
    assert "Neither model is sure: a person should look" in found["status"]
    for key in BOTH:
        own = flat(card(found["cards"], key))
        assert "Uncertain: needs a human" in own
        assert "above its threshold" in own
    assert "Refer" in flat(card(shown(measured_page, upload((0, 0, 0)))["cards"], "teacher"))


def test_what_the_band_did_is_told_with_its_promise(measured_page):
    text = flat(moved(measured_page, None, 80)["bands"])
    for key in BOTH:
        spec = measured_page.manifest.models[key]
        point = choose(spec.operating_table, 0.80)
        band = conformal.band(spec.evidence.conformal, 0.80, point.threshold)
        counts = conformal.measured(spec.operating_table, band)
        assert f"Uncertain between {T.percent(band.low)} and {T.percent(band.high)}" in text
        assert f"{counts.melanomas_cleared} of 20 melanoma images" in text
        assert f"{counts.others_referred} of 100 others" in text
    assert "at most 10 % of the melanomas" in text, "half of what the setting may miss"
    assert "on 15 melanomas and 75 other lesions of validation" in text
    few = flat(moved(measured_page, None, 95)["bands"])
    assert "validation melanomas are too few" in few


@pytest.mark.parametrize("prevalence", [0.5, 2, 11])
def test_a_thousand_people_are_those_of_the_manifests_rates(page, prevalence):
    found = moved(page, None, 90, prevalence)
    for key, row in rows_of(page, 90).items():
        rates = row.holdout_rates
        lesions = page.manifest.models[key].operating_table.holdout_lesions
        people = natural_frequencies(
            rates.sensitivity.value, rates.specificity.value, prevalence / 100
        )
        (figure,) = re.findall(rf'data-model="{key}".*?</figure>', found["crowds"], re.DOTALL)
        values = predictive_values(rates, lesions, prevalence / 100)
        assert f"{people.referred} would be referred, {people.found} of them" in flat(figure)
        assert T.share(values.ppv) in flat(figure)
        assert T.share(values.npv) in flat(figure)
        (strip,) = re.findall(rf'<tr class="{key}">.*?</tr>', found["table"], re.DOTALL)
        for text in (T.share(rates.sensitivity), T.share(rates.specificity), T.share(values.ppv)):
            assert text in strip


def test_a_rounded_nobody_is_no_promise(page):
    assert "would be missed: too few to show" in moved(page, None, 99.5, 0.5)["crowds"]


def test_three_ways_to_choose_are_one_setting(page):
    """Threshold and ROC move the slider, and the slider moves the threshold to the same row."""
    for key in BOTH:
        table = page.manifest.models[key].operating_table
        for row in table.rows:
            reached = row.validation.tp / row.validation.melanomas
            if not 0.8 <= reached <= 0.995:
                continue
            target = page.on_threshold(100 * row.threshold, key)["slider"]
            assert choose(table, target / 100).row == row
            assert page.on_target(target, key)["threshold"] == pytest.approx(100 * row.threshold)
            tap = gr.EventData(None, {"x": row.holdout.fp / 100, "y": row.holdout.tp / 20})
            near = choose(table, page.on_roc(tap)["slider"] / 100)
            if near.row != row:  # the other model's curve passes as near
                others = page.manifest.models[BOTH[key == "teacher"]].operating_table.rows
                assert any(
                    (other.holdout.fp, other.holdout.tp) == (row.holdout.fp, row.holdout.tp)
                    for other in others
                )


def test_an_empty_threshold_box_moves_nothing(page):
    assert page.on_threshold(None, "teacher")["slider"] == gr.skip()


def test_the_page_speaks_the_readers_language(page, upload):
    class Request:
        headers: ClassVar = {"accept-language": "de-DE,de;q=0.9"}

    assert "Melanom" in page.on_load(Request())["header"]
    assert "Überweisung" in flat(page.on_image(upload(GREY), 95, 2, MELANOMA, Request())["status"])
    assert "Set to catch" not in page.on_setting(None, False, 95, 2, Request())["measured"]


def test_another_diagnosis_has_its_own_map_and_runs_no_model(page, upload, runs):
    found = shown(page, upload(GREY))
    runs.clear()
    other = page.on_class(found["session"], CLASS_NAMES.index("nv"))
    assert not runs
    assert "melanocytic nevus" in flat(other["caption-teacher"])
    assert "the map is empty" in other["caption-teacher"], "the tiny models know melanoma alone"
    bare, mapped = (picture[:, 20:-20] for picture in other["map-teacher"])  # the judged part
    assert (bare == mapped).all()


def test_maps_of_both_models_are_compared_in_words(page, upload):
    assert "overlap by 100 %" in shown(page, upload((0, 0, 0)))["agreement"]
    assert "cannot be compared" in shown(page, upload(RED))["agreement"]


def test_the_report_is_this_screening_and_nothing_is_written(page, upload):
    found = shown(page, upload(GREY))
    document = page.on_report(found["session"], 90, 11)["document"]
    assert document.startswith("<!doctype html>")
    text = flat(document)
    assert "Set to catch 90" in text.replace("\u202f", " ")
    assert page.manifest.models["teacher"].sha256 in text
    assert "upload.png" not in document


def test_a_forgotten_session_is_told(page):
    found = page.on_setting(None, True, 95, 2)
    assert "forgotten" in found["status"]
    assert "forgotten" in page.on_report(None, 95, 2)["status"]


def test_no_dermoscopy_gets_no_verdict_unless_the_person_insists(tmp_path):
    page = Page(Screener(write_tiny_weights(tmp_path / "w", refusing=True), threads=1))
    Image.new("RGB", (200, 200), (0, 0, 255)).save(tmp_path / "blue.png")
    found = shown(page, tmp_path / "blue.png")
    assert "does not look like a dermoscopy image" in found["status"]
    assert found["cards"].count("Waiting for an image") == 2
    assert found["map-teacher"] is None
    assert found["insist"]["visible"] is True
    assert found["report"]["interactive"] is False
    insisted = page.on_insist(found["session"], 95, 2, MELANOMA)
    assert "do not rely on anything below" in insisted["status"]
    assert "melanoma probability" in insisted["cards"]
    assert "Waiting" not in insisted["cards"]
    assert insisted["map-teacher"] is not None
    later = moved(page, insisted["session"], 80)
    assert "do not rely on anything below" in later["status"], "whatever the setting"


def test_groups_are_told_with_counts_and_small_ones_marked(measured_page):
    html = groups.groups(T, measured_page.manifest)
    text = flat(html)
    for key in BOTH:
        for group in measured_page.manifest.models[key].evidence.subgroups["sex"]:
            assert T.share(group.sensitivity) in text
            assert T.share(group.specificity) in text
    assert html.count("few cases") == 1
    assert "60 images, 2 of melanoma" in text
    assert "darker skin" in text
    assert "Phone photographs" in text


def test_maps_little_better_than_chance_are_said_to_be_so(measured_page):
    def interval(value):
        return Interval(value, value - 0.05, value + 0.05)

    def measured(value):
        names = ("energy_in_lesion", "pointing_game", "road")
        return dict.fromkeys(names, interval(value))

    models = {}
    for key, served in (("teacher", 0.9), ("student", 0.53)):
        methods = {"Grad-CAM": measured(served), "random": measured(0.3), "centre": measured(0.5)}
        spec = measured_page.manifest.models[key]
        replaced = dataclasses.replace(
            spec.evidence, faithfulness=Faithfulness(40, "Grad-CAM", methods)
        )
        models[key] = dataclasses.replace(spec, evidence=replaced)
    manifest = dataclasses.replace(measured_page.manifest, models=models)
    teacher, student = evidence.faithful(T, manifest).split('<p class="caption student">')
    assert flat(teacher).count("clearly better than a map that knows nothing") == 3
    assert flat(student).count("little better than a map that knows nothing") == 3
    assert "90.0 % (85.0–95.0)" in flat(evidence.faithfulness_table(T, manifest))
