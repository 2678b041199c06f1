"""One screening as one HTML document to keep or print: made in memory, nothing fetched or kept.

Puts together what was computed elsewhere: a screening, its overlays, the manifest and the setting,
in the page's language. The upload's name never comes here, and its metadata not either: the picture
is encoded anew. Knows no page and no model.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mel_demo import __version__
from mel_demo.decision.prevalence import predictive_values
from mel_demo.decision.verdict import Verdict
from mel_demo.manifest import CLASS_NAMES, MELANOMA, Counts, Lesions, Manifest, Rates
from mel_demo.pictures.markup import render
from mel_demo.pictures.overlay import COLOURS
from mel_demo.texts import Texts

if TYPE_CHECKING:  # importing it for real would import onnxruntime
    from mel_demo.screening import Screening


@dataclass(frozen=True)
class Summary:
    """What the page says of the image: headline, what to do next, severity (``kind``; "none" where
    nothing is to be relied on), the verdict and the setting. ``target``, ``prevalence``: 0..1.
    ``counts``, ``rates``, ``lesions``: by model key, of the images of ``source``; the report shows
    these models in this order. ``melanomas_alone``: any skin cancer is looked for, and those images
    hold none but melanomas."""

    title: str
    following: str
    kind: str
    verdict: Verdict
    target: float
    prevalence: float
    looking_for: str
    source: str
    counts: Mapping[str, Counts]
    rates: Mapping[str, Rates]
    lesions: Mapping[str, Lesions]
    melanomas_alone: bool


def report_html(
    screening: "Screening",
    overlays: Mapping[str, Image.Image],
    manifest: Manifest,
    summary: Summary,
    written: datetime,
    t: Texts,
) -> str:
    """The document: no script, no link, no outside resource; the same for the same arguments.

    Pictures are taken as large as they are. ``overlays``: by model key, as ``overlay.overlay``
    draws them. ``written``: any time zone, shown in UTC. Everything shown is escaped, whoever wrote
    it. Every probability and measured share also stands unrounded in a ``<data value>``.

    Raises ValueError for a time without a zone; KeyError where a model was not screened.
    """
    if written.tzinfo is None:
        raise ValueError(f"{written!r} has no time zone")
    keys = list(summary.counts)
    order = np.argsort(screening.predictions[keys[0]].probabilities)[::-1]
    document = render(
        "screening_report.html",
        t,
        keys=keys,
        summary=summary,
        models={key: manifest.models[key] for key in keys},
        manifest=manifest,
        values={
            key: predictive_values(summary.rates[key], summary.lesions[key], summary.prevalence)
            for key in keys
        },
        predictions=screening.predictions,
        findings=screening.findings,
        image=_data_uri(Image.fromarray(screening.image)),
        maps={key: _data_uri(overlays[key]) for key in keys},
        colours=COLOURS,
        classes=[(int(index), CLASS_NAMES[index]) for index in order],
        melanoma=MELANOMA,
        written=written.astimezone(UTC),
        version=__version__,
    )
    return str(document)


def _data_uri(picture: Image.Image) -> str:
    """A JPEG in a data URI."""
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"
