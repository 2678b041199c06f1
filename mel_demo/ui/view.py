"""What each part of the page shows, by the part's name: a screening and a setting in, values out.

``of_setting`` is what every control redraws, whatever the image; ``of_verdict`` what a setting and
an image say together; ``of_image`` what an image and the chosen diagnosis redraw; ``of_language``
what stays until the page is loaded anew. None runs a model. Knows no component and no event.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mel_demo.decision.map_trust import overlap
from mel_demo.decision.verdict import Verdict
from mel_demo.pictures import figures, report
from mel_demo.screening import Screener
from mel_demo.texts import Texts
from mel_demo.ui import case, certainty, costs, drawings, evidence, groups, verdict
from mel_demo.ui.about import about
from mel_demo.ui.case import SHOWN_MODELS, Judged, Reading, Setting

SECTIONS = (
    *("costs", "roc-section", "people", "strip", "evidence", "differential", "certainty"),
    *("reliability", "decision", "groups"),
)
"""Parts that are a heading and a sentence, ``verdict.section``."""


def of_verdict(
    t: Texts, screener: Screener, judged: Judged | None, setting: Setting
) -> dict[str, Any]:
    """The answer at a setting; without an image the hero is left as it is."""
    readings = case.read(screener, setting)
    found = _verdict(judged, readings, setting)
    parts: dict[str, Any] = {}
    if judged is not None and found is not None:
        parts["hero"] = verdict.hero(t, judged, found)
    spoken = None if judged is None or judged.silent else found
    return parts | {
        "cards": verdict.cards(t, screener, readings, setting, judged, found),
        "bands": certainty.overlaps(t, screener.manifest, readings, setting, spoken),
    }


def of_setting(t: Texts, screener: Screener, setting: Setting) -> dict[str, Any]:
    """What the setting costs, whatever the image."""
    manifest = screener.manifest
    readings = case.read(screener, setting)
    tables = {
        key: manifest.models[key].target(setting.looking_for).operating_table
        for key in SHOWN_MODELS
    }
    points = {key: readings[key].point for key in SHOWN_MODELS}
    return {
        "price": verdict.price(t, readings, setting),
        "measured": costs.measured(t, readings, setting),
        "roc": figures.roc_figure(t, tables, points, setting.looking_for, setting.source),
        "crowds": costs.people(t, readings, setting),
        "table": costs.strip(t, manifest, readings, setting),
        **_curves(t, screener, setting),
    }


def _verdict(
    judged: Judged | None, readings: dict[str, Reading], setting: Setting
) -> Verdict | None:
    if judged is None:
        return None
    return case.decide(judged.screening, readings, setting, judged.silent)


def _curves(t: Texts, screener: Screener, setting: Setting) -> dict[str, Any]:
    measured = {
        key: found
        for key in SHOWN_MODELS
        for found in [screener.manifest.models[key].target(setting.looking_for).evidence]
        if found is not None
    }
    if not measured:
        return {}
    return {
        "reliability-plot": figures.reliability_figure(
            t, {key: found.reliability for key, found in measured.items()}
        ),
        "decision-plot": figures.decision_figure(
            t, {key: found.net_benefit for key, found in measured.items()}
        ),
    }


def of_image(
    t: Texts, screener: Screener, judged: Judged | None, setting: Setting
) -> dict[str, Any]:
    """Pictures, maps of the chosen diagnosis, and diagnoses of an image."""
    if judged is None or judged.silent:
        return {
            "preview": "" if judged is None else verdict.preview(judged),
            "pictures": "",
            "maps": "",
            "captions": evidence.captions(t, None, setting.index),
            "agreement": "",
            "classes": evidence.differential(t, None),
        }
    predictions = judged.screening.predictions
    indices = dict.fromkeys(SHOWN_MODELS, setting.index)
    found = overlap(*(predictions[key].evidence[setting.index] for key in SHOWN_MODELS))
    shown = verdict.Pictures(screener, judged)
    return {
        "preview": "",
        "pictures": verdict.pictures(t, shown, setting),
        "maps": verdict.drawn(t, shown, indices),
        "captions": evidence.captions(t, predictions, setting.index),
        "agreement": evidence.agreement(t, found, screener.manifest.map_overlap),
        "classes": evidence.differential(t, predictions),
    }


def of_language(t: Texts, screener: Screener) -> dict[str, Any]:
    """What depends on the reader's language alone."""
    manifest = screener.manifest
    parts: dict[str, Any] = {
        name: verdict.section(t, name.removesuffix("-section")) for name in SECTIONS
    }
    return parts | {
        "header": verdict.header(t),
        "legend": evidence.legend(t),
        "faithful": evidence.faithful(t, manifest),
        "subgroups": groups.groups(t, manifest),
        "footer": verdict.footer(t, manifest, screener.origins),
        "examples": drawings.strip(t),
        "about": about(t, manifest) + evidence.faithfulness_table(t, manifest),
    }


def report_of(t: Texts, screener: Screener, judged: Judged, setting: Setting) -> str:
    """The screening as one HTML document, see ``pictures.report``."""
    readings = case.read(screener, setting)
    found = case.decide(judged.screening, readings, setting, judged.silent)
    if judged.silent:
        title, following, kind = t("refused_title"), t("refused_more"), "none"
    else:
        title, following, kind = verdict.headline(t, found)
    if judged.insisted:
        title, following, kind = t("insisted_title"), f"{t('insisted_more')} {title}.", "none"
    return report.report_html(
        replace(judged.screening, image=judged.image),
        case.draw_overlays(screener, judged),
        screener.manifest,
        report.Summary(
            title=title,
            following=following,
            kind=kind,
            verdict=found,
            target=setting.target,
            prevalence=setting.prevalence,
            looking_for=setting.looking_for,
            source=setting.source,
            counts={key: readings[key].counts for key in SHOWN_MODELS},
            rates={key: readings[key].rates for key in SHOWN_MODELS},
            lesions={key: readings[key].lesions for key in SHOWN_MODELS},
            melanomas_alone=readings["teacher"].melanomas_alone,
        ),
        datetime.now(UTC),
        t,
    )
