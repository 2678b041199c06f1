"""The tab "Accuracy": measured rates, a thousand people, all models side by side.

Knows no Gradio, no event and no model.
"""

from collections.abc import Mapping

from markupsafe import Markup

from mel_demo.decision.prevalence import natural_frequencies, predictive_values
from mel_demo.manifest import Counts, Manifest
from mel_demo.pictures.markup import render
from mel_demo.pictures.people import people_svg
from mel_demo.texts import Texts
from mel_demo.ui.case import SHOWN_MODELS, Reading, Setting

RATES = ("sensitivity", "specificity", "ppv", "npv")


def fractions(counts: Counts) -> dict[str, tuple[int, int]]:
    """The four rates as fractions of images: (part, whole)."""
    return {
        "sensitivity": (counts.tp, counts.melanomas),
        "specificity": (counts.tn, counts.others),
        "ppv": (counts.tp, counts.tp + counts.fp),
        "npv": (counts.tn, counts.tn + counts.fn),
    }


def measured(t: Texts, readings: Mapping[str, Reading], setting: Setting) -> Markup:
    """What this setting did on the chosen images, as fractions with intervals."""
    shown = {key: readings[key] for key in SHOWN_MODELS}
    first = shown["teacher"]
    return render(
        "measured.html",
        t,
        shown=shown,
        rates=RATES,
        fractions={key: fractions(reading.counts) for key, reading in shown.items()},
        counts=first.counts,
        lesions=first.lesions,
        target=setting.looking_for,
        wanted=t.setting(setting.target),
        source=t(f"source_{setting.source}"),
    )


def people(t: Texts, readings: Mapping[str, Reading], setting: Setting) -> Markup:
    """A thousand people of a population with the set prevalence, as a picture a model."""
    shown = []
    for key in SHOWN_MODELS:
        reading = readings[key]
        rates = reading.rates
        found = natural_frequencies(
            rates.sensitivity.value, rates.specificity.value, setting.prevalence
        )
        digits = 1 if found.expected_missed >= 0.1 else 2
        shown.append(
            {
                "key": key,
                "people": found,
                "picture": Markup(people_svg(found, t, setting.looking_for)),
                "missed": t.decimal(found.expected_missed, digits),
                "values": predictive_values(rates, reading.lesions, setting.prevalence),
            }
        )
    return render("people.html", t, shown=shown)


def strip(
    t: Texts, manifest: Manifest, readings: Mapping[str, Reading], setting: Setting
) -> Markup:
    """All models at the same setting: what each yields, weighs and takes."""
    rows = {}
    for key, reading in readings.items():
        spec = manifest.models[key]
        found = spec.target(setting.looking_for).metrics.get(setting.source, {})
        values = predictive_values(reading.rates, reading.lesions, setting.prevalence)
        rows[key] = {
            "sensitivity_term": t.share(reading.rates.sensitivity),
            "specificity_term": t.share(reading.rates.specificity),
            "ppv_short": t.share(values.ppv),
            "size": t.megabytes(spec.bytes),
            "time": f"{t.decimal(spec.latency.milliseconds, 1)} ms",
            "ece_short": t.measure(found["ece"]) if "ece" in found else t("not_defined"),
        }
    return render(
        "strip.html",
        t,
        rows=rows,
        prevalence=t.setting(setting.prevalence),
        source=t(f"source_{setting.source}"),
    )
