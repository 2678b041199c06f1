"""The page: its layout, and which event redraws what.

An upload runs the models once and keeps their answers in the session; every other control looks
up another row of the operating table and redraws what depends on it (``view``). A handler answers
with the parts that it changes and no others: Gradio builds anew what it is told to leave alone.
"""

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import escape

from mel_demo.decision import operating_point
from mel_demo.decision.operating_point import DEFAULT_TARGET
from mel_demo.decision.prevalence import DEFAULT_PREVALENCE
from mel_demo.errors import MelDemoError
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, Texts, catalogue
from mel_demo.ui import at_once, case, controls, orderly, scripts, stubless, verdict, view
from mel_demo.ui.api import add_screen
from mel_demo.ui.case import NO_IMAGE, SHOWN_MODELS, Kept, Setting
from mel_demo.ui.drawings import EXAMPLES
from mel_demo.ui.layout import PRESETS, Layout
from mel_demo.ui.many import Many
from mel_demo.ui.queueing import close_to_strangers, of_models, tune
from mel_demo.ui.turns import Turns

TITLE = catalogue(LANGUAGES[0])["title"]
SESSION_SECONDS = 3600
"""How long a session's numbers and picture stay on the server."""
SETTINGS_KEPT = 64
"""Whose drawings are kept for the next visitor, some hundred kilobytes each."""
CONTROLS = (100 * DEFAULT_TARGET, 100 * DEFAULT_PREVALENCE)
"""Where the sliders stand at first: target sensitivity and prevalence, in percent."""
FIRST = ("header", "hero", "examples", "cards", "price", "threshold", "many")
"""Parts that are there before the server has answered the load."""
# The space first: pictures are texts as well, and "(?<=\d) %" takes thirty times as long for them.
_LOOSE_PERCENT = re.compile(r" (?<=\d )%")


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
        self._of_setting = functools.lru_cache(SETTINGS_KEPT)(self._draw_setting)
        self._of_language = functools.lru_cache(len(LANGUAGES))(self._draw_language)
        self._turns = Turns()

    def build(self) -> gr.Blocks:
        """Components and events; nothing is launched."""
        with stubless.unserved():
            return self._build()

    def _build(self) -> gr.Blocks:
        with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
            costs = self._of_setting(Texts().language, Setting())
            answer = view.of_verdict(Texts(), self.screener, None, Setting())
            image = view.of_image(Texts(), self.screener, None, Setting())
            load = self.on_load(None, *CONTROLS)
            start = load | self.on_target(100 * DEFAULT_TARGET, SHOWN_MODELS[0], "melanoma")
            offers = case.has_skin_cancer(self.manifest), case.has_external(self.manifest)
            # The rest comes with the answer to the load: here it would be sent twice.
            first = {name: start[name] for name in FIRST}
            self.parts = Layout(first, SESSION_SECONDS, offers, self.many).parts
            self._listen(blocks, load, costs, answer, image)
            add_screen(self.screener, self._turns)
        tune(blocks)
        close_to_strangers(blocks)
        at_once.install(blocks)
        orderly.install(blocks)
        return blocks

    def _draw_setting(self, language: str, setting: Setting) -> dict[str, Any]:
        """``view.of_setting`` as it is sent."""
        parts = view.of_setting(Texts(language), self.screener, setting)
        return {name: _plain(value) for name, value in parts.items()}

    def _draw_language(self, language: str) -> dict[str, Any]:
        return view.of_language(Texts(language), self.screener)

    def on_load(self, language: str | None, *values: Any) -> dict[str, Any]:
        """The whole page in the reader's language, before there is an image."""
        t, setting = Texts(language), controls.setting(self.manifest, *values)
        return {
            "hero": verdict.empty(t),
            "many": self.many.welcome(t),
            **self._of_language(t.language),
            **self._of_setting(t.language, setting),
            **view.of_verdict(t, self.screener, None, setting),
            **view.of_image(t, self.screener, None, setting),
        }

    def on_image(
        self, source: Path | bytes | None, language: str, index: int, *values: Any
    ) -> dict[str, Any]:
        """Judge a new image, or say why it cannot be judged; the setting stays either way."""
        t, setting = Texts(language), controls.setting(self.manifest, *values, index=index)
        judged, hero = None, verdict.empty(t)
        with self._turns.one() as alone:
            if source is not None:
                try:
                    judged = case.judge(self.screener, source, alone).kept()
                except MelDemoError as error:
                    hero = verdict.problem(t, error)
            return {
                "session": judged or NO_IMAGE,
                "shown": judged is not None,
                "hero": hero,
                "insist": gr.update(visible=judged is not None and judged.silent),
                "report": gr.update(interactive=judged is not None and not judged.silent),
                **view.of_verdict(t, self.screener, judged, setting),
                **view.of_image(t, self.screener, judged, setting),
            }

    def on_setting(
        self, kept: Kept, was_shown: bool, language: str, *values: Any
    ) -> dict[str, Any]:
        """What the controls change: target sensitivity and prevalence in percent, what to look
        for, and where it was measured. Runs no model."""
        t, setting = Texts(language), controls.setting(self.manifest, *values)
        parts = {"known": was_shown, **self._of_setting(t.language, setting)}
        if kept is None and was_shown:
            return parts | self._forgotten(t, setting)
        return parts | view.of_verdict(t, self.screener, kept or None, setting)

    def on_class(
        self, kept: Kept, was_shown: bool, language: str, index: int, *values: Any
    ) -> dict[str, Any]:
        """The maps of another diagnosis. Runs no model: all maps came with the verdict."""
        t, setting = Texts(language), controls.setting(self.manifest, *values, index=index)
        parts = {"known": was_shown}
        if kept is None and was_shown:
            return parts | self._forgotten(t, setting)
        return parts | view.of_image(t, self.screener, kept or None, setting)

    def on_insist(self, kept: Kept, language: str, index: int, *values: Any) -> dict[str, Any]:
        """The answer on an image that was refused, because the person wants it."""
        t, setting = Texts(language), controls.setting(self.manifest, *values, index=index)
        if not kept:
            return self._forgotten(t, setting) if kept is None else {}
        judged = replace(kept, insisted=True)
        return {
            "session": judged,
            "insist": gr.update(visible=False),
            "report": gr.update(interactive=True),
            **view.of_verdict(t, self.screener, judged, setting),
            **view.of_image(t, self.screener, judged, setting),
        }

    def on_target(self, percent: float, key: str, looking_for: str) -> dict[str, Any]:
        """The threshold of this model at a target sensitivity, both in percent, for its box."""
        table = self.manifest.models[key].target(looking_for).operating_table
        point = operating_point.choose(table, controls.target(percent))
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
        target = controls.slider_value(found.target_sensitivity)
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
        nearest = min(points, key=lambda point: controls.distance(point, *tap, source))
        return {"slider": controls.slider_value(nearest.target_sensitivity)}

    def on_report(self, kept: Kept, language: str, *values: Any) -> dict[str, Any]:
        """The report as one HTML document, which never touches the server's disk."""
        t, setting = Texts(language), controls.setting(self.manifest, *values)
        if not kept:
            return {"document": ""} | (self._forgotten(t, setting) if kept is None else {})
        return {"document": view.report_of(t, self.screener, kept, setting)}

    def _forgotten(self, t: Texts, setting: Setting) -> dict[str, Any]:
        """Nothing of an image that the server does not hold any more."""
        return {
            "hero": verdict.forgotten(t),
            "insist": gr.update(visible=False),
            "report": gr.update(interactive=False),
            **view.of_verdict(t, self.screener, None, setting),
            **view.of_image(t, self.screener, None, setting),
        }

    def _listen(
        self,
        blocks: gr.Blocks,
        load: Iterable[str],
        costs: Iterable[str],
        answer: Iterable[str],
        image: Iterable[str],
    ) -> None:
        """Events, with the names of the parts that ``view`` redraws for each."""
        # No control among them: no answer is to take it from under a hand that drags or types. And
        # no upload: an output is made anew by its class, without our own preprocess.
        part = self.parts
        seen = ["hero", "insist", "report", *answer, *image]
        of_control = ["known", *seen]
        sliders = [part["slider"], part["prevalence"]]
        settings = [*sliders, part["looking_for"], part["source"]]
        language = part["language"]
        image_inputs = [language, part["class"], *settings]
        quiet: dict[str, Any] = {"api_visibility": "private"}
        silent = {"show_progress": "hidden", "queue": False, **quiet}
        redraw = {
            "fn": self._to_parts(self.on_setting),
            "inputs": [part["session"], part["shown"], language, *settings],
            "outputs": self._named(*costs, *of_control),
            **silent,
        }
        redraw_maps = {
            "fn": self._to_parts(self.on_class),
            "inputs": [part["session"], part["shown"], *image_inputs],
            "outputs": self._named(*of_control),
            **silent,
        }
        # In the browser, at once: an answer of the server would undo what a quick hand has set.
        started = blocks.load(
            fn=None, inputs=sliders, outputs=[*sliders, language], js=scripts.START, **quiet
        )
        kept = [part["upload"], part["looking_for"], part["source"]]
        started.then(
            self._to_parts(self.on_load), [language, *settings], self._named(*load), **silent
        ).then(fn=None, inputs=kept, outputs=kept, js=scripts.RESTORE, **quiet)
        part["taps"].apply(fn=None, inputs=kept, js=scripts.KEEP, **quiet)
        part["taps"].clear(fn=None, js="() => null", outputs=part["upload"], **quiet)
        part["upload"].change(
            self._to_parts(self.on_image),
            inputs=[part["upload"], *image_inputs],
            outputs=self._named("session", "shown", *seen),
            show_progress="hidden",
            js=scripts.ASKED,
            trigger_mode="always_last",
            **of_models(),
            **quiet,
        ).then(fn=None, inputs=settings, js=scripts.JUDGED, **quiet)
        # Not gr.Examples: its answer is an update, and then Gradio makes the upload anew by class.
        part["taps"].select(
            self._on_drawing,
            outputs=part["upload"],
            show_progress="hidden",
            **quiet,
        )
        # What the server has forgotten meanwhile goes at once; and where a control was moved while
        # the models ran, it has the last word.
        part["taps"].back(**redraw)
        part["taps"].retry(**redraw_maps)
        late = {"fn": None, "inputs": [part["shown"], part["known"]], "js": scripts.LATE, **quiet}
        for control in settings:
            control.change(**redraw, trigger_mode="always_last").then(**late)
        for control in sliders:
            control.change(fn=None, inputs=sliders, js=scripts.REMEMBER, **quiet)
        for control in (part["class"], part["looking_for"]):
            control.change(**redraw_maps).then(**late)
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
            self._to_parts(self.on_insist),
            inputs=[part["session"], *image_inputs],
            outputs=self._named("session", *seen),
            **silent,
        )
        part["report"].click(
            self._to_parts(self.on_report),
            inputs=[part["session"], language, *settings],
            outputs=self._named("document", *seen),
            **silent,
        ).then(fn=None, inputs=part["document"], js=scripts.SAVE, **quiet)
        part["link"].click(fn=None, js=scripts.COPY, **quiet)
        part["preset"].click(
            fn=None, js=f"() => {100 * DEFAULT_TARGET:g}", outputs=part["slider"], **quiet
        )
        for percent in PRESETS:
            part[f"preset-{percent}"].click(
                fn=None, js=f"() => {percent}", outputs=part["prevalence"], **quiet
            )

        self.many.listen(part, settings, functools.partial(controls.setting, self.manifest))

    def _on_tap(self, looking_for: str, source: str, event: gr.EventData) -> float:
        return self.on_roc(looking_for, source, event)["slider"]

    def _on_drawing(self, event: gr.EventData) -> str:
        return str(EXAMPLES[event.name])

    def _to_parts(self, handler: Callable[..., dict[str, Any]]) -> Callable[..., dict]:
        """The handler with its answer by component, as Gradio wants it."""

        @functools.wraps(handler)
        def answer(*given: Any) -> dict:
            parts = {self.parts[name]: _sent(value) for name, value in handler(*given).items()}
            return parts or gr.skip()

        return answer

    def _named(self, *names: str) -> list[gr.components.Component]:
        """The parts of these names, each once."""
        return [self.parts[name] for name in dict.fromkeys(names)]


def _plain(value: Any) -> Any:
    """Markup as the text it is: Gradio sends exact strings."""
    return str(value) if isinstance(value, str) else value


def _sent(value: Any) -> Any:
    """As above, and no line of it begins with a percent sign."""
    return _LOOSE_PERCENT.sub("\u00a0%", str(value)) if isinstance(value, str) else value


def _note(said: str) -> str:
    return f'<p class="muted" role="status">{escape(said)}</p>'
