"""The tab "Why": what the evidence maps and the seven classes say.

An image alone says nothing to a screen reader: each map has its sentence. Knows no Gradio and no
model.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from markupsafe import Markup

from mel_demo.decision import map_trust
from mel_demo.decision.map_trust import belief
from mel_demo.inference import Prediction
from mel_demo.manifest import (
    CLASS_NAMES,
    TARGETS,
    Faithfulness,
    Interval,
    Manifest,
    MapOverlap,
)
from mel_demo.pictures.markup import render
from mel_demo.pictures.overlay import COLOURS, LEVELS, coverage, evidence_strength
from mel_demo.texts import Texts
from mel_demo.ui.case import SHOWN_MODELS

MEASURES = ("energy_in_lesion", "pointing_game", "road")
_ROWS = ("upper", "", "lower")
_COLUMNS = ("left", "", "right")


def captions(t: Texts, predictions: Mapping[str, Prediction] | None, index: int) -> Markup:
    """A sentence on each model's map of class ``index`` (of CLASS_NAMES)."""
    diagnosis = t.inside(f"dx_{CLASS_NAMES[index]}")
    said = {
        key: t("map_waiting", diagnosis=diagnosis)
        if predictions is None
        else _sentence(
            t,
            diagnosis,
            predictions[key].evidence[index],
            predictions[key].probabilities[index],
        )
        for key in SHOWN_MODELS
    }
    return render("captions.html", t, said=said)


def place(evidence: np.ndarray) -> str:
    """Where in the judged square a map (h, w) is strongest: "upper_left", "left", "centre"."""
    height, width = evidence.shape
    row, column = divmod(int(evidence.argmax()), width)
    named = (_ROWS[row * 3 // height], _COLUMNS[column * 3 // width])
    return "_".join(filter(None, named)) or "centre"


def _sentence(t: Texts, diagnosis: str, found: np.ndarray, probability: float) -> str:
    bands, part = coverage(found, evidence_strength(probability))
    said = {"diagnosis": diagnosis, "probability": t.percent(probability)}
    if not bands:
        return t("map_calm" if found.any() else "map_empty", **said)
    return t(
        "map_says",
        place=t(f"place_{place(found)}"),
        part=t.percent(part),
        bands=bands,
        most=len(LEVELS),
        **said,
    )


def legend(t: Texts) -> Markup:
    """The one scale of all maps, with its two ends named."""
    return render("scale.html", t, colours=COLOURS)


def agreement(t: Texts, found: float | None, measured: MapOverlap | None) -> Markup:
    """How far the two maps overlap (0..1, None where one is empty), as a number and a word."""
    if found is None:
        return render("agreement.html", t, says=t("agreement_none"))
    says = t("agreement_says", overlap=t.percent(found))
    if measured is not None:
        says += " " + t(
            f"agreement_{map_trust.agreement(found, measured)}",
            usual=t.percent(measured.usual),
            chance=t.percent(measured.chance),
        )
    return render("agreement.html", t, says=says)


def faithful(t: Texts, manifest: Manifest) -> Markup:
    """Whether the maps deserve belief, a sentence a model and measure."""
    shown = {}
    for key, found in _explained(manifest):
        served = found.methods[found.served]
        shown[key] = [
            (name, _measured(t, name, served[name]), belief(found, name)) for name in MEASURES
        ]
    return render("faithful.html", t, shown=shown)


def faithfulness_table(t: Texts, manifest: Manifest) -> Markup:
    """All methods and baselines by every measure, a table a model."""
    tables = {}
    for key, found in _explained(manifest):
        rows = {
            t.get(f"map_method_{name}", name): [
                _measured(t, measure, values[measure]) for measure in MEASURES
            ]
            for name, values in found.methods.items()
        }
        tables[key] = found.images, rows
    return render("faithfulness.html", t, tables=tables, measures=MEASURES)


def _explained(manifest: Manifest) -> Iterator[tuple[str, Faithfulness]]:
    """Of the models whose maps the page draws: the INT8 file's were measured by masks alone."""
    for key in SHOWN_MODELS:
        evidence = manifest.models[key].evidence
        if evidence and evidence.faithfulness:
            yield key, evidence.faithfulness


def _measured(t: Texts, measure: str, interval: Interval) -> str:
    return t.measure(interval, 2) if measure == "road" else t.share(interval)


def differential(t: Texts, predictions: Mapping[str, Prediction] | None) -> Markup:
    """The seven classes, most probable first by the teacher, with both models' shares as bars."""
    order: list[int] = []
    if predictions is not None:
        first = predictions["teacher"].probabilities
        order = sorted(range(len(CLASS_NAMES)), key=lambda index: -first[index])
    return render(
        "differential.html",
        t,
        rows=[
            (index, f"dx_{CLASS_NAMES[index]}", index in TARGETS["skin_cancer"]) for index in order
        ],
        predictions={key: predictions[key] for key in SHOWN_MODELS} if predictions else {},
    )
