"""The page's text panels as HTML: functions of a screening, an operating point and the manifest.

Everything a picture shows also stands here in words. Knows no Gradio, no event and no model.
"""

from collections.abc import Iterable, Mapping
from html import escape

from mel_demo.manifest import CLASS_NAMES, MELANOMA, Manifest, ModelSpec
from mel_demo.operating_point import Decision, OperatingPoint
from mel_demo.screening import Finding, Prediction
from mel_demo.ui import words

HEADER = """
<header class="intro">
  <h1>Melanoma screening, teacher and student</h1>
  <p>Two neural networks judge one dermoscopy image: a large <b>teacher</b> and the small
  <b>student</b> that learned from it.</p>
  <p class="notice" role="note"><b>Research demonstration, not a medical device.</b> It can be
  wrong either way. If a spot worries you, see a dermatologist, whatever this page says.</p>
</header>
"""
ROC_INTRO = """
<p class="muted">Every possible setting (ROC on holdout). Up is better: more melanomas caught; left
is better: fewer false alarms. Marks: the chosen setting; whiskers: its 95 % intervals.</p>
"""
_RATES = {
    "sensitivity": ("Melanomas caught", "sensitivity"),
    "specificity": ("Other lesions rightly left alone", "specificity"),
    "ppv": ("Referrals that were melanoma", "PPV, positive predictive value"),
    "npv": ("Lesions left alone that were not melanoma", "NPV, negative predictive value"),
}


def waiting() -> str:
    """The status line before there is an image."""
    return _status("waiting", "No image yet", "Add one to see what both models make of it.")


def problem(message: str) -> str:
    """The status line where the upload cannot be judged."""
    return _status("problem", "This file cannot be judged", message, role="alert")


def status(
    decisions: Mapping[str, Decision], findings: Iterable[Finding], milliseconds: float
) -> str:
    """First of all whether the models agree, then what about the image itself gives pause."""
    referring = [words.ROLES[key].lower() for key, found in decisions.items() if found.refer]
    clearing = [words.ROLES[key].lower() for key, found in decisions.items() if not found.refer]
    if referring and clearing:
        kind, title = "disagree", "The models disagree"
        text = (
            f"The {' and the '.join(referring)} would refer this lesion, the "
            f"{' and the '.join(clearing)} would not. Treat it as undecided: a person should look."
        )
    elif referring:
        kind, title = "refer", "Both models would refer this lesion"
        text = "A referral is not a diagnosis: most referred lesions are harmless."
    else:
        kind, title = "clear", "Neither model would refer this lesion at this setting"
        text = "That does not rule out melanoma."
    notes = "".join(
        f'<p class="finding {finding.severity}"><b>About this image:</b> {escape(finding.text)}</p>'
        for finding in findings
    )
    timing = f'<p class="timing">Judged in {milliseconds:.0f} ms on the server.</p>'
    return _status(kind, title, text, more=notes + timing)


def _status(kind: str, title: str, text: str, role: str = "status", more: str = "") -> str:
    return (
        f'<section class="status {kind}" role="{role}" aria-live="polite"><h2>{escape(title)}</h2>'
        f"<p>{escape(text)}</p>{more}</section>"
    )


def verdicts(
    manifest: Manifest,
    points: Mapping[str, OperatingPoint],
    predictions: Mapping[str, Prediction] | None = None,
    decisions: Mapping[str, Decision] | None = None,
) -> str:
    """One card a model: its decision in words, its melanoma probability, threshold, size, time.

    Without ``predictions`` the cards say what will stand there, at the same height.
    """
    cards = "".join(
        _card(
            manifest.models[key],
            point,
            predictions[key] if predictions else None,
            decisions[key] if decisions else None,
        )
        for key, point in points.items()
    )
    return f'<div class="cards">{cards}</div>'


def _card(
    spec: ModelSpec,
    point: OperatingPoint,
    prediction: Prediction | None,
    decision: Decision | None,
) -> str:
    threshold = point.threshold
    if prediction is None or decision is None:
        kind, verdict, value, width, speed = "empty", "Waiting for an image", "–", 0.0, ""
    else:
        kind = "refer" if decision.refer else "clear"
        verdict = words.REFER if decision.refer else words.NO_REFERRAL
        value, width = words.percent(decision.melanoma_probability), decision.melanoma_probability
        speed = f" · {prediction.milliseconds:.0f} ms"
    return f"""
<article class="card {spec.key} {kind}" aria-label="{words.ROLES[spec.key]}">
  <h3>{words.ROLES[spec.key]} <small>{escape(words.architecture(spec))}</small></h3>
  <p class="verdict"><span class="mark" aria-hidden="true"></span>{verdict}</p>
  <p class="probability"><b>{value}</b> melanoma probability</p>
  <div class="gauge" aria-hidden="true"><i style="width:{100 * width:.2f}%"></i>
    <u style="left:{100 * threshold:.2f}%"></u></div>
  <p class="small">refers from {words.percent(threshold)}</p>
  <p class="small">{spec.bytes / 1e6:.1f} MB{speed}</p>
</article>"""


