"""The page's handlers and panels, without a browser."""

import dataclasses
import json
import pickle
import re
import time
from collections import Counter
from html import escape
from html.parser import HTMLParser

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from mel_demo.errors import ImageError, SettingError
from mel_demo.figures import roc_figure
from mel_demo.images import MAX_BYTES, open_image
from mel_demo.inference import Model
from mel_demo.manifest import CLASS_NAMES, Interval
from mel_demo.operating_point import choose
from mel_demo.screening import Finding, Screener
from mel_demo.ui import judge, panels, words
from mel_demo.ui.about import about
from mel_demo.ui.page import Page, launch_options
from tests.apart import write_weights_apart

GREY, RED = (128, 128, 128), (255, 0, 0)
BOTH = ("teacher", "student")
OUTPUTS = (
    *("session", "status", "verdicts", "measured", "roc", "map-teacher", "map-student"),
    *("caption-teacher", "caption-student", "differential"),
)


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
    return dict(zip(OUTPUTS, page.on_image(source, percent), strict=True))


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
        own = flat(card(found["verdicts"], key))
        assert f"{words.percent(prediction.melanoma_probability)} melanoma probability" in own
        assert f"{prediction.milliseconds:.0f} ms" in own
        assert f"{page.manifest.models[key].bytes / 1e6:.1f} MB" in own
        bare, mapped = found[f"map-{key}"]
        assert bare.shape == mapped.shape == (150, 200, 3)
        assert (bare == GREY).all()
        assert (mapped != bare).any()


def test_the_differential_lists_all_classes_the_most_probable_first(page, upload):
    found = shown(page, upload(RED))
    table, predictions = found["differential"], found["session"].screening.predictions
    places = [table.index(escape(words.DIAGNOSES[name], quote=True)) for name in CLASS_NAMES]
    order = sorted(range(7), key=lambda index: places[index])
    probabilities = [predictions["teacher"].probabilities[index] for index in order]
    assert probabilities == sorted(probabilities, reverse=True)
    text = flat(table)
    for key in BOTH:
        assert all(words.percent(value) in text for value in predictions[key].probabilities)


def test_the_session_keeps_numbers_and_no_picture(page, upload):
    kept = shown(page, upload(GREY, (3000, 2000)))["session"]
    assert kept.screening.image.size == 0
    assert kept.overlays == {}
    assert len(pickle.dumps(kept)) < 20_000


@pytest.mark.parametrize("image", [GREY, None], ids=["judged", "no image yet"])
@pytest.mark.parametrize("percent", [80, 90, 95, 99.5])
def test_every_figure_is_the_manifests(page, upload, percent, image):
    kept = shown(page, upload(image))["session"] if image else None
    _, verdicts, measured, figure = page.on_target(kept, percent)
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
        assert f"refers from {words.percent(row.threshold)}" in card(verdicts, key)
        assert (
            f"{words.ROLES[key]}: threshold {words.percent(row.threshold)}, which caught "
            f"{row.validation.tp} of {row.validation.melanomas} validation melanomas."
        ) in flat(measured)
        marker = next(t for t in figure.data if t.legendgroup == key and t.mode == "markers")
        assert marker.y[0] == rates.sensitivity.value
        assert marker.x[0] == pytest.approx(1 - rates.specificity.value)
    lesions = page.manifest.models["teacher"].operating_table.holdout_lesions
    assert f"on 120 images of {lesions.melanoma + lesions.other} lesions" in flat(measured)
    assert f"20 images show a melanoma, of {lesions.melanoma} lesions" in flat(measured)


def test_the_slider_runs_no_model_and_answers_within_100_ms(page, upload, runs):
    kept = shown(page, upload(GREY))["session"]
    runs.clear()
    page.on_target(kept, 95)
    times = []
    for percent in np.arange(80, 99.6, 0.5):
        start = time.perf_counter()
        page.on_target(kept, percent)
        times.append(time.perf_counter() - start)
    assert not runs
    # The median: a busy machine may take a single one away.
    assert np.median(times) < 0.1


def test_the_setting_changes_the_verdict_and_not_the_probability(page, upload):
    kept = shown(page, upload(GREY))["session"]
    probability = words.percent(kept.screening.teacher.melanoma_probability)
    for percent, kind, verdict in ((95, "refer", words.REFER), (80, "clear", words.NO_REFERRAL)):
        own = card(page.on_target(kept, percent)[1], "teacher")
        assert f'class="card teacher {kind}"' in own
        assert verdict in own
        assert f"<b>{probability}</b>" in own


@pytest.mark.parametrize(
    ("colour", "percent", "kind", "says"),
    [
        (GREY, 95, "refer", "Both models would refer this lesion"),
        (GREY, 80, "disagree", "The student would refer this lesion, the teacher would not"),
        (RED, 95, "disagree", "The student would refer this lesion, the teacher would not"),
        ((0, 255, 0), 95, "disagree", "The teacher would refer this lesion, the student would not"),
        ((255, 255, 255), 95, "clear", "Neither model would refer this lesion at this setting"),
    ],
)
def test_the_first_thing_said_is_whether_the_models_agree(
    page, upload, colour, percent, kind, says
):
    kept = shown(page, upload(colour))["session"]
    status = page.on_target(kept, percent)[0]
    assert f'class="status {kind}"' in status
    assert says in flat(status)
    title = re.search("<h2>(.*?)</h2>", status).group(1)
    assert ("disagree" in title) == (kind == "disagree")
    assert flat(status).startswith(title)


def test_what_is_doubtful_about_the_image_stays_said_when_the_slider_moves(page, upload):
    found = shown(page, upload(GREY, (600, 200)))
    for status in (found["status"], page.on_target(found["session"], 80)[0]):
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
    assert found["verdicts"].count("Waiting for an image") == 2
    assert "Set to catch 90 %" in flat(found["measured"])
    assert not runs


