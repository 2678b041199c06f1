"""The page's words in the reader's language: one JSON of texts a language, the same keys in each.

Labels of components are translated in the browser by gr.I18n, panels here by ``Texts``; both read
the same files. Knows text and numbers; no HTML and no Gradio.
"""

import json
from functools import cache
from pathlib import Path

from mel_demo import figure_words, report_text
from mel_demo.manifest import Interval

FOLDER = Path(__file__).with_name("locales")
LANGUAGES = ("en", "de", "es")
_SWAPPED = str.maketrans(".,", ",.")


@cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of a language of LANGUAGES by key.

    ``figure_...`` and ``report_...`` are the words of figures and report, which bring their own
    English.
    """
    texts = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    if language == LANGUAGES[0]:
        for prefix, words in (("figure_", figure_words), ("report_", report_text)):
            texts |= {f"{prefix}{key}": text for key, text in words.ENGLISH.items()}
    return texts


def preferred(accept_language: str | None) -> str:
    """The first language of an Accept-Language header (RFC 9110, 12.5.4) that the page speaks.

    Ranked by its q values; English where there is none, or the header makes no sense.
    """
    ranked = []
    for place, part in enumerate((accept_language or "").split(",")):
        tag, _, weight = part.partition(";q=")
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        ranked.append((-quality, place, tag.strip().lower().partition("-")[0]))
    return next((tag for _, _, tag in sorted(ranked) if tag in LANGUAGES), LANGUAGES[0])


class Texts:
    """Texts and numbers in one language of LANGUAGES."""

    def __init__(self, language: str = LANGUAGES[0]) -> None:
        self.language = language
        self._texts = catalogue(language)

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its {places} filled; KeyError for a key that no file has."""
        return self._texts[key].format(**values)

    def get(self, key: str, otherwise: str) -> str:
        """The text of a key, or ``otherwise`` where the language has none."""
        return self._texts.get(key, otherwise)

    def inside(self, key: str) -> str:
        """A noun that stands alone elsewhere, as it is written inside a sentence."""
        text = self(key)
        return text if self.language == "de" else text[0].lower() + text[1:]

    def starting(self, prefix: str) -> dict[str, str]:
        """All texts whose key starts with ``prefix``, by the rest of their key."""
        return {
            key.removeprefix(prefix): text
            for key, text in self._texts.items()
            if key.startswith(prefix)
        }

    def digits(self, text: str) -> str:
        """A number as English writes it, as the language does: "1,519.5" is "1.519,5" in German."""
        return text if self.language == "en" else text.translate(_SWAPPED)

    def count(self, number: int) -> str:
        """A whole number with its thousands apart: "1,519"."""
        return self.digits(f"{number:,}")

    def decimal(self, number: float, digits: int) -> str:
        """A number with this many decimals."""
        return self.digits(f"{number:,.{digits}f}")

    def percent(self, value: float) -> str:
        """A share as percent, with more digits where it is small: "37 %", "4.1 %", "0.03 %"."""
        return figure_words.percent(value, self.starting("figure_"))

    def setting(self, value: float) -> str:
        """A share that a person set: "95 %", "99.5 %"."""
        return self.digits(f"{100 * value:.3g} %")

    def share(self, interval: Interval) -> str:
        """A measured share with its interval: "85.5 % (78.9–90.9)"."""
        if interval.value is None:
            return self("not_defined")
        value = f"{100 * interval.value:.1f} %"
        return self.digits(f"{value}{_range(interval, 100, 1)}")

    def measure(self, interval: Interval, digits: int = 3) -> str:
        """A measured number with its interval: "0.905 (0.876–0.932)"."""
        if interval.value is None:
            return self("not_defined")
        return self.digits(f"{interval.value:.{digits}f}{_range(interval, 1, digits)}")


def _range(interval: Interval, scale: float, digits: int) -> str:
    if interval.low is None:
        return ""
    return f" ({scale * interval.low:.{digits}f}–{scale * interval.high:.{digits}f})"
