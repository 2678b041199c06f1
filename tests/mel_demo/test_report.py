"""The report of one screening: complete, true to its sources, safe to open, and private."""

import base64
import io
import os
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mel_demo import __version__
from mel_demo.decision.operating_point import choose
from mel_demo.manifest import CLASS_NAMES, Interval
from mel_demo.pictures.report import LONGEST_SHOWN, Setting, Verdict, report_html
from mel_demo.report_text import ENGLISH
from mel_demo.screening import Finding, Screener
from tests.support.apart import write_weights_apart

KEYS = ("teacher", "student")
WRITTEN = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
COLOURS = {"image": (200, 120, 100), "teacher": (40, 90, 200), "student": (60, 180, 60)}
VOID = {"meta", "img", "br"}
# Shown for some findings, models and numbers only; nearly all have a test of their own.
SOMETIMES = {
    *("severity_info", "severity_refusal", "no_findings", "role_student_int8"),
    *("under", "over", "undefined", "thousands_separator"),
}
NASTY = "<script>alert('x')</script>\"' onerror=\"x"


class Parsed(HTMLParser):
    """Elements with their attributes and text; refuses tags that do not close in order."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[dict] = []
        self._open: list[dict] = []
        self.feed(document)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, tag: str) -> list[dict]:
        return [element for element in self.elements if element["tag"] == tag]

    @property
    def text(self) -> str:
        (body,) = self.all("body")
        return " ".join(body["text"].split())


@pytest.fixture(scope="module")
def screener(tmp_path_factory) -> Screener:
    return Screener(write_weights_apart(tmp_path_factory.mktemp("apart")), threads=1)


@pytest.fixture(scope="module")
def screening(screener):
    # Brighter is likelier a melanoma to the tiny models, each by a channel of its own.
    return screener.screen(np.full((90, 120, 3), COLOURS["image"], np.uint8))


@pytest.fixture
def setting(screener) -> Setting:
    verdicts = {
        key: Verdict(
            kind,
            f"Decision of the {key}",
            choose(screener.manifest.models[key].operating_table, 0.9),
            Interval(0.0437 + index / 100, 0.03, 0.08),
            Interval(0.9971 - index / 1000, 0.99, 0.9992),
            (0.021, 0.302) if key == "teacher" else None,
        )
        for index, (key, kind) in enumerate(zip(KEYS, ("uncertain", "refer"), strict=True))
    }
    return Setting(0.9, 0.015, verdicts)


@pytest.fixture
def make(screener, screening, setting):
    """The report as a string; a keyword replaces an argument."""

    def made(**other) -> str:
        arguments = {
            "screening": screening,
            "overlays": {key: np.full((90, 120, 3), COLOURS[key], np.uint8) for key in KEYS},
            "manifest": screener.manifest,
            "setting": setting,
            "written": WRITTEN,
        }
        return report_html(**(arguments | other))

    return made


def numbers(parsed: Parsed) -> list[float]:
    return [float(element["attrs"]["value"]) for element in parsed.all("data")]


def test_every_number_is_its_sources_in_order(make, screening, setting) -> None:
    """Teacher before student throughout: a swap would show, as the tables differ."""
    verdicts = setting.verdicts.values()
    predictions = [screening.predictions[key] for key in KEYS]
    rates = [verdict.point.row.holdout_rates for verdict in verdicts]
    assert rates[0] != rates[1]
    expected = []
    for verdict, prediction in zip(verdicts, predictions, strict=True):
        expected += [prediction.melanoma_probability, verdict.point.threshold]
    expected += [rate.sensitivity.value for rate in rates]
    expected += [rate.specificity.value for rate in rates]
    expected += [verdict.ppv.value for verdict in verdicts]
    expected += [verdict.npv.value for verdict in verdicts]
    order = sorted(range(7), key=lambda index: -predictions[0].probabilities[index])
    found = numbers(Parsed(make()))
    assert found[:12] == expected
    # Classes of one probability may stand in any order.
    for column, prediction in enumerate(predictions):
        assert sorted(found[12 + column :: 2]) == sorted(prediction.probabilities)
    assert found[12] == predictions[0].probabilities[order[0]]


def test_what_is_read_is_what_was_measured(make, setting) -> None:
    text = Parsed(make()).text.replace("\u202f", " ")
    for key, verdict in setting.verdicts.items():
        row = verdict.point.row
        rate = row.holdout_rates.specificity
        assert (
            f"{100 * rate.value:.1f} % ({100 * rate.low:.1f}–{100 * rate.high:.1f})"
            f"{row.holdout.tn} of {row.holdout.others}" in text
        )
        assert f"{row.holdout.tp} of {row.holdout.melanomas}" in text
        assert f"Decision of the {key}" in text
        digits = 1 if verdict.point.threshold >= 0.1 else 2
        assert f"refers from {100 * verdict.point.threshold:.{digits}f} %" in text
    assert "Set to catch 90 % of melanomas." in text
    assert "Where 1.5 % of lesions are melanomas" in text
    assert "4.4 % (3.0–8.0)" in text
    assert "99.71 % (99.00–99.92)" in text
    assert "uncertain from 2.10 % to 30.2 %" in text
    assert text.count("uncertain from") == 1
    assert "120 images of 90 lesions" in text
    assert all(ENGLISH[f"class_{name}"] in text for name in CLASS_NAMES)


def test_it_says_which_models_judged_and_when(make, screener) -> None:
    parsed = Parsed(make())
    for key in KEYS:
        spec = screener.manifest.models[key]
        for value in (spec.sha256, spec.file, spec.architecture, spec.source_commit):
            assert value in parsed.text
    assert screener.manifest.created in parsed.text
    assert f"mel_demo {__version__}" in parsed.text
    assert "Research demonstration, not a medical device." in parsed.text
    (time,) = parsed.all("time")
    assert time["attrs"]["datetime"] == "2026-03-01T09:30:00+00:00"
    east = WRITTEN.astimezone(timezone(timedelta(hours=9)))
    assert make(written=east) == make()


def test_only_the_time_changes_between_two_reports(make) -> None:
    later = make(written=WRITTEN + timedelta(days=1))
    assert later != make()
    assert later.replace("2026-03-02", "2026-03-01") == make()


def test_the_pictures_are_the_right_ones_and_small(make, screening) -> None:
    large = np.full((1200, 1600, 3), COLOURS["image"], np.uint8)
    parsed = Parsed(make(screening=replace(screening, image=large)))
    shown = parsed.all("img")
    assert len(shown) == 3
    for name, element in zip(("image", *KEYS), shown, strict=True):
        kind, _, content = element["attrs"]["src"].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as picture:
            assert max(picture.size) == (LONGEST_SHOWN if name == "image" else 120)
            assert np.abs(np.asarray(picture).mean(axis=(0, 1)) - COLOURS[name]).max() < 4
            assert not picture.getexif()
        assert element["attrs"]["alt"]


def test_nothing_is_fetched_run_or_linked(make) -> None:
    document = make()
    parsed = Parsed(document)
    policy = next(meta["attrs"] for meta in parsed.all("meta") if "http-equiv" in meta["attrs"])
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    for tag in ("script", "link", "a", "iframe", "form", "object", "base"):
        assert not parsed.all(tag)
    for element in parsed.elements:
        assert not [name for name in element["attrs"] if name.startswith("on") or name == "href"]
        assert element["attrs"].get("src", "data:").startswith("data:")
    outside = re.sub(r"base64,[A-Za-z0-9+/=]*", "", document)
    assert not re.search(r"//|url\(|@import", outside)


def test_hostile_words_stay_words(make, screener, screening, setting) -> None:
    verdicts = {key: replace(v, decision=NASTY) for key, v in setting.verdicts.items()}
    spec = screener.manifest.models["teacher"]
    spec = replace(
        spec,
        architecture=NASTY,
        file=NASTY.replace("/", ""),
        source_commit=NASTY,
        data=replace(spec.data, name=NASTY, licence=NASTY),
    )
    plain = Parsed(make(screening=replace(screening, findings=(Finding("x", "info", "y"),))))
    document = make(
        screening=replace(screening, findings=(Finding(NASTY, "info", NASTY + "{lang}"),)),
        manifest=replace(
            screener.manifest,
            created=NASTY,
            models=dict(screener.manifest.models) | {"teacher": spec},
        ),
        setting=replace(setting, verdicts=verdicts),
        text=ENGLISH | {"role_student": NASTY, "lang": '"><img src=x>'},
    )
    parsed = Parsed(document)
    assert "<script" not in document
    assert [element["tag"] for element in parsed.elements] == [
        element["tag"] for element in plain.elements
    ]
    assert NASTY in parsed.text
    assert "{lang}" in parsed.text
    names = {name for element in parsed.elements for name in element["attrs"]}
    assert names == {name for element in plain.elements for name in element["attrs"]}


def test_nothing_is_written_to_disk(make) -> None:
    opened: list[tuple] | None = []

    def hook(event: str, arguments: tuple) -> None:
        if event == "open" and opened is not None:
            opened.append(arguments)

    sys.addaudithook(hook)  # cannot be removed: it looks away afterwards
    make()
    seen, opened = opened, None
    flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    assert not [path for path, _, how in seen if how & flags]


@pytest.mark.parametrize("severity", ["info", "warning", "refusal"])
def test_findings_stand_with_their_severity(make, screening, severity) -> None:
    assert ENGLISH["no_findings"] in Parsed(make(screening=replace(screening, findings=()))).text
    found = replace(screening, findings=(Finding("dim", severity, "It is dim."),))
    text = Parsed(make(screening=found)).text
    assert f"{ENGLISH[f'severity_{severity}']}. It is dim." in text
    assert ENGLISH["no_findings"] not in text


def test_an_undefined_share_says_so(make, setting) -> None:
    nothing = Interval(None, None, None)
    verdicts = {key: replace(v, ppv=nothing) for key, v in setting.verdicts.items()}
    text = Parsed(make(setting=replace(setting, verdicts=verdicts))).text
    assert text.count("not defined") == 2
    assert "None" not in text


def test_another_language_writes_texts_and_numbers_its_own_way(make) -> None:
    german = dict(ENGLISH) | {
        "lang": "de",
        "decimal_point": ",",
        "between": "{low} bis {high}",
        "ppv": "Überweisungen, die Melanome sind",
    }
    document = make(text=german)
    parsed = Parsed(document)
    assert parsed.all("html")[0]["attrs"]["lang"] == "de"
    assert "4,4\u202f% (3,0 bis 8,0)" in document
    assert "Überweisungen, die Melanome sind" in parsed.text
    assert numbers(parsed) == numbers(Parsed(make()))


@pytest.mark.parametrize("key", sorted(ENGLISH.keys() - SOMETIMES))
def test_every_documented_text_is_shown(make, key) -> None:
    """A key that nothing shows would be translated in vain."""
    assert "~§" in make(text=ENGLISH | {key: f"~§{ENGLISH[key]}"})


def test_a_missing_text_or_time_zone_is_named(make) -> None:
    with pytest.raises(ValueError, match="no text for disclaimer, npv"):
        make(text={key: ENGLISH[key] for key in ENGLISH if key not in ("npv", "disclaimer")})
    with pytest.raises(ValueError, match="has no time zone"):
        make(written=datetime(2026, 3, 1))


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.66326, "66.3 %"), (0.0508, "5.08 %"), (0.00004, "under 0.01 %"), (0.99999, "over 99.9 %")],
)
def test_a_probability_never_reads_as_certain(make, screening, probability, shown) -> None:
    rest = (1 - probability) / 6
    values = tuple(probability if name == "mel" else rest for name in CLASS_NAMES)
    found = {key: replace(p, probabilities=values) for key, p in screening.predictions.items()}
    text = Parsed(make(screening=replace(screening, predictions=found))).text
    assert f"{shown} melanoma probability" in text.replace("\u202f", " ")
