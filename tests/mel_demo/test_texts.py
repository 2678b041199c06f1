"""The page's languages: complete, with the same places to fill, and chosen as browsers ask."""

import re
from html.parser import HTMLParser
from string import Formatter

import pytest

from mel_demo.errors import ImageError
from mel_demo.manifest import Interval
from mel_demo.texts import LANGUAGES, Texts, catalogue

ENGLISH = catalogue("en")


def places(text):
    fields = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    return fields | set(re.findall(r"%\{[^}]*\}", text))


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append(tag)

    def handle_endtag(self, tag):
        self.found.append(f"/{tag}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything_with_the_same_places(language):
    texts = catalogue(language)
    # In English an error says itself what is wrong.
    errors = {f"error_{kind.__name__}" for kind in ImageError.__subclasses__()}
    assert texts.keys() - ENGLISH.keys() == (set() if language == "en" else errors)
    assert ENGLISH.keys() - texts.keys() == set()
    for key, text in texts.items():
        assert text.strip(), key
        english = ENGLISH.get(key, "")
        assert places(text) == places(english), key
        assert sorted(Tags(text).found) == sorted(Tags(english).found), key


def test_the_other_languages_are_translated():
    for language in LANGUAGES[1:]:
        texts = catalogue(language)
        same = {key for key, text in ENGLISH.items() if texts[key] == text and len(text) > 12}
        assert len(same) < 16, f"{language}: {same}"


def test_numbers_are_written_as_the_language_does():
    english, german = Texts("en"), Texts("de")
    assert english.count(1519) == "1,519"
    assert german.count(1519) == "1.519"
    assert english.share(Interval(0.8551, 0.789, 0.909)) == "86 % (79–91)"
    assert german.share(Interval(0.8551, 0.789, 0.909)) == "86 % (79–91)"
    assert german.measure(Interval(0.9, 0.85, 0.95)) == "0,900 (0,850–0,950)"
    assert german.measure(Interval(0.3, -0.12, 0.77), 2) == "0,30 (−0,12 bis 0,77)"
    assert german.percent(0.0412) == "4,1 %"
    assert german.setting(0.995) == "99,5 %"
    assert german.share(Interval(0.98, 0.97, 0.9896)) == "98,0 % (97,0–99,0)"
    assert english.share(Interval(1.0, 1.0, 1.0)) == "100 %"
    assert english.share(Interval(0.9996, 0.99, 1.0)) == "99.9 % (99.0–100)"
    assert english.percent(0.9996) == "over 99 %"
    assert english.percent(0.0004) == "under 0.1 %"
    assert english.percent(0) == "0 %"
    assert english.share(Interval(None, None, None)) == english("not_defined")


def test_a_noun_inside_a_sentence_is_written_as_the_language_does():
    assert Texts("en").inside("dx_mel") == "melanoma"
    assert Texts("de").inside("dx_mel")[0].isupper()
