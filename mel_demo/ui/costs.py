"""What a setting costs, as HTML: measured rates, a thousand people, all models side by side.

Knows no Gradio, no event and no model.
"""

from collections.abc import Mapping

from mel_demo.decision.operating_point import OperatingPoint
from mel_demo.decision.prevalence import natural_frequencies, predictive_values
from mel_demo.manifest import Manifest, ModelSpec
from mel_demo.pictures.people import people_svg
from mel_demo.texts import Texts
from mel_demo.ui import words

RATES = ("sensitivity", "specificity", "ppv", "npv")


def measured(t: Texts, manifest: Manifest, points: Mapping[str, OperatingPoint]) -> str:
    """What this setting measured on holdout, as fractions with intervals, and what chose it."""
    first = next(iter(points.values()))
    lesions = manifest.models[next(iter(points))].operating_table.holdout_lesions
    counts = first.row.holdout
    heads = "".join(f'<th scope="col">{t(f"role_{key}")}</th>' for key in points)
    rows = "".join(
        f'<tr data-rate="{name}"><th scope="row">{t(name)} <small>{t(f"{name}_term")}</small></th>'
        + "".join(
            f'<td class="{key}" data-label="{t(f"role_{key}")}"><b>{_of(t, point, name)}</b>'
            f"<small>{t.share(getattr(point.row.holdout_rates, name))}</small></td>"
            for key, point in points.items()
        )
        + "</tr>"
        for name in RATES
    )
    caption = t(
        "measured_caption",
        target=t.setting(first.target_sensitivity),
        images=t.count(counts.images),
        lesions=t.count(lesions.melanoma + lesions.other),
        melanomas=t.count(counts.melanomas),
        melanoma_lesions=t.count(lesions.melanoma),
    )
    chosen = " ".join(_chosen(t, key, point) for key, point in points.items())
    return f"""
<table class="measured">
  <caption>{caption}</caption>
  <thead><tr><th scope="col">{t("measured_on_holdout")}</th>{heads}</tr></thead>
  <tbody>{rows}</tbody>
</table>
<p class="muted">{t("measured_note")} {chosen}</p>"""


def _of(t: Texts, point: OperatingPoint, name: str) -> str:
    part, whole = words.fractions(point.row.holdout)[name]
    return t("of", part=t.count(part), whole=t.count(whole))


def _chosen(t: Texts, key: str, point: OperatingPoint) -> str:
    counts = point.row.validation
    return t(
        "chosen",
        role=t(f"role_{key}"),
        threshold=t.percent(point.threshold),
        caught=counts.tp,
        melanomas=counts.melanomas,
    )


def people(
    t: Texts, manifest: Manifest, points: Mapping[str, OperatingPoint], prevalence: float
) -> str:
    """A thousand people of a population with this prevalence (0..1), as a picture a model."""
    parts = "".join(
        _people(t, manifest.models[key], point, prevalence) for key, point in points.items()
    )
    return f'<div class="people">{parts}</div><p class="muted">{t("people_note")}</p>'


def _people(t: Texts, spec: ModelSpec, point: OperatingPoint, prevalence: float) -> str:
    key, rates = spec.key, point.row.holdout_rates
    found = natural_frequencies(rates.sensitivity.value, rates.specificity.value, prevalence)
    values = predictive_values(rates, spec.operating_table.holdout_lesions, prevalence)
    expected = ""
    if not found.missed:
        number = t.decimal(found.expected_missed, 1 if found.expected_missed >= 0.1 else 2)
        expected = f'<p class="small">{t("people_expected", number=number)}</p>'
    says = t("people_says", referred=t.count(found.referred), found=t.count(found.found))
    return f"""
<figure class="{key}" data-model="{key}">
  <figcaption><h3>{t(f"role_{key}")}</h3><p>{says}</p></figcaption>
  {people_svg(found, t.starting("figure_"))}
  {expected}
  <p class="small">{t("ppv_term")}: <b data-value="ppv">{t.share(values.ppv)}</b></p>
  <p class="small">{t("npv_term")}: <b data-value="npv">{t.share(values.npv)}</b></p>
</figure>"""


def strip(
    t: Texts, manifest: Manifest, points: Mapping[str, OperatingPoint], prevalence: float
) -> str:
    """All models at the same target sensitivity: what each yields, weighs and takes."""
    heads = "".join(
        f'<th scope="col">{t(name)}</th>'
        for name in ("model", "sensitivity_term", "specificity_term", "ppv_short", "size", "time")
    )
    rows = ""
    for key, point in points.items():
        spec, rates = manifest.models[key], point.row.holdout_rates
        values = predictive_values(rates, spec.operating_table.holdout_lesions, prevalence)
        cells = {
            "sensitivity": t.share(rates.sensitivity),
            "specificity": t.share(rates.specificity),
            "ppv": t.share(values.ppv),
            "size": f"{t.decimal(spec.bytes / 1e6, 1)} MB",
            "time": f"{t.decimal(spec.latency.milliseconds, 1)} ms",
            "ece": t.measure(spec.metrics["holdout"]["ece"]),
        }
        row = "".join(
            f'<td data-cell="{name}" data-label="{t(_HEAD[name])}">{text}</td>'
            for name, text in cells.items()
        )
        rows += f'<tr class="{key}"><th scope="row">{t(f"role_{key}")}</th>{row}</tr>'
    return f"""
<table class="strip">
  <thead><tr>{heads}<th scope="col">{t("ece_short")}</th></tr></thead><tbody>{rows}</tbody>
</table>
<p class="muted">{t("strip_note", prevalence=t.setting(prevalence))}</p>"""


_HEAD = {
    "sensitivity": "sensitivity_term",
    "specificity": "specificity_term",
    "ppv": "ppv_short",
    "size": "size",
    "time": "time",
    "ece": "ece_short",
}
