"""Every word and every number as a person reads it: one JSON of texts a language, the same keys.

Labels of components are translated in the browser by gr.I18n, panels, figures and report here by
``Texts``; all read the same files. Knows text and numbers; no HTML and no Gradio.
"""

import json
from functools import cache
from pathlib import Path

from mel_demo.manifest import Interval, ModelSpec

FOLDER = Path(__file__).with_name("locales")
LANGUAGES = ("en", "de", "es")
NAMES = {"en": "English", "de": "Deutsch", "es": "Español"}
_SWAPPED = str.maketrans(".,", ",.")
_ARCHITECTURES = {
    "efficientnet_b1": "EfficientNet-B1",
    "mobilenetv3_small_100": "MobileNetV3-Small",
}


@cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of a language of LANGUAGES by key."""
    return json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))


def architecture(spec: ModelSpec) -> str:
    """The network's name as papers write it."""
    return _ARCHITECTURES.get(spec.architecture, spec.architecture)


class Texts:
    """Texts and numbers in one language of LANGUAGES; of another one, in English."""

    def __init__(self, language: str | None = None) -> None:
        self.language = language if language in LANGUAGES else LANGUAGES[0]
        self._texts = catalogue(self.language)

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its {places} filled; KeyError for a key that no file has."""
        return self._texts[key].format(**values)

    def raw(self, key: str) -> str:
        """The text of a key with its {places} empty."""
        return self._texts[key]

    def get(self, key: str, otherwise: str) -> str:
        """The text of a key, or ``otherwise`` where the language has none."""
        return self._texts.get(key, otherwise)

    def inside(self, key: str) -> str:
        """A noun that stands alone elsewhere, as it is written inside a sentence."""
        text = self(key)
        return text if self.language == "de" else text[0].lower() + text[1:]

    def digits(self, text: str) -> str:
        """A number as English writes it, as the language does: "1,519.5" is "1.519,5" in German."""
        return text if self.language == "en" else text.translate(_SWAPPED)

    def count(self, number: int) -> str:
        """A whole number with its thousands apart: "1,519"."""
        return self.digits(f"{number:,}")

    def decimal(self, number: float, digits: int) -> str:
        """A number with this many decimals."""
        return self.digits(f"{number:,.{digits}f}")

    def megabytes(self, size: int) -> str:
        """Bytes as "3.3 MB"."""
        return f"{self.decimal(size / 1e6, 1)} MB"

    def percent(self, value: float) -> str:
        """A share (0..1) in whole percent, with one decimal below ten, where thresholds lie.

        "37 %", "4.1 %"; never "0 %" for what is above 0, nor "100 %" for what is below 1.
        """
        if 0 < value < 0.001:
            return self("under", value=self.digits("0.1 %"))
        if 0.995 <= value < 1:
            return self("over", value="99 %")
        number = f"{100 * value:.1f}" if 0 < value < 0.0995 else f"{100 * value:.0f}"
        return self.digits(f"{number} %")

    def setting(self, value: float) -> str:
        """A share that a person set: "95 %", "99.5 %"."""
        return self.digits(f"{100 * value:.3g} %")

    def share(self, interval: Interval) -> str:
        """A measured share with its interval: "86 % (79–91)".

        One decimal where whole percents would hide the interval, or read as 0 or 100.
        """
        value, low, high = interval.value, interval.low, interval.high
        if value is None:
            return self("not_defined")
        if low is None or low == value == high:
            return self.percent(value)
        parts = (value, low, high)
        narrow = high - low < 0.03 or any(0 < x < 0.005 or 0.995 <= x < 1 for x in parts)
        # Cut, not rounded, at the ends: 0.9996 must not read as certain.
        shown = [100 * x if x in (0, 1) else min(max(100 * x, 0.1), 99.9) for x in parts]
        first, second, third = (f"{x:.{int(narrow and x not in (0, 100))}f}" for x in shown)
        return self.digits(f"{first} % ({second}–{third})")

    def measure(self, interval: Interval, digits: int = 3) -> str:
        """A measured number with its interval: "0.905 (0.876–0.932)", "0.30 (−0.12 to 0.77)"."""
        if interval.value is None:
            return self("not_defined")
        text = f"{interval.value:.{digits}f}"
        if interval.low is not None:
            low, high = f"{interval.low:.{digits}f}", f"{interval.high:.{digits}f}"
            # A dash beside a minus would be read as one more.
            between = self("from_to", low=low, high=high) if interval.low < 0 else f"{low}–{high}"
            text += f" ({between})"
        return self.digits(text).replace("-", "−")
