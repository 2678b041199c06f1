"""The tab "How sure": where the image lies, and what the band of close calls was measured to do.

Knows no Gradio, no event and no model.
"""

from collections.abc import Mapping

from markupsafe import Markup

from mel_demo.decision import conformal
from mel_demo.decision.verdict import Verdict
from mel_demo.manifest import Manifest
from mel_demo.pictures.markup import render
from mel_demo.pictures.score_figure import heaps, score_svg
from mel_demo.texts import Texts
from mel_demo.ui.case import SHOWN_MODELS, Reading, Setting


def close_calls(
    t: Texts,
    manifest: Manifest,
    readings: Mapping[str, Reading],
    setting: Setting,
    verdict: Verdict | None,
) -> Markup:
    """A large score plot a model with its band, and what that band promises and did."""
    shown = []
    for key in SHOWN_MODELS:
        reading = readings[key]
        heap = heaps(reading.evidence, "holdout")
        if reading.band is None or heap is None:
            continue
        band = reading.band
        table = manifest.models[key].target(setting.looking_for).operating_table
        probability = verdict.calls[key].probability if verdict else None
        shown.append(
            {
                "key": key,
                "band": band,
                "counts": conformal.measured(table, band),
                "plot": score_svg(
                    t,
                    key,
                    heap,
                    reading.point.threshold,
                    probability,
                    setting.looking_for,
                    (band.low, band.high),
                ),
            }
        )
    return render("close_calls.html", t, shown=shown)
