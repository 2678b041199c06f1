"""What the evidence maps and the seven classes say, as HTML.

An image alone says nothing to a screen reader: each map has its sentence. Knows no Gradio and no
model.
"""

from collections.abc import Mapping
from html import escape

import numpy as np

from mel_demo.decision import map_trust
from mel_demo.decision.map_trust import belief
from mel_demo.manifest import CLASS_NAMES, MELANOMA, Interval, Manifest, MapOverlap, ModelSpec
from mel_demo.pictures.overlay import COLOURS
from mel_demo.screening import Prediction
from mel_demo.texts import Texts
from mel_demo.ui import words

MEASURES = ("energy_in_lesion", "pointing_game", "road")


def caption(t: Texts, spec: ModelSpec, prediction: Prediction | None, index: int) -> str:
    """One sentence on a model's map of class ``index`` (of CLASS_NAMES), and its belief."""
    role, diagnosis = t(f"role_{spec.key}"), t.inside(f"dx_{CLASS_NAMES[index]}")
    if prediction is None:
        text = t("map_waiting", diagnosis=diagnosis)
    else:
        text = _sentence(t, diagnosis, prediction.evidence[index], prediction.probabilities[index])
    return f'<p class="caption {spec.key}"><b>{role}.</b> {text}</p>'


def _sentence(t: Texts, diagnosis: str, found: np.ndarray, probability: float) -> str:
    if not found.any():
        return t("map_empty", diagnosis=diagnosis)
    strength = next(
        word
        for limit, word in ((0.5, "strong"), (0.1, "moderate"), (0.0, "faint"))
        if probability >= limit
    )
    return t(
        "map_says",
        diagnosis=diagnosis,
        place=t(f"place_{words.place(found)}"),
        part=t.percent((found > found.max() / 2).mean()),
        strength=t(f"map_{strength}"),
        probability=t.percent(probability),
    )


def legend(t: Texts) -> str:
    """The one scale of all maps, with its two ends named."""
    colours = ", ".join(f"rgb{tuple(int(part) for part in colour)}" for colour in COLOURS[::32])
    return (
        f'<p class="scale">{t("scale")} <span>{t("scale_none")}</span>'
        f'<i style="background:linear-gradient(90deg, transparent, {colours})"></i>'
        f"<span>{t('scale_most')}</span></p>"
    )


def agreement(t: Texts, found: float | None, measured: MapOverlap | None) -> str:
    """How far the two maps overlap (0..1, None where one is empty), as a number and a word."""
    if found is None:
        return f'<p class="agreement">{t("agreement_none")}</p>'
    says = t("agreement_says", overlap=t.percent(found))
    if measured is not None:
        says += " " + t(
            f"agreement_{map_trust.agreement(found, measured)}",
            usual=t.percent(measured.usual),
            chance=t.percent(measured.chance),
        )
    return f'<p class="agreement">{says}</p>'


def faithful(t: Texts, manifest: Manifest) -> str:
    """Whether the maps deserve belief, a sentence a model and measure."""
    said = "".join(
        f'<p class="caption {key}"><b>{t(f"role_{key}")}.</b> '
        + " ".join(
            t(
                f"faithful_{measure}",
                value=_measured(t, measure, spec.evidence.faithfulness.methods[served][measure]),
                belief=t(f"belief_{belief(spec.evidence.faithfulness, measure)}"),
            )
            for measure in MEASURES
        )
        + "</p>"
        for key, spec in manifest.models.items()
        if spec.evidence and spec.evidence.faithfulness
        for served in [spec.evidence.faithfulness.served]
    )
    if not said:
        return ""
    head = f'<section class="section"><h2>{t("faithful")}</h2></section>'
    return f'{head}<div class="bands">{said}</div>'


def faithfulness_table(t: Texts, manifest: Manifest) -> str:
    """All methods and baselines by every measure, a table a model."""
    tables = ""
    for key, spec in manifest.models.items():
        found = spec.evidence and spec.evidence.faithfulness
        if not found:
            continue
        heads = "".join(f'<th scope="col">{t(f"measure_{measure}")}</th>' for measure in MEASURES)
        rows = "".join(
            f'<tr><th scope="row">{escape(t.get(f"map_method_{name}", name))}</th>'
            + "".join(
                f'<td data-label="{t(f"measure_{measure}")}">'
                f"{_measured(t, measure, values[measure])}</td>"
                for measure in MEASURES
            )
            + "</tr>"
            for name, values in found.methods.items()
        )
        tables += (
            f"<h3>{t('faithful_of', role=t(f'role_{key}'), images=t.count(found.images))}</h3>"
            f'<table class="groups"><thead><tr><th scope="col">{t("map_method")}</th>{heads}</tr>'
            f"</thead><tbody>{rows}</tbody></table>"
        )
    return tables


def _measured(t: Texts, measure: str, interval: Interval) -> str:
    return t.measure(interval, 2) if measure == "road" else t.share(interval)


def differential(t: Texts, predictions: Mapping[str, Prediction] | None) -> str:
    """The seven classes, most probable first by the teacher, with both models' shares as bars."""
    if predictions is None:
        return f'<p class="muted">{t("differential_waiting")}</p>'
    first = next(iter(predictions.values()))
    order = sorted(range(len(CLASS_NAMES)), key=lambda index: -first.probabilities[index])
    rows = "".join(
        f'<tr class="{"melanoma" if index == MELANOMA else ""}">'
        f'<th scope="row">{escape(t(f"dx_{CLASS_NAMES[index]}"))}</th>'
        + "".join(
            f'<td class="{key}"><i style="width:{100 * found.probabilities[index]:.2f}%"></i>'
            f"<span>{t.percent(found.probabilities[index])}</span></td>"
            for key, found in predictions.items()
        )
        + "</tr>"
        for index in order
    )
    heads = "".join(f'<th scope="col">{t(f"role_{key}")}</th>' for key in predictions)
    return (
        f'<table class="differential"><caption class="sr">{t("differential")}</caption>'
        f'<thead><tr><th scope="col">{t("diagnosis")}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
