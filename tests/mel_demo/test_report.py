"""The report: one document that says what the page says, whole and harmless."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html import escape, unescape

import numpy as np
import pytest

from mel_demo import __version__
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, Texts
from mel_demo.ui import case, view
from mel_demo.ui.case import Judged, Setting
from tests.support.apart import write_weights_apart

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def screener(tmp_path_factory):
    return Screener(write_weights_apart(tmp_path_factory.mktemp("apart")), threads=1)


@pytest.fixture(scope="module")
def judged(screener):
    return Judged(screener.screen(np.full((150, 200, 3), 128, np.uint8)), 1.0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_opens_with_the_overall_verdict_and_the_versions(screener, judged, language):
    t = Texts(language)
    document = unescape(view.report_of(t, screener, judged, Setting()))
    assert f'<html lang="{language}">' in document
    head = document[: document.index('class="cards"')]
    assert t("refer_title") in head
    assert __version__ in head
    assert screener.manifest.version in head


def test_its_numbers_are_the_manifests(screener, judged):
    t = Texts()
    document = view.report_of(t, screener, judged, Setting())
    for key, reading in case.read(screener, Setting()).items():
        probability = judged.screening.predictions[key].melanoma_probability
        assert f'value="{probability}"' in document
        assert f'value="{reading.point.threshold}"' in document
        assert t("of", part=reading.counts.tp, whole=reading.counts.melanomas) in document
        assert screener.manifest.models[key].sha256 in document


def test_nothing_is_fetched_and_what_comes_from_outside_is_escaped(screener, judged, monkeypatch):
    teacher = screener.manifest.models["teacher"]
    named = replace(teacher, data=replace(teacher.data, name=EVIL))
    models = screener.manifest.models | {"teacher": named}
    monkeypatch.setattr(screener, "manifest", replace(screener.manifest, models=models))
    document = view.report_of(Texts(), screener, judged, Setting())
    assert escape(EVIL) in document
    assert "<script" not in document
    assert not re.findall(r'(?:src|href)="(?!data:)', document)


def test_a_time_without_a_zone_is_refused(screener, judged, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, zone):
            assert zone is UTC
            return datetime(2026, 1, 1)

    monkeypatch.setattr(view, "datetime", Clock)
    with pytest.raises(ValueError, match="no time zone"):
        view.report_of(Texts(), screener, judged, Setting())
