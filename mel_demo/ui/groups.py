"""The tab "For whom": for whom the models were measured, and for whom not, from the manifest.

Knows no Gradio and no event.
"""

from typing import Any

from markupsafe import Markup

from mel_demo.manifest import Manifest, Subgroup
from mel_demo.pictures.markup import render
from mel_demo.texts import Texts
from mel_demo.ui.case import SHOWN_MODELS

_PLAIN = ("groups_skin", "groups_diagnoses", "groups_phone", "groups_rare")


def groups(t: Texts, manifest: Manifest) -> Markup:
    """Where it fails in a sentence, then a table for each way of dividing the holdout images."""
    measured = {
        key: spec.evidence.subgroups
        for key in SHOWN_MODELS
        for spec in [manifest.models[key]]
        if spec.evidence is not None
    }
    tables = {
        name: [
            (group, {key: found[name][place] for key, found in measured.items()})
            for place, group in enumerate(parts)
        ]
        for name, parts in next(iter(measured.values()), {}).items()
    }
    return render(
        "groups.html", t, plain=_PLAIN, tables=tables, keys=list(measured), fails=_fails(measured)
    )


def _fails(measured: dict[str, dict[str, tuple[Subgroup, ...]]]) -> dict | None:
    """The way of dividing along which the student's specificity differs most."""
    best: dict[str, Any] | None = None
    for name, parts in measured.get("student", {}).items():
        # Specificity needs others, not melanomas: few melanomas do not make it unsure.
        known = [
            part
            for part in parts
            if part.specificity.value is not None and part.images - part.melanomas >= 30
        ]
        if len(known) < 2:
            continue
        low, high = (f(known, key=lambda part: part.specificity.value) for f in (min, max))
        spread = high.specificity.value - low.specificity.value
        if spread > 0.1 and (best is None or spread > best["spread"]):
            best = {"by": name, "low": low, "high": high, "spread": spread}
    return best