def test_taking_the_image_away_empties_what_it_filled(page):
    found = shown(page, None, 85)
    assert "No image yet" in found["status"]
    assert found["verdicts"].count("Waiting for an image") == 2
    assert found["session"] is found["map-teacher"] is found["map-student"] is None
    for key in BOTH:
        assert "comes here" in found[f"caption-{key}"]
    assert "come here" in found["differential"]
    assert "Set to catch 85 %" in flat(found["measured"])


def test_without_an_image_the_slider_leaves_the_status_alone(page):
    """It may say why the last file could not be judged."""
    assert page.on_target(None, 85)[0] == gr.skip()


@pytest.mark.parametrize("percent", [40, 79.9, 99.6, 100])
def test_a_setting_out_of_range_is_refused(page, percent):
    with pytest.raises(SettingError, match=r"0\.8 to 0\.995"):
        page.on_target(None, percent)


def test_large_images_are_scaled_down_for_the_browser(page, upload):
    for key in BOTH:
        for picture in shown(page, upload(GREY, (3000, 2000)))[f"map-{key}"]:
            assert max(picture.shape) == judge.LONGEST_SHOWN


def test_text_from_outside_is_escaped():
    finding = Finding("x", "warning", "<script>alert(1)</script>")
    assert "<script>" not in panels.status({}, [finding], 1.0)
    assert "<b>" not in panels.problem("<b>")


def test_text_of_the_manifest_is_escaped(page):
    evil = '<img src=x onerror="alert(1)">'
    models = {}
    for key, spec in page.manifest.models.items():
        data = spec.data | {"name": evil, "licence": evil, "doi": evil}
        models[key] = dataclasses.replace(
            spec, architecture=evil, data=data, training={"init": evil}, source_commit=evil
        )
    manifest = dataclasses.replace(page.manifest, created=evil, models=models)
    points = {key: choose(spec.operating_table, 0.95) for key, spec in manifest.models.items()}
    external = {"more": {evil: 3}, "external": {"name": evil, "images": 3, "melanomas": 1}}
    models = {
        key: dataclasses.replace(
            spec,
            data=spec.data | external,
            metrics=spec.metrics | {"external": spec.metrics["holdout"]},
        )
        for key, spec in models.items()
    }
    manifest = dataclasses.replace(manifest, models=models)
    html = panels.verdicts(manifest, points) + about(manifest)
    assert "<img" not in html
    assert "&lt;img" in html


def test_what_is_said_about_the_models_is_the_manifests(tiny_screener):
    manifest = tiny_screener.manifest
    text = flat(about(manifest))
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
            data=spec.data
            | {
                "more": {"ISIC 2017": 1595},
                "external": {"name": "ISIC 2017", "images": 400, "melanomas": 75},
            },
            metrics=spec.metrics | {"external": external},
        )
        for key, spec in tiny_screener.manifest.models.items()
    }
    text = flat(about(dataclasses.replace(tiny_screener.manifest, models=models)))
    assert "Training also used 1,595 images of ISIC 2017." in text
    assert "ROC-AUC on 400 images of ISIC 2017 (75 melanomas), kept out of training" in text
    assert "teacher 0.712 (0.660–0.760); student 0.712" in text


def test_the_evidence_map_is_also_told_in_words(page, tmp_path):
    pixels = np.full((150, 150, 3), 255, np.uint8)
    pixels[100:, 100:] = 0  # dark speaks for melanoma
    Image.fromarray(pixels).save(tmp_path / "dark corner.png")
    found = shown(page, tmp_path / "dark corner.png")
    for key in BOTH:
        assert words.ROLES[key] in found[f"caption-{key}"]
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
    assert words.percent(value) == says


@pytest.mark.parametrize(
    ("row", "column", "where"),
    [(0, 0, "upper left"), (0, 2, "upper edge"), (2, 2, "centre"), (2, 4, "right edge")],
)
def test_places_on_the_map_have_names(row, column, where):
    evidence = np.zeros((5, 5))
    evidence[row, column] = 1
    assert words.place(evidence) == where


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
    undefined = dataclasses.replace(
        points["teacher"].row.holdout_rates.ppv, value=None, low=None, high=None
    )
    rates = dataclasses.replace(points["teacher"].row.holdout_rates, ppv=undefined)
    row = dataclasses.replace(points["teacher"].row, holdout_rates=rates)
    points["teacher"] = dataclasses.replace(points["teacher"], row=row)
    assert "not defined" in Cells(panels.measured(manifest, points)).cells["ppv", "teacher"]
    assert len(roc_figure(manifest, points, words.ROLES).data) == 4


def test_a_released_int8_student_is_judged_too_and_does_not_crowd_the_page(page, upload, tmp_path):
    """The page sets teacher and student side by side; the API and the table of models give all."""
    weights = write_weights_apart(tmp_path / "weights")
    manifest = json.loads((weights / "manifest.json").read_text())
    manifest["models"]["student_int8"] = manifest["models"]["student"]
    (weights / "manifest.json").write_text(json.dumps(manifest))
    three = Page(Screener(weights, threads=1))
    source = upload(GREY)
    found, before = shown(three, source), shown(page, source)
    for part in ("verdicts", "measured", "differential", "caption-student"):
        assert flat(re.sub(r"[\d.]+ ms", "", found[part])) == flat(
            re.sub(r"[\d.]+ ms", "", before[part])
        ), part
    assert len(found["roc"].data) == len(before["roc"].data)
    assert found["status"].count("INT8") == 0
    answer = three.screen(source, 0.95)[0]
    assert set(answer["models"]) == {"teacher", "student", "student_int8"}
    assert "Student INT8" in about(three.manifest)
