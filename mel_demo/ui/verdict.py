"""The first screen: header, hero, three pictures, a card a model, and the price of the setting.

Everything a picture shows also stands here in words. Knows no Gradio, no event and no model.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mel_demo.decision.neighbours import neighbours
from mel_demo.decision.verdict import OTHER_CANCERS, Outcome, Verdict
from mel_demo.errors import MelDemoError
from mel_demo.hub import Origin
from mel_demo.manifest import CLASS_NAMES, MELANOMA, Manifest
from mel_demo.pictures.markup import render
from mel_demo.pictures.overlay import COLOURS, encoded
from mel_demo.pictures.score_figure import heaps, score_svg
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, NAMES, Texts, architecture
from mel_demo.ui import case
from mel_demo.ui.case import SHOWN_MODELS, Judged, Reading, Setting


def header(t: Texts) -> Markup:
    """Name, what the page is and is not, and the languages."""
    return render("header.html", t, languages=[(code, NAMES[code]) for code in LANGUAGES])


def footer(t: Texts, manifest: Manifest, origins: Sequence[Origin]) -> Markup:
    """Which weights are served, and from where."""
    return render(
        "footer.html",
        t,
        version=manifest.version,
        created=manifest.created[:10],
        origins=", ".join(map(str, origins)),
    )


def section(t: Texts, key: str) -> Markup:
    """A heading and its sentence, the texts ``<key>`` and ``<key>_intro``."""
    return render("section.html", t, key=key)


def plain(t: Texts, kind: str, title: str, more: str, notes: Sequence[Any] = ()) -> Markup:
    """A hero that gives no verdict: "empty", "problem", "refused", "forgotten"."""
    return render("hero.html", t, kind=kind, title=title, sentences=[more], notes=notes)


def empty(t: Texts) -> Markup:
    """Before there is an image."""
    return plain(t, "empty", t("empty_title"), t("empty_more"))


def problem(t: Texts, error: MelDemoError) -> Markup:
    """Where the upload cannot be judged; the error itself says it in English, and more exactly."""
    return plain(t, "problem", t("problem"), t.get(f"error_{type(error).__name__}", str(error)))


def forgotten(t: Texts) -> Markup:
    """Where the session has expired and the image is gone."""
    return plain(t, "forgotten", t("forgotten"), t("forgotten_more"))


def hero(t: Texts, judged: Judged, verdict: Verdict) -> Markup:
    """The verdict on an image in a headline and a sentence, or why there is none."""
    notes = [
        (found.severity, found.says(t))
        for found in judged.screening.findings
        if found.severity != "refusal"
    ]
    if judged.silent:
        return plain(t, "refused", t("refused_title"), t("refused_more"), notes)
    title, following, kind = headline(t, verdict)
    sentences = [_leading(t, verdict), following]
    likeliest = {verdict.calls[key].leading for key in SHOWN_MODELS}
    if verdict.outcome is Outcome.REFER and not likeliest & {MELANOMA, *OTHER_CANCERS}:
        sentences.insert(1, t("refer_yet"))
    if judged.insisted:
        kind = "insisted"
        sentences = [t("insisted_more"), f"{title}."]
        title = t("insisted_title")
    small = verdict.calls.get("student_int8")
    if small is not None and small.refer != verdict.calls["student"].refer:
        differs = {key: t.percent(verdict.calls[key].probability) for key in ("student",)}
        notes.append(("info", t("int8_differs", int8=t.percent(small.probability), **differs)))
    return render("hero.html", t, kind=kind, title=title, sentences=sentences, notes=notes)


def headline(t: Texts, verdict: Verdict) -> tuple[str, str, str]:
    """Headline, what to do next, and severity (refer, no_referral, disagree, other_cancer)."""
    other = verdict.other_cancer
    diagnosis = "" if other is None else t.inside(f"dx_{CLASS_NAMES[other]}")
    if verdict.outcome is Outcome.DISAGREE:
        yes, no = sorted(SHOWN_MODELS, key=lambda key: not verdict.calls[key].refer)
        key = "disagree_title" if other is None else "disagree_other_title"
        following = t("disagree_next", yes=_role(t, yes), no=_role(t, no))
        return t(key, diagnosis=diagnosis), following, "disagree"
    if other is not None:
        refer = verdict.outcome is Outcome.REFER
        key = "other_cancer_refer_title" if refer else "other_cancer_title"
        kind = "refer" if refer else "other_cancer"
        return t(key, diagnosis=diagnosis), t("other_cancer_next"), kind
    kind = str(verdict.outcome)
    return t(f"{kind}_title"), t(f"{kind}_next"), kind


def _role(t: Texts, key: str) -> str:
    return t(f"role_{key}") if t.language == "de" else t(f"role_{key}").lower()


def _leading(t: Texts, verdict: Verdict) -> str:
    named = {key: t.inside(f"dx_{CLASS_NAMES[verdict.calls[key].leading]}") for key in SHOWN_MODELS}
    if named["teacher"] == named["student"]:
        return t("leading_same", diagnosis=named["teacher"])
    return t("leading_differ", **named)


def preview(judged: Judged) -> Markup:
    """The image by itself, for the upload to show where the browser cannot draw the file."""
    return Markup('<img alt="" src="{}">').format(_uri("jpeg", judged.jpeg))


class Pictures:
    """The pictures of one judged image, each drawn and encoded once however often it is shown.

    ``judged``: as a session keeps it, with its image as JPEG.
    """

    def __init__(self, screener: Screener, judged: Judged) -> None:
        self.screener, self.judged = screener, judged
        self.image = _uri("jpeg", judged.jpeg)
        self._maps: dict[tuple[str, int], tuple[str, bool]] = {}

    def map(self, key: str, index: int) -> tuple[str, bool]:
        """A model's evidence of a class to be laid over the image, and whether there is any."""
        if (key, index) not in self._maps:
            drawn = case.draw_map(self.screener, self.judged, key, index)
            marked = any(drawn[..., colour].any() for colour in range(3))
            self._maps[key, index] = _uri("webp", encoded(drawn)), marked
        return self._maps[key, index]


