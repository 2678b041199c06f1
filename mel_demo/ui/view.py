"""What each part of the page shows, by the part's name: a screening and a setting in, values out.

``of_setting`` is what the slider and the prevalence redraw and runs no model, ``of_image`` what an
image and the chosen diagnosis redraw, ``of_language`` what stays until the page is loaded anew.
Knows no component and no event.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mel_demo.decision.map_trust import overlap
from mel_demo.decision.operating_point import DEFAULT_TARGET, OperatingPoint
from mel_demo.decision.prevalence import DEFAULT_PREVALENCE, predictive_values
from mel_demo.manifest import MELANOMA, MODEL_KEYS
from mel_demo.pictures import figures, report
from mel_demo.pictures.score_figure import histogram_figure
from mel_demo.screening import Screener
from mel_demo.texts import Texts, catalogue
from mel_demo.ui import case, certainty, costs, evidence, groups, verdict
from mel_demo.ui.about import about
from mel_demo.ui.case import Judged

EXAMPLES = tuple(
    Path(__file__).with_name("examples") / f"{key.removeprefix('drawing_')}.jpg"
    for key in catalogue("en")
    if key.startswith("drawing_")
)
"""Drawings to try the page with, by the painter in docs/, in the order to show them."""
SHOWN_MODELS = ("teacher", "student")
"""The models set side by side; the others stand in the strip."""
SECTIONS = ("costs", "people", "strip", "evidence", "differential", "certainty")
SECTIONS += ("reliability", "decision", "groups")
"""Parts that are a heading and a sentence, ``verdict.section``."""


@dataclass(frozen=True)
class Setting:
    """What the person has set: target sensitivity and prevalence (0..1), the diagnosis whose
    evidence is drawn (index into CLASS_NAMES)."""

    target: float = DEFAULT_TARGET
    prevalence: float = DEFAULT_PREVALENCE
    index: int = MELANOMA


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a value a model, those the page sets side by side."""
    return {key: values[key] for key in SHOWN_MODELS if key in values}


def of_setting(
    t: Texts, screener: Screener, judged: Judged | None, setting: Setting
) -> dict[str, Any]:
    """All that depends on the setting; without an image the status is left as it is."""
    manifest = screener.manifest
    points = case.choose_points(screener, setting.target)
    pair = shown(points)
    parts: dict[str, Any] = {}
    if judged is None:
        parts["cards"] = verdict.cards(t, manifest, pair)
    elif judged.silent:
        parts["status"] = verdict.refused(t, judged.screening.findings)
        parts["cards"] = verdict.cards(t, manifest, pair)
    else:
        screening = judged.screening
        verdicts = case.decide(screener, screening, points)
        parts["status"] = verdict.status(
            t, verdicts, screening.findings, judged.milliseconds, judged.insisted
        )
        parts["cards"] = verdict.cards(t, manifest, pair, screening.predictions, verdicts)
    return parts | {
        "measured": costs.measured(t, manifest, pair),
        "roc": figures.roc_figure(manifest, pair, names(t), t.starting("figure_")),
        "crowds": costs.people(t, manifest, pair, setting.prevalence),
        "table": costs.strip(t, manifest, points, setting.prevalence),
        **_certainty(t, screener, judged, pair),
    }


def _certainty(
    t: Texts, screener: Screener, judged: Judged | None, points: Mapping[str, OperatingPoint]
) -> dict[str, Any]:
    bands = case.bands(screener, points)
    parts: dict[str, Any] = {"bands": certainty.bands(t, screener.manifest, bands)}
    for key, point in points.items():
        evidence = screener.manifest.models[key].evidence
        if evidence is None:
            continue
        probability = None
        if judged is not None and not judged.silent:
            probability = judged.screening.predictions[key].melanoma_probability
        parts[f"histogram-{key}"] = histogram_figure(
            evidence.distribution,
            point.threshold,
            probability,
            bands[key],
            key,
            t.starting("figure_"),
        )
    return parts


def of_image(
    t: Texts,
    screener: Screener,
    judged: Judged | None,
    setting: Setting,
    drawn: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Maps and diagnoses of an image; ``drawn``: its maps where they are drawn already."""
    specs = [screener.manifest.models[key] for key in SHOWN_MODELS]
    if judged is None or judged.silent:
        empty = {f"map-{key}": None for key in SHOWN_MODELS}
        empty |= {f"caption-{s.key}": evidence.caption(t, s, None, setting.index) for s in specs}
        return empty | {"agreement": "", "classes": evidence.differential(t, None)}
    predictions = judged.screening.predictions
    drawn = drawn or case.draw_maps(screener, judged, setting.index)
    image = judged.image
    parts: dict[str, Any] = {f"map-{key}": (image, drawn[key]) for key in SHOWN_MODELS}
    for spec in specs:
        parts[f"caption-{spec.key}"] = evidence.caption(
            t, spec, predictions[spec.key], setting.index
        )
    found = overlap(*(predictions[key].evidence[setting.index] for key in SHOWN_MODELS))
    return parts | {
        "agreement": evidence.agreement(t, found, screener.manifest.map_overlap),
        "classes": evidence.differential(t, shown(predictions)),
    }


def of_language(t: Texts, screener: Screener) -> dict[str, Any]:
    """What depends on the reader's language alone."""
    manifest = screener.manifest
    parts: dict[str, Any] = {name: verdict.section(t, name) for name in SECTIONS}
    measured = {
        key: manifest.models[key].evidence
        for key in SHOWN_MODELS
        if manifest.models[key].evidence is not None
    }
    if measured:
        parts["reliability-plot"] = figures.reliability_figure(
            {key: found.reliability for key, found in measured.items()},
            names(t),
            t.starting("figure_"),
        )
        parts["decision-plot"] = figures.decision_curve_figure(
            {key: found.net_benefit for key, found in measured.items()},
            names(t),
            t.starting("figure_"),
        )
    return parts | {
        "header": verdict.header(t),
        "roc-intro": f'<p class="muted">{t("roc_intro")} {t("roc_note")}</p>',
        "legend": evidence.legend(t),
        "faithful": evidence.faithful(t, manifest),
        "subgroups": groups.groups(t, manifest),
        "footer": verdict.footer(t, manifest, screener.origins),
        "drawings": json.dumps([t(f"drawing_{path.stem}") for path in EXAMPLES]),
        "about": about(t, manifest) + evidence.faithfulness_table(t, manifest),
    }


def report_of(t: Texts, screener: Screener, judged: Judged, setting: Setting) -> str:
    """The screening as one HTML document, see ``pictures.report``."""
    manifest = screener.manifest
    points = case.choose_points(screener, setting.target)
    verdicts = {}
    for key, outcome in case.decide(screener, judged.screening, points).items():
        rates = points[key].row.holdout_rates
        lesions = manifest.models[key].operating_table.holdout_lesions
        values = predictive_values(rates, lesions, setting.prevalence)
        verdicts[key] = report.Verdict(
            kind=outcome.outcome.value,
            decision=t(f"verdict_{outcome.outcome}"),
            point=points[key],
            ppv=values.ppv,
            npv=values.npv,
            uncertain=None if outcome.band is None else (outcome.band.low, outcome.band.high),
        )
    return report.report_html(
        replace(judged.screening, image=judged.image),
        case.draw_maps(screener, judged, MELANOMA),
        manifest,
        report.Setting(setting.target, setting.prevalence, shown(verdicts)),
        datetime.now(UTC),
        t.starting("report_"),
    )


def names(t: Texts) -> dict[str, str]:
    """What to call each model."""
    return {key: t(f"role_{key}") for key in MODEL_KEYS}
