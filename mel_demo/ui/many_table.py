"""The table of many images: from scores and a setting to sorted lines, as HTML and as CSV.

The scores lie in the browser, which sends them along; nothing is kept here and no model runs. Knows
no component and no event.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mel_demo.decision.verdict import Outcome, Verdict
from mel_demo.manifest import CLASS_NAMES, TARGETS
from mel_demo.pictures.markup import render
from mel_demo.rows import NO_REFERRAL, REFER, csv_line
from mel_demo.screening import Screener
from mel_demo.texts import Texts
from mel_demo.ui import case
from mel_demo.ui.case import SHOWN_MODELS, Reading, Setting

KINDS = ("disagree", "refer", "other_cancer", "no_referral", "refused", "problem")
"""What a line can say, the most pressing first."""
Sort = Literal["image", "verdict", "teacher", "student"]
SORTS: tuple[Sort, ...] = ("image", "verdict", "teacher", "student")
_DECISIONS = {Outcome.REFER: REFER, Outcome.NO_REFERRAL: NO_REFERRAL, Outcome.DISAGREE: "disagree"}
_OF_A_MODEL = ("decision", "probability", "threshold", "close_call", "leading_diagnosis")
COLUMNS = (
    *("image", "decision", "other_cancer"),
    *(f"{key}_{name}" for key in SHOWN_MODELS for name in _OF_A_MODEL),
    *("refused", "findings", "error", "looking_for", "target_sensitivity", "weights"),
)
"""Of the CSV file; words and numbers as in ``rows.COLUMNS``."""

Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[tuple[Share, ...], Field(min_length=len(CLASS_NAMES), max_length=7)]
Text = Annotated[str, Field(max_length=1000)]


class Scores(BaseModel):
    """What judging one image came to. ``probabilities``: of teacher and student, in the order of
    CLASS_NAMES; none where there is an ``error``. ``findings``: codes. ``problem``: the error's
    class, by whose name ``locales`` have a sentence; the browser's own errors have none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    probabilities: dict[Literal["teacher", "student"], Shares] = {}
    refused: bool = False
    findings: Annotated[tuple[Text, ...], Field(max_length=40)] = ()
    error: Text | None = None
    problem: Text | None = None


class Named(Scores):
    """Scores as the browser keeps them. ``id``: its number there. ``name``: the file's."""

    id: int
    name: Text


class Sent(BaseModel):
    """What the browser sends: all its images, and how to sort them; ``turn`` comes back."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    images: tuple[Named, ...] = ()
    sort: Sort = "verdict"
    backwards: bool = False
    turn: int = 0


@dataclass(frozen=True)
class Line:
    """One image at a setting. ``kind``: of KINDS. ``verdict``: None where there is none."""

    image: Named
    kind: str
    verdict: Verdict | None


def received(sent: Any, limit: int) -> Sent:
    """What a browser sent, of at most ``limit`` images; nothing where it makes no sense."""
    try:
        checked = Sent.model_validate(sent)
    except ValidationError:
        return Sent()
    whole = all(
        image.error is not None or image.probabilities.keys() == set(SHOWN_MODELS)
        for image in checked.images
    )
    return checked if whole and len(checked.images) <= limit else Sent()


def lines(sent: Sent, readings: Mapping[str, Reading], setting: Setting) -> list[Line]:
    """The images by their decisions at this setting, sorted as asked.

    By verdict: as in KINDS, and then by the higher of both probabilities. By a model's
    probability: what has none is last, backwards too.
    """
    found = [_line(image, readings, setting) for image in sent.images]
    found.sort(key=lambda line: _place(line, sent.sort), reverse=sent.backwards)
    if sent.sort in SHOWN_MODELS:
        found.sort(key=lambda line: line.verdict is None)
    return found


def table(
    t: Texts,
    screener: Screener,
    sent: Sent,
    setting: Setting,
) -> Markup | str:
    """The lines with a summary above; "" where there are none."""
    if not sent.images:
        return ""
    readings = case.read(screener, setting)
    found = lines(sent, readings, setting)
    counts = Counter(line.kind for line in found)
    return render(
        "many_table.html",
        t,
        lines=found,
        sent=sent,
        sorts=SORTS,
        counts=[(kind, counts[kind]) for kind in KINDS if counts[kind]],
        models=SHOWN_MODELS,
        classes=CLASS_NAMES,
        cancers=TARGETS["skin_cancer"],
        looking_for=setting.looking_for,
        thresholds={key: readings[key].point.threshold for key in SHOWN_MODELS},
        setting=t(
            "report_setting",
            looking_for=t(f"label_{setting.looking_for}"),
            target=t.setting(setting.target),
            source=t(f"source_{setting.source}"),
        ),
    )


def to_csv(screener: Screener, sent: Sent, setting: Setting) -> str:
    """The same lines in the same order, as a CSV file; see ``rows.to_csv``."""
    readings = case.read(screener, setting)
    shared = {
        "looking_for": setting.looking_for,
        "target_sensitivity": setting.target,
        "weights": screener.manifest.version,
    }
    written = [csv_line(COLUMNS)]
    for line in lines(sent, readings, setting):
        cells = _cells(line, readings) | shared
        written.append(csv_line(cells.get(name) for name in COLUMNS))
    return b"".join(written).decode()


def _line(image: Named, readings: Mapping[str, Reading], setting: Setting) -> Line:
    if image.error is not None:
        return Line(image, "problem", None)
    if image.refused:
        return Line(image, "refused", None)
    verdict = case.decide_by(dict(image.probabilities.items()), readings, setting)
    quiet = verdict.outcome is Outcome.NO_REFERRAL and verdict.other_cancer is not None
    return Line(image, "other_cancer" if quiet else str(verdict.outcome), verdict)


def _place(line: Line, sort: Sort) -> tuple[Any, ...]:
    calls = line.verdict.calls if line.verdict else {}
    rank = KINDS.index(line.kind)
    if sort == "image":
        return (line.image.name.casefold(), line.image.id)
    if sort == "verdict":
        highest = max((call.probability for call in calls.values()), default=0)
        return (rank, -highest, line.image.id)
    return (-calls[sort].probability if calls else rank, line.image.id)


def _cells(line: Line, readings: Mapping[str, Reading]) -> dict[str, Any]:
    image = line.image
    cells: dict[str, Any] = {
        "image": image.name,
        "refused": None if image.error else image.refused,
        "findings": " ".join(image.findings) or None,
        "error": image.error,
    }
    if line.verdict is None:
        return cells
    other = line.verdict.other_cancer
    cells["decision"] = _DECISIONS[line.verdict.outcome]
    cells["other_cancer"] = None if other is None else CLASS_NAMES[other]
    for key, call in line.verdict.calls.items():
        values = {
            "decision": REFER if call.refer else NO_REFERRAL,
            "probability": call.probability,
            "threshold": call.point.threshold,
            "close_call": call.close,
            "leading_diagnosis": CLASS_NAMES[call.leading],
        }
        cells |= {f"{key}_{name}": value for name, value in values.items()}
    return cells
