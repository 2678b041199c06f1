"""The page's handlers and panels, without a browser."""

import dataclasses
import time

import numpy as np
import pytest
from PIL import Image

from mel_demo.errors import SettingError
from mel_demo.figures import roc_figure
from mel_demo.inference import Model
from mel_demo.operating_point import choose
from mel_demo.screening import Finding
from mel_demo.ui import judge, panels, words
from mel_demo.ui.page import Page, launch_options

GREY, RED = (128, 128, 128), (255, 0, 0)


@pytest.fixture
def page(tiny_screener):
    return Page(tiny_screener)


@pytest.fixture
def upload(tmp_path):
    def save(colour, size=(200, 150)):
        path = tmp_path / "upload.png"
        Image.new("RGB", size, colour).save(path)
        return path

    return save


def test_a_new_image_gives_both_verdicts_maps_and_classes(page, upload):
    kept, status, verdicts, _, _, teacher, student, *_, differential = page.on_image(
        upload(GREY), 95
    )
    assert "Both models would refer" in status or "Neither" in status or "disagree" in status
    for key in ("teacher", "student"):
        prediction = kept.screening.predictions[key]
        assert words.percent(prediction.melanoma_probability) in verdicts
    for bare, mapped in (teacher, student):
        assert bare.shape == mapped.shape == (150, 200, 3)
    assert "Melanocytic nevus (mole)" in differential


def test_the_session_keeps_numbers_and_no_picture(page, upload):
    kept = page.on_image(upload(GREY), 95)[0]
    assert kept.screening.image.size == 0
    assert kept.overlays == {}


@pytest.mark.parametrize("percent", [80, 90, 95, 99.5])
def test_the_slider_shows_the_manifests_numbers(page, tiny_screener, upload, percent):
    kept = page.on_image(upload(GREY), 95)[0]
    _, verdicts, measured, figure = page.on_target(kept, percent)
    for key in ("teacher", "student"):
        row = choose(tiny_screener.manifest.models[key].operating_table, percent / 100).row
        assert f"refers from {words.percent(row.threshold)}" in verdicts
        assert f"{row.holdout.tp} of {row.holdout.melanomas}" in measured
        assert words.share(row.holdout_rates.specificity) in measured
        assert f"caught {row.validation.tp} of {row.validation.melanomas} validation" in " ".join(
            measured.split()
        )
        marker = next(t for t in figure.data if t.legendgroup == key and t.mode == "markers")
        assert marker.y[0] == row.holdout_rates.sensitivity.value
        assert marker.x[0] == pytest.approx(1 - row.holdout_rates.specificity.value)


def test_the_slider_runs_no_model_and_answers_within_100_ms(page, upload, monkeypatch):
    kept = page.on_image(upload(GREY), 95)[0]

    def refuse(*_):
        raise AssertionError("the slider ran a model")

    monkeypatch.setattr(Model, "run", refuse)
    page.on_target(kept, 95)
    start = time.perf_counter()
    for percent in np.arange(80, 100, 2.5):
        page.on_target(kept, percent)
    assert (time.perf_counter() - start) / 8 < 0.1


def test_grey_is_referred_at_95_and_not_at_80(page, upload):
    kept = page.on_image(upload(GREY), 95)[0]
    assert 'class="card teacher refer"' in page.on_target(kept, 95)[1]
    assert 'class="card teacher clear"' in page.on_target(kept, 80)[1]
    assert words.NO_REFERRAL in page.on_target(kept, 80)[1]


def test_disagreement_comes_first(page, upload):
    status = page.on_image(upload(RED), 95)[1]
    assert "<h2>The models disagree</h2>" in status


def test_a_bad_file_says_why_and_leaves_the_setting(page, tmp_path):
    path = tmp_path / "bad.jpg"
    path.write_bytes(b"not an image")
    kept, status, verdicts, measured, *_ = page.on_image(path, 90)
    assert kept is None
    assert 'role="alert"' in status
    assert "not an image that can be read" in status
    assert "Waiting for an image" in verdicts
    assert "Set to catch <b>90 %</b>" in measured


def test_without_an_image_the_slider_still_shows_what_a_setting_costs(page):
    _, verdicts, measured, _ = page.on_target(None, 85)
    assert "Waiting for an image" in verdicts
    assert "Set to catch <b>85 %</b>" in measured


def test_a_setting_out_of_range_is_refused(page):
    with pytest.raises(SettingError):
        page.on_target(None, 40)


def test_large_images_are_scaled_down_for_the_browser(page, upload):
    bare, _ = page.on_image(upload(GREY, (3000, 2000)), 95)[5]
    assert max(bare.shape) == judge.LONGEST_SHOWN


def test_text_from_outside_is_escaped():
    finding = Finding("x", "warning", "<script>alert(1)</script>")
    assert "<script>" not in panels.status({}, [finding], 1.0)
    assert "<b>" not in panels.problem("<b>")


def test_the_evidence_map_is_also_told_in_words(page, upload):
    *_, teacher, student, _ = page.on_image(upload(GREY), 95)
    for key, text in (("teacher", teacher), ("student", student)):
        assert words.ROLES[key] in text
        assert "spoke for melanoma" in text


@pytest.mark.parametrize(
    ("value", "shown"),
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
def test_shares_are_neither_rounded_to_nothing_nor_to_certainty(value, shown):
    assert words.percent(value) == shown


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
    assert blocks.delete_cache is not None
    assert options["run_history"] is False
    assert options["share"] is False


def test_an_undefined_rate_is_drawn_and_told(tiny_screener):
    manifest = tiny_screener.manifest
    points = {key: choose(spec.operating_table, 0.95) for key, spec in manifest.models.items()}
    undefined = dataclasses.replace(
        points["teacher"].row.holdout_rates.ppv, value=None, low=None, high=None
    )
    rates = dataclasses.replace(points["teacher"].row.holdout_rates, ppv=undefined)
    row = dataclasses.replace(points["teacher"].row, holdout_rates=rates)
    points["teacher"] = dataclasses.replace(points["teacher"], row=row)
    assert "not defined" in panels.measured(manifest, points)
    assert len(roc_figure(manifest, points, words.ROLES).data) == 4