def evidence(spec: ModelSpec, prediction: Prediction | None) -> str:
    """One sentence on a model's evidence map: an image alone says nothing to a screen reader."""
    role = words.ROLES[spec.key]
    if prediction is None:
        return _caption(spec.key, f"<b>{role}.</b> The map of what spoke for melanoma comes here.")
    found = prediction.melanoma_evidence
    if not found.any():
        text = "Nothing in the image spoke for melanoma: the map is empty."
    else:
        probability = prediction.melanoma_probability
        strength = next(
            word
            for limit, word in ((0.5, "strong"), (0.1, "moderate"), (0.0, "faint"))
            if probability >= limit
        )
        part = (found > found.max() / 2).mean()
        text = (
            f"What spoke for melanoma is strongest at the {words.place(found)} of the judged part "
            f"and covers about {words.percent(part)} of it. It is drawn {strength}, as the "
            f"probability is {words.percent(probability)}."
        )
    return _caption(spec.key, f"<b>{role}.</b> {text}")


def _caption(key: str, inner: str) -> str:
    return f'<p class="caption {key}">{inner}</p>'


def differential(predictions: Mapping[str, Prediction] | None) -> str:
    """The seven classes, most probable first by the teacher, with both models' shares as bars."""
    if predictions is None:
        return (
            '<p class="muted">The seven diagnoses the models know come here, with their shares.</p>'
        )
    first = next(iter(predictions.values()))
    order = sorted(range(len(CLASS_NAMES)), key=lambda index: -first.probabilities[index])
    rows = "".join(
        f'<tr class="{"melanoma" if index == MELANOMA else ""}">'
        f'<th scope="row">{escape(words.DIAGNOSES[CLASS_NAMES[index]])}</th>'
        + "".join(
            f'<td class="{key}"><i style="width:{100 * found.probabilities[index]:.2f}%"></i>'
            f"<span>{words.percent(found.probabilities[index])}</span></td>"
            for key, found in predictions.items()
        )
        + "</tr>"
        for index in order
    )
    heads = "".join(f'<th scope="col">{words.ROLES[key]}</th>' for key in predictions)
    return (
        '<table class="differential"><caption class="sr">Share of each diagnosis</caption>'
        f'<thead><tr><th scope="col">Diagnosis</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def measured(manifest: Manifest, points: Mapping[str, OperatingPoint]) -> str:
    """What this setting measured on holdout, as fractions with intervals, and what chose it."""
    first = next(iter(points.values()))
    lesions = manifest.models[next(iter(points))].operating_table.holdout_lesions
    counts = first.row.holdout
    heads = "".join(f'<th scope="col">{words.ROLES[key]}</th>' for key in points)
    rows = "".join(
        f'<tr data-rate="{name}"><th scope="row">{plain} <small>{term}</small></th>'
        + "".join(
            f'<td class="{key}" data-label="{words.ROLES[key]}"><b>{_of(point, name)}</b>'
            f"<small>{words.share(getattr(point.row.holdout_rates, name))}</small></td>"
            for key, point in points.items()
        )
        + "</tr>"
        for name, (plain, term) in _RATES.items()
    )
    chosen = " ".join(
        f"{words.ROLES[key]}: threshold {words.percent(point.threshold)}, which caught "
        f"{point.row.validation.tp} of {point.row.validation.melanomas} validation melanomas."
        for key, point in points.items()
    )
    return f"""
<table class="measured">
  <caption>Set to catch <b>{words.target(first.target_sensitivity)}</b> of melanomas, the models did
  this on {counts.images:,} images of {lesions.melanoma + lesions.other:,} lesions that no training
  saw ({counts.melanomas} images show a melanoma, of {lesions.melanoma} lesions):</caption>
  <thead><tr><th scope="col">Measured on holdout</th>{heads}</tr></thead>
  <tbody>{rows}</tbody>
</table>
<p class="muted">Counts are images; in brackets the 95 % interval, which takes into account that
several images may show one lesion. The setting itself was chosen on other lesions (validation), so
the measured sensitivity may differ from the wanted one. {chosen}</p>"""


def _of(point: OperatingPoint, name: str) -> str:
    part, whole = words.fractions(point.row.holdout)[name]
    return f"{part:,} of {whole:,}"
