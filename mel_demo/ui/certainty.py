"""The tab "How sure": where the image lies, what is a close call, and where melanomas and other
lesions overlap, with what was measured of that.

Knows no Gradio, no event and no model.
"""

from collections.abc import Mapping

from markupsafe import Markup

from mel_demo.decision import conformal
from mel_demo.decision.verdict import Verdict, close_calls
from mel_demo.manifest import Manifest, Scores
from mel_demo.pictures.markup import render
from mel_demo.pictures.score_figure import heaps, score_svg
from mel_demo.texts import Texts
from mel_demo.ui.case import SHOWN_MODELS, Reading, Setting


def overlaps(
    t: Texts,
    manifest: Manifest,
    readings: Mapping[str, Reading],
    setting: Setting,
    verdict: Verdict | None,
) -> Markup:
    """A large score plot a model with its conformal band, what that promises, and what it did where
    the images' scores were measured."""
    shown = []
    for key in SHOWN_MODELS:
        point, evidence = readings[key].point, readings[key].evidence
        heap = heaps(evidence, "holdout")
        if evidence is None or heap is None:
            continue
        band = conformal.band(evidence.conformal, point.target_sensitivity, point.threshold)
        close = close_calls(point.threshold)
        scores = (evidence.scores or {}).get("holdout")
        probability = verdict.calls[key].probability if verdict else None
        shown.append(
            {
                "key": key,
                "close": close,
                "share_close": scores and _share(scores, close),
                "band": band,
                "counts": scores and conformal.measured(scores, band),
                "plot": score_svg(
                    t,
                    key,
                    heap,
                    point.threshold,
                    probability,
                    setting.looking_for,
                    (band.low, band.high),
                ),
            }
        )
    return render("overlaps.html", t, shown=shown)


def _share(scores: Scores, edges: tuple[float, float]) -> float:
    """Of the images between two probabilities, 0..1."""
    measured = (*scores.positive, *scores.negative)
    return sum(edges[0] <= score <= edges[1] for score in measured) / len(measured)
