"""The page: its layout, and which event redraws what.

An upload runs the models once and keeps their answers in the session; every other control looks
up another row of the operating table and redraws what depends on it (``view``).
"""

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import escape
from starlette.middleware import Middleware

from mel_demo.decision import operating_point
from mel_demo.decision.operating_point import DEFAULT_TARGET, MAX_TARGET, MIN_TARGET, OperatingPoint
from mel_demo.decision.prevalence import DEFAULT_PREVALENCE, MAX_PREVALENCE, MIN_PREVALENCE
from mel_demo.errors import MelDemoError
from mel_demo.images import MAX_BYTES
from mel_demo.manifest import MELANOMA
from mel_demo.phone.serve import routes as phone_routes
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, Texts, catalogue
from mel_demo.ui import case, scripts, verdict, view
from mel_demo.ui.api import add_screen, routes as api_routes
from mel_demo.ui.case import SHOWN_MODELS, Judged, Setting
from mel_demo.ui.drawings import EXAMPLES, routes as drawing_routes
from mel_demo.ui.early import EarlyScript
from mel_demo.ui.layout import PRESETS, TRANSLATIONS, Layout
from mel_demo.ui.lean import Lean
from mel_demo.ui.many import Many
from mel_demo.ui.theme import HEAD, STYLES, theme

TITLE = catalogue(LANGUAGES[0])["title"]
FILES_SECONDS, SESSION_SECONDS = 600, 3600
"""How long an upload's copy, and a session's numbers and picture, stay on the server."""
CONTROLS = (100 * DEFAULT_TARGET, 100 * DEFAULT_PREVALENCE)
"""Where the sliders stand at first: target sensitivity and prevalence, in percent."""
FIRST = ("header", "hero", "examples", "cards", "price", "threshold", "many")
"""Parts that are there before the server has answered the load."""
CHANGED = ("session", "shown", "hero", "insist", "report", "document", "landed")
"""Parts that handlers change beside those of ``view``."""


