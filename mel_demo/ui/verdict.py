"""The first screen's panels as HTML: header, status and one card a model.

Everything a picture shows also stands here in words. Knows no Gradio, no event and no model.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from mel_demo.decision.conformal import Outcome
from mel_demo.decision.operating_point import OperatingPoint
from mel_demo.hub import Origin
from mel_demo.manifest import Manifest, ModelSpec
from mel_demo.screening import Finding, Prediction
from mel_demo.texts import Texts
from mel_demo.ui import words
from mel_demo.ui.case import Verdict


def footer(t: Texts, manifest: Manifest, origins: Sequence[Origin]) -> str:
    """Which weights are served, and from where."""
    key = "footer_hub" if origins else "footer_own"
    said = t(key, created=manifest.created[:10], origins=", ".join(map(str, origins)))
    return f'<p class="muted footer">{escape(said)}</p>'


def header(t: Texts) -> str:
    """Title, what the page is, and what it is not."""
    return f"""
<header class="intro">
  <h1>{t("title")}</h1>
  <p>{t("intro")}</p>
  <p class="notice" role="note">{t("notice")}</p>
</header>"""


def section(t: Texts, key: str) -> str:
    """A heading and its sentence, the texts ``<key>`` and ``<key>_intro``."""
    return f'<section class="section"><h2>{t(key)}</h2><p>{t(f"{key}_intro")}</p></section>'


def waiting(t: Texts) -> str:
    """The status line before there is an image."""
    return _status("waiting", t("waiting"), t("waiting_more"))


def problem(t: Texts, message: str) -> str:
    """The status line where the upload cannot be judged."""
    return _status("problem", t("problem"), escape(message), role="alert")


def forgotten(t: Texts) -> str:
    """The status line where the session has expired and the image is gone."""
    return _status("problem", t("forgotten"), t("forgotten_more"), role="alert")


def refused(t: Texts, findings: Iterable[Finding]) -> str:
    """The status line where the image is none that the models know."""
    return _status("refused", t("refused"), t("refused_more"), more=_notes(t, findings))


def status(
    t: Texts,
    verdicts: Mapping[str, Verdict],
    findings: Iterable[Finding],
    milliseconds: float,
    insisted: bool = False,
) -> str:
    """First of all whether the models agree, then what about the image itself gives pause.

    ``verdicts``: of all models; agreement is that of teacher and student. ``insisted``: the person
    wants the verdict of an image that was refused.
    """
    teacher, student = verdicts["teacher"].outcome, verdicts["student"].outcome
    if teacher == student:
        kind, key = teacher, f"both_{teacher}"
    elif {teacher, student} == {Outcome.REFER, Outcome.NO_REFERRAL}:
        kind, key = "disagree", "disagree"
    else:
        kind, key = "uncertain", "one_uncertain"
    text = t(f"{key}_more", teacher=t(f"says_{teacher}"), student=t(f"says_{student}"))
    notes = _notes(t, findings)
    if insisted:
        notes = f'<p class="finding warning"><b>{t("insisted")}</b></p>' + notes
    small = verdicts.get("student_int8")
    if small is not None and small.decision.refer != verdicts["student"].decision.refer:
        note = t(
            "int8_differs",
            student=t.percent(verdicts["student"].decision.melanoma_probability),
            int8=t.percent(small.decision.melanoma_probability),
        )
        notes += f'<p class="finding info">{note}</p>'
    timing = t("judged_in", milliseconds=f"{milliseconds:.0f}")
    return _status(kind, t(key), text, more=f'{notes}<p class="timing">{timing}</p>')


def _notes(t: Texts, findings: Iterable[Finding]) -> str:
    return "".join(
        f'<p class="finding {finding.severity}"><b>{t("about_image")}</b> '
        f"{escape(t.get(f'finding_{finding.code}', finding.text))}</p>"
        for finding in findings
    )


def _status(kind: str, title: str, text: str, role: str = "status", more: str = "") -> str:
    return (
        f'<section class="status {kind}" role="{role}" aria-live="polite"><h2>{title}</h2>'
        f"<p>{text}</p>{more}</section>"
    )


def cards(
    t: Texts,
    manifest: Manifest,
    points: Mapping[str, OperatingPoint],
    predictions: Mapping[str, Prediction] | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
) -> str:
    """One card a model: its decision in words, its melanoma probability, threshold, size, time.

    Without ``predictions`` the cards say what will stand there, at the same height.
    """
    found = "".join(
        _card(
            t,
            manifest.models[key],
            point,
            predictions[key] if predictions else None,
            verdicts[key] if verdicts else None,
        )
        for key, point in points.items()
    )
    return f'<div class="cards">{found}</div>'


def _card(
    t: Texts,
    spec: ModelSpec,
    point: OperatingPoint,
    prediction: Prediction | None,
    verdict: Verdict | None,
) -> str:
    if prediction is None or verdict is None:
        kind, says, value, width, speed, band = "empty", t("waiting_image"), "–", 0.0, "", ""
    else:
        kind, says = verdict.outcome, t(f"verdict_{verdict.outcome}")
        width = prediction.melanoma_probability
        value, speed = t.percent(width), f" . {prediction.milliseconds:.0f} ms"
        band = _band(verdict)
    note = t("refers_from", threshold=t.percent(point.threshold))
    if kind == "uncertain":
        side = "above" if verdict.decision.refer else "below"
        note = t(f"uncertain_{side}", threshold=t.percent(point.threshold))
    return f"""
<article class="card {spec.key} {kind}" aria-label="{t(f"role_{spec.key}")}">
  <h3>{t(f"role_{spec.key}")} <small>{escape(words.architecture(spec))}</small></h3>
  <p class="verdict"><span class="mark" aria-hidden="true"></span>{says}</p>
  <p class="probability"><b>{value}</b> {t("melanoma_probability")}</p>
  <div class="gauge" aria-hidden="true">{band}<i style="width:{100 * width:.2f}%"></i>
    <u style="left:{100 * point.threshold:.2f}%"></u></div>
  <p class="small">{note}</p>
  <p class="small">{t.decimal(spec.bytes / 1e6, 1)} MB{speed}</p>
</article>"""


def _band(verdict: Verdict) -> str:
    if verdict.band is None:
        return ""
    low, high = verdict.band.low, verdict.band.high
    return f'<s style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></s>'