def pictures(t: Texts, shown: Pictures, setting: Setting) -> Markup:
    """The image with its frame and both models' evidence, of one size."""
    predictions = shown.judged.screening.predictions
    indices = {
        key: case.spoken_for(predictions[key].probabilities, setting.looking_for)
        for key in SHOWN_MODELS
    }
    return drawn(t, shown, indices, whole=True)


def drawn(t: Texts, shown: Pictures, indices: Mapping[str, int], whole: bool = False) -> Markup:
    """Each model's evidence of its class over the image; ``whole``: beside the image alone."""
    width, height = shown.judged.size
    left, top, right, bottom = case.frame(shown.screener, shown.judged.size)
    maps = {key: (shown.map(key, index), index) for key, index in indices.items()}
    return render(
        "pictures.html",
        t,
        whole=whole,
        image=shown.image,
        ratio=width / height,
        framed=(left, top, right, bottom) != (0, 0, width, height),
        box=(
            100 * left / width,
            100 * top / height,
            100 * (right - left) / width,
            100 * (bottom - top) / height,
        ),
        maps={
            key: (uri, t.inside(f"dx_{CLASS_NAMES[index]}"), marked)
            for key, ((uri, marked), index) in maps.items()
        },
    )


def cards(
    t: Texts,
    screener: Screener,
    readings: Mapping[str, Reading],
    setting: Setting,
    judged: Judged | None = None,
    verdict: Verdict | None = None,
) -> Markup:
    """A card a model: decision, probability, threshold, size, time, and its score plot.

    Without a verdict the cards show what is known before, at the same height.
    """
    judged = None if judged is None or judged.silent else judged
    shown = []
    for key in SHOWN_MODELS:
        reading, spec = readings[key], screener.manifest.models[key]
        found = verdict.calls[key] if verdict is not None and judged is not None else None
        probability = found.probability if found else None
        heap = heaps(reading.evidence, setting.source)
        scores = reading.evidence and reading.evidence.scores
        alike = None
        insisted = judged is not None and judged.insisted
        if scores and setting.source in scores and probability is not None and not insisted:
            alike = neighbours(scores[setting.source], probability)
        kind = "empty" if found is None else "refer" if found.refer else "no_referral"
        shown.append(
            {
                "key": key,
                "kind": "insisted" if insisted else kind,
                "decision": kind,
                "name": architecture(spec),
                "call": found,
                "threshold": reading.point.threshold,
                "size": t.megabytes(spec.bytes),
                "milliseconds": judged and judged.screening.predictions[key].milliseconds,
                "images": heap and heap.images,
                "plot": heap
                and score_svg(
                    t, key, heap, reading.point.threshold, probability, setting.looking_for
                ),
                "alike": alike,
            }
        )
    return render(
        "cards.html",
        t,
        cards=shown,
        judged=judged,
        findings=judged.screening.findings if judged else (),
        target=setting.looking_for,
        colours=COLOURS,
    )


def price(t: Texts, readings: Mapping[str, Reading], setting: Setting) -> Markup:
    """What the setting costs, a line a model."""
    shown = {key: readings[key].counts for key in SHOWN_MODELS}
    alone = readings["teacher"].melanomas_alone
    return render("price.html", t, shown=shown, target=setting.looking_for, alone=alone)


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