class Page:
    """The page's handlers around one Screener; ``build`` lays it out.

    A handler answers with values by the name of the part of the page they go to.
    """

    def __init__(self, screener: Screener) -> None:
        self.screener = screener
        self.manifest = screener.manifest
        self.many = Many(screener)
        # Of many classes: what each can do is Gradio's to know.
        self.parts: dict[str, Any] = {}
        self._outputs: list[gr.components.Component] = []

    def build(self) -> gr.Blocks:
        """Components and events; nothing is launched."""
        with gr.Blocks(
            title=TITLE, analytics_enabled=False, delete_cache=(FILES_SECONDS // 2, FILES_SECONDS)
        ) as blocks:
            start = self.on_target(100 * DEFAULT_TARGET, SHOWN_MODELS[0], "melanoma")
            start |= self.on_load(None, *CONTROLS)
            offers = case.has_skin_cancer(self.manifest), case.has_external(self.manifest)
            # The rest comes with the answer to the load: here it would be sent twice.
            first = {name: start[name] for name in FIRST}
            self.parts = Layout(first, SESSION_SECONDS, offers, self.many).parts
            # No control: no answer is to take it from under a hand that drags or types. And no
            # upload: an output is made anew by its class, without our own preprocess.
            shown = {*start, *CHANGED} - {"threshold"}
            self._outputs = [self.parts[name] for name in shown & self.parts.keys()]
            self._listen(blocks)
            add_screen(self.screener)
        # Gradio looks for work a thousand times a second; a person does not notice a fiftieth.
        blocks.queue()._queue.sleep_when_free = 0.02
        return blocks

    def on_load(self, language: str | None, *controls: Any) -> dict[str, Any]:
        """The whole page in the reader's language, before there is an image."""
        t, setting = Texts(language), self._setting(*controls)
        return {
            "hero": verdict.empty(t),
            "many": self.many.welcome(t),
            **view.of_language(t, self.screener),
            **view.of_setting(t, self.screener, None, setting),
            **view.of_image(t, self.screener, None, setting),
        }

    def on_image(
        self, source: Path | bytes | None, language: str, index: int, *controls: Any
    ) -> dict[str, Any]:
        """Judge a new image, or say why it cannot be judged; the setting stays either way."""
        t, setting = Texts(language), self._setting(*controls, index=index)
        judged, hero = None, verdict.empty(t)
        if source is not None:
            try:
                judged = case.judge(self.screener, source)
            except MelDemoError as error:
                hero = verdict.problem(t, str(error))
        return {
            "session": judged.kept() if judged else None,
            "shown": judged is not None,
            "hero": hero,
            "insist": gr.update(visible=judged is not None and judged.silent),
            "report": gr.update(interactive=judged is not None and not judged.silent),
            **view.of_setting(t, self.screener, judged, setting),
            **view.of_image(t, self.screener, judged, setting),
        }

    def on_setting(
        self, judged: Judged | None, was_shown: bool, language: str, *controls: Any
    ) -> dict[str, Any]:
        """What the controls change: target sensitivity and prevalence in percent, what to look
        for, and where it was measured. Runs no model."""
        t, setting = Texts(language), self._setting(*controls)
        parts = view.of_setting(t, self.screener, judged, setting)
        if judged is None and was_shown:
            parts["hero"] = verdict.forgotten(t)
        return parts

    def on_class(
        self, judged: Judged | None, language: str, index: int, *controls: Any
    ) -> dict[str, Any]:
        """The maps of another diagnosis. Runs no model: all maps came with the verdict."""
        setting = self._setting(*controls, index=index)
        return view.of_image(Texts(language), self.screener, judged, setting)

    def on_insist(
        self, judged: Judged | None, language: str, index: int, *controls: Any
    ) -> dict[str, Any]:
        """The answer on an image that was refused, because the person wants it."""
        if judged is None:
            return {"hero": verdict.forgotten(Texts(language))}
        t, setting = Texts(language), self._setting(*controls, index=index)
        judged = replace(judged, insisted=True)
        return {
            "session": judged,
            "insist": gr.update(visible=False),
            "report": gr.update(interactive=True),
            **view.of_setting(t, self.screener, judged, setting),
            **view.of_image(t, self.screener, judged, setting),
        }

    def on_target(self, percent: float, key: str, looking_for: str) -> dict[str, Any]:
        """The threshold of this model at a target sensitivity, both in percent, for its box."""
        table = self.manifest.models[key].target(looking_for).operating_table
        point = operating_point.choose(table, _target(percent))
        return {"threshold": round(100 * point.threshold, 4)}

    def on_threshold(
        self, percent: float | None, key: str, looking_for: str, language: str, now: float
    ) -> dict[str, Any]:
        """Move the slider from ``now`` to where this model's threshold is the nearest to one in
        percent."""
        t = Texts(language)
        if percent is None:
            # Not gr.skip(): with it Gradio makes the slider anew, without our own preprocess.
            return {"slider": now, "landed": _note(t("landed_empty"))}
        table = self.manifest.models[key].target(looking_for).operating_table
        wanted = min(max(percent / 100, 0), 1)
        found = operating_point.choose_by_threshold(table, wanted)
        target = _slider_value(found.target_sensitivity)
        point = operating_point.choose(table, target / 100)
        said = t(
            "landed" if point.index == found.index else "landed_limit",
            role=t(f"role_{key}"),
            threshold=t.percent(point.threshold),
            target=t.setting(target / 100),
        )
        return {"slider": target, "landed": _note(said)}

    def on_roc(self, looking_for: str, source: str, event: gr.EventData) -> dict[str, Any]:
        """Move the slider to the setting nearest to a tapped point of the ROC figure."""
        tap = float(event.x), float(event.y)
        points = [
            operating_point.choose_by_roc(
                self.manifest.models[key].target(looking_for).operating_table, *tap, source
            )
            for key in SHOWN_MODELS
        ]
        nearest = min(points, key=lambda point: _distance(point, *tap, source))
        return {"slider": _slider_value(nearest.target_sensitivity)}

    def on_report(self, judged: Judged | None, language: str, *controls: Any) -> dict[str, Any]:
        """The report as one HTML document, which never touches the server's disk."""
        t = Texts(language)
        if judged is None:
            return {"hero": verdict.forgotten(t), "document": ""}
        setting = self._setting(*controls)
        return {"document": view.report_of(t, self.screener, judged, setting)}

    def _setting(
        self,
        percent: float,
        prevalence: float,
        looking_for: str = "melanoma",
        source: str = "holdout",
        *,
        index: int = MELANOMA,
    ) -> Setting:
        """What the controls say; number boxes can be left empty or out of range, and a client may
        ask for what these weights were not measured for."""
        low, high = 100 * MIN_PREVALENCE, 100 * MAX_PREVALENCE
        if looking_for != "skin_cancer" or not case.has_skin_cancer(self.manifest):
            looking_for = "melanoma"
        if source != "external" or not case.has_external(self.manifest):
            source = "holdout"
        prevalence = _within(prevalence, low, high, 100 * DEFAULT_PREVALENCE) / 100
        return Setting(_target(percent), prevalence, looking_for, source, index)

    def _listen(self, blocks: gr.Blocks) -> None:
        part = self.parts
        sliders = [part["slider"], part["prevalence"]]
        controls = [*sliders, part["looking_for"], part["source"]]
        language = part["language"]
        image_inputs = [language, part["class"], *controls]
        quiet: dict[str, Any] = {"api_visibility": "private"}
        silent = {"show_progress": "hidden", "queue": False, **quiet}
        quick = {"outputs": self._outputs, **silent}
        redraw = {
            "fn": self._to_parts(self.on_setting),
            "inputs": [part["session"], part["shown"], language, *controls],
            **quick,
        }
        redraw_maps = {
            "fn": self._to_parts(self.on_class),
            "inputs": [part["session"], *image_inputs],
            **quick,
        }
        # In the browser, at once: an answer of the server would undo what a quick hand has set.
        started = blocks.load(
            fn=None, inputs=sliders, outputs=[*sliders, language], js=scripts.START, **quiet
        )
        kept = [part["upload"], part["looking_for"], part["source"]]
        started.then(self._to_parts(self.on_load), inputs=[language, *controls], **quick).then(
            fn=None, inputs=kept, outputs=kept, js=scripts.RESTORE, **quiet
        )
        part["taps"].apply(fn=None, inputs=kept, js=scripts.KEEP, **quiet)
        part["taps"].clear(fn=None, js="() => null", outputs=part["upload"], **quiet)
        part["upload"].change(
            self._to_parts(self.on_image),
            inputs=[part["upload"], *image_inputs],
            outputs=self._outputs,
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_limit=2,
            **quiet,
        ).then(**redraw)  # The slider may have moved while the models ran: it has the last word.
        # Not gr.Examples: its answer is an update, and then Gradio makes the upload anew by class.
        part["taps"].select(
            self._on_drawing,
            outputs=part["upload"],
            show_progress="hidden",
            **quiet,
        )
        for control in controls:
            control.change(**redraw, trigger_mode="always_last")
        for control in sliders:
            control.change(fn=None, inputs=sliders, js=scripts.REMEMBER, **quiet)
        for control in (part["class"], part["looking_for"]):
            control.change(**redraw_maps)
        for control in (part["slider"], part["threshold_of"], part["looking_for"]):
            control.change(
                self._to_parts(self.on_target),
                inputs=[part["slider"], part["threshold_of"], part["looking_for"]],
                outputs=part["threshold"],
                trigger_mode="always_last",
                **silent,
            )
        part["threshold"].submit(
            self._to_parts(self.on_threshold),
            inputs=[
                part["threshold"],
                part["threshold_of"],
                part["looking_for"],
                language,
                part["slider"],
            ],
            outputs=[part["slider"], part["landed"]],
            **silent,
        )
        part["taps"].click(self._on_tap, inputs=kept[1:], outputs=part["slider"], **silent)
        part["insist"].click(
            self._to_parts(self.on_insist), inputs=[part["session"], *image_inputs], **quick
        )
        part["report"].click(
            self._to_parts(self.on_report), inputs=[part["session"], language, *controls], **quick
        ).then(fn=None, inputs=part["document"], js=scripts.SAVE, **quiet)
        part["link"].click(fn=None, js=scripts.COPY, **quiet)
        part["preset"].click(
            fn=None, js=f"() => {100 * DEFAULT_TARGET:g}", outputs=part["slider"], **quiet
        )
        for percent in PRESETS:
            part[f"preset-{percent}"].click(
                fn=None, js=f"() => {percent}", outputs=part["prevalence"], **quiet
            )

        self.many.listen(part, controls, self._setting)

    def _on_tap(self, looking_for: str, source: str, event: gr.EventData) -> float:
        return self.on_roc(looking_for, source, event)["slider"]

    def _on_drawing(self, event: gr.EventData) -> str:
        return str(EXAMPLES[event.name])

    def _to_parts(self, handler: Callable[..., dict[str, Any]]) -> Callable[..., dict]:
        """The handler with its answer by component, as Gradio wants it."""

        @functools.wraps(handler)
        def answer(*given: Any) -> dict:
            return {self.parts[name]: _plain(value) for name, value in handler(*given).items()}

        return answer


def _plain(value: Any) -> Any:
    """Markup as the text it is: Gradio sends exact strings."""
    return str(value) if isinstance(value, str) else value


def _note(said: str) -> str:
    return f'<p class="muted" role="status">{escape(said)}</p>'


def _target(percent: float) -> float:
    """The slider's target sensitivity in 0..1."""
    return _within(percent, 100 * MIN_TARGET, 100 * MAX_TARGET, 100 * DEFAULT_TARGET) / 100


def _within(given: Any, low: float, high: float, otherwise: float) -> float:
    """``given`` as the nearest number of low..high; ``otherwise`` where it is none."""
    try:
        number = float(given)
    except (TypeError, ValueError):
        return otherwise
    return min(max(number, low), high) if math.isfinite(number) else otherwise


def _slider_value(target: float) -> float:
    """A target sensitivity in percent, on a step of the slider that selects the same row.

    Rounded down: a tenth of a percent less asks for no melanoma fewer, one more might for one more.
    """
    return math.floor(1000 * target + 1e-6) / 10


def _distance(
    point: OperatingPoint, false_alarm_rate: float, sensitivity: float, split: str
) -> float:
    """How far a point's mark lies from a place in the ROC figure of a split."""
    counts = getattr(point.row, split)
    return math.dist(
        (counts.fp / counts.others, counts.tp / counts.melanomas), (false_alarm_rate, sensitivity)
    )


def build(screener: Screener | None = None) -> gr.Blocks:
    """The page on ``screener``, or on the default weights (ManifestError, WeightsError)."""
    return Page(screener or Screener()).build()


def launch_options() -> dict[str, Any]:
    """What ``Blocks.launch`` is given everywhere: look, language, privacy and limits."""
    return {
        "theme": theme(),
        "css_paths": STYLES,
        "head": HEAD,
        "i18n": TRANSLATIONS,
        "footer_links": ["api"],
        "pwa": False,
        "app_kwargs": {
            "routes": [*api_routes(), *drawing_routes(), *phone_routes()],
            "middleware": [Middleware(Lean), Middleware(EarlyScript)],
        },
        "run_history": False,
        "share": False,
        "enable_monitoring": False,
        # Above our own limit, so that the page's own message is the one that is read.
        "max_file_size": 2 * MAX_BYTES,
        "show_error": True,
    }
