"""One screening as one HTML document to keep or print: made in memory, nothing fetched or kept.

Puts together what was computed elsewhere: a screening, its overlays, the manifest and the setting.
Texts come as a mapping, English by default, so that the page's language is the report's. The
upload's name never comes here, and its metadata not either: the picture is encoded anew. Knows no
page and no model.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Literal

import jinja2
import numpy as np
from PIL import Image

from mel_demo import __version__
from mel_demo.decision.operating_point import OperatingPoint
from mel_demo.images import shrink
from mel_demo.manifest import CLASS_NAMES, MELANOMA, Interval, Manifest
from mel_demo.pictures.overlay import COLOURS
from mel_demo.report_text import ENGLISH

if TYPE_CHECKING:  # importing it for real would import onnxruntime
    from mel_demo.screening import Screening

LONGEST_SHOWN = 800
"""Pixels of the longer side of a picture in the report."""
_PERCENT = "\u202f%"  # after a narrow space that does not break


@dataclass(frozen=True)
class Verdict:
    """What one model's setting says of this image, and what that means where it is used.

    ``kind``: what ``decision``, the page's words for it, amounts to; "none" where the image is not
    one that can be judged. ``ppv``, ``npv``: 0..1, at the setting's prevalence. ``uncertain``: the
    probabilities (0..1) between which it is undecided, None where nothing is.
    """

    kind: Literal["refer", "uncertain", "no_referral", "none"]
    decision: str
    point: OperatingPoint
    ppv: Interval
    npv: Interval
    uncertain: tuple[float, float] | None = None


@dataclass(frozen=True)
class Setting:
    """What was chosen on the page. ``prevalence``: share of melanomas, 0..1, that PPV and NPV are
    given for. ``verdicts``: by model key; the report shows these models in this order."""

    target_sensitivity: float
    prevalence: float
    verdicts: Mapping[str, Verdict]


def report_html(
    screening: "Screening",
    overlays: Mapping[str, np.ndarray],
    manifest: Manifest,
    setting: Setting,
    written: datetime,
    text: Mapping[str, str] = ENGLISH,
) -> str:
    """The document: no script, no link, no outside resource; the same for the same arguments.

    ``overlays``: uint8 RGB by model key, as ``overlay.overlay`` draws them. ``written``: any time
    zone, shown in UTC. ``text``: the keys and placeholders of ``report_text.ENGLISH``. Everything
    shown is escaped, whoever wrote it. Every probability and measured share also stands unrounded
    in a ``<data value>``.

    Raises ValueError for a time without a zone and for missing texts; KeyError where a model of
    ``setting`` was not screened.
    """
    if written.tzinfo is None:
        raise ValueError(f"{written!r} has no time zone")
    missing = sorted(ENGLISH.keys() - text.keys())
    if missing:
        raise ValueError(f"the report has no text for {', '.join(missing)}")
    writer = _Writer(text)
    keys = list(setting.verdicts)
    first = setting.verdicts[keys[0]].point
    lesions = manifest.models[keys[0]].operating_table.holdout_lesions
    order = np.argsort(screening.predictions[keys[0]].probabilities)[::-1]
    return _template().render(
        text=text,
        say=writer.say,
        chosen=writer.chosen,
        percent=writer.percent,
        share=writer.share,
        count=writer.count,
        keys=keys,
        roles={key: text[f"role_{key}"] for key in keys},
        models={key: manifest.models[key] for key in keys},
        manifest=manifest,
        setting=setting,
        predictions=screening.predictions,
        findings=screening.findings,
        image=_data_uri(screening.image),
        maps={key: _data_uri(overlays[key]) for key in keys},
        legend=", ".join(f"rgb({r} {g} {b})" for r, g, b in COLOURS),
        counts=first.row.holdout,
        lesions=lesions,
        classes=[(int(index), CLASS_NAMES[index]) for index in order],
        melanoma=MELANOMA,
        written=written.astimezone(UTC),
        version=__version__,
    )


class _Writer:
    """Numbers and sentences as one language writes them."""

    def __init__(self, text: Mapping[str, str]) -> None:
        self._text = text

    def say(self, key: str, **values: object) -> str:
        return self._text[key].format(**values)

    def count(self, number: int) -> str:
        return f"{number:,}".replace(",", self._text["thousands_separator"])

    def chosen(self, value: float) -> str:
        """A share (0..1) that somebody chose: "95 %", "99.5 %"."""
        return self._written(f"{100 * value:.3g}") + _PERCENT

    def percent(self, value: float) -> str:
        """A probability (0..1) with more digits where it is small: "97.6 %", "0.37 %"."""
        if 0 < value < 0.0001:
            return self.say("under", value=self._written("0.01") + _PERCENT)
        if 0.9995 <= value < 1:
            return self.say("over", value=self._written("99.9") + _PERCENT)
        return self._written(f"{100 * value:.{1 if value >= 0.1 else 2}f}") + _PERCENT

    def share(self, interval: Interval) -> str:
        """A share that is defined, with its interval: "97.6 % (94.9–99.4)"; finer near 0 and 1."""
        digits = 1 if 0.01 <= interval.value <= 0.995 else 2
        value, *bounds = (
            self._written(f"{100 * part:.{digits}f}")
            for part in (interval.value, interval.low, interval.high)
            if part is not None
        )
        if not bounds:
            return value + _PERCENT
        low, high = bounds
        return f"{value}{_PERCENT} ({self.say('between', low=low, high=high)})"

    def _written(self, number: str) -> str:
        return number.replace(".", self._text["decimal_point"])


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mel_demo.pictures"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("screening_report.html")


def _data_uri(picture: np.ndarray) -> str:
    """uint8 RGB (height, width, 3) as a JPEG in a data URI, scaled down for showing."""
    written = io.BytesIO()
    Image.fromarray(shrink(picture, LONGEST_SHOWN)).save(written, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"
