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

from mel_demo.decision import operating_point
from mel_demo.decision.operating_point import DEFAULT_TARGET, MAX_TARGET, MIN_TARGET, OperatingPoint
from mel_demo.decision.prevalence import DEFAULT_PREVALENCE, MAX_PREVALENCE, MIN_PREVALENCE
from mel_demo.errors import MelDemoError
from mel_demo.images import MAX_BYTES
from mel_demo.manifest import MELANOMA
from mel_demo.phone.serve import routes as phone_routes
from mel_demo.screening import Screener
from mel_demo.texts import LANGUAGES, Texts, catalogue, preferred
from mel_demo.ui import case, scripts, verdict, view
from mel_demo.ui.case import Judged
from mel_demo.ui.layout import PRESETS, TRANSLATIONS, Layout
from mel_demo.ui.theme import HEAD, STYLE, theme
from mel_demo.ui.upload import image_input
from mel_demo.ui.view import SHOWN_MODELS, Setting

TITLE = catalogue(LANGUAGES[0])["title"]
FILES_SECONDS, SESSION_SECONDS = 600, 3600
"""How long an upload's copy, and a session's numbers and picture, stay on the server."""
CHANGED = ("session", "shown", "status", "insist", "report", "document")
"""Parts that handlers change beside those of ``view``."""


class Page:
    """The page's handlers around one Screener; ``build`` lays it out.

    A handler answers with values by the name of the part of the page they go to.
    """

    def __init__(self, screener: Screener) -> None:
        self.screener = screener
        self.manifest = screener.manifest
        self.parts: dict[str, gr.components.Component] = {}
        self._outputs: list[gr.components.Component] = []

    def build(self) -> gr.Blocks:
        """Components and events; nothing is launched."""
        with gr.Blocks(
            title=TITLE, analytics_enabled=False, delete_cache=(FILES_SECONDS // 2, FILES_SECONDS)
        ) as blocks:
            start = view.of_setting(Texts(), self.screener, None, Setting())
            start |= self.on_target(100 * DEFAULT_TARGET, SHOWN_MODELS[0])
            start |= view.of_image(Texts(), self.screener, None, Setting())
            start |= self.on_load()
            self.parts = Layout(start, SESSION_SECONDS).parts
            # No control: no answer is to take it from under a hand that drags or types. And no
            # upload: an output is made anew by its class, without our own preprocess.
            shown = {*start, *CHANGED} - {"threshold"}
            self._outputs = [self.parts[name] for name in shown & self.parts.keys()]
            self._listen(blocks)
            self._api()
        return blocks

    def on_load(self, request: gr.Request | None = None) -> dict[str, Any]:
        """The page in the reader's language; what shows a setting or an image is redrawn after."""
        t = _texts(request)
        return {"status": verdict.waiting(t), **view.of_language(t, self.screener)}

    def on_image(
        self,
        source: Path | bytes | None,
        percent: float,
        prevalence: float,
        index: int,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Judge a new image, or say why it cannot be judged; the setting stays either way."""
        t, setting = _texts(request), _setting(percent, prevalence, index)
        judged, maps, status = None, None, verdict.waiting(t)
        if source is not None:
            try:
                judged, maps = case.judge(self.screener, source)
            except MelDemoError as error:
                status = verdict.problem(t, str(error))
        return {
            "session": judged.kept() if judged else None,
            "shown": judged is not None,
            "status": status,
            "insist": gr.update(visible=judged is not None and judged.silent),
            "report": gr.update(interactive=judged is not None and not judged.silent),
            **view.of_setting(t, self.screener, judged, setting),
            **view.of_image(t, self.screener, judged, setting, maps),
        }

    def on_setting(
        self,
        judged: Judged | None,
        was_shown: bool,
        percent: float,
        prevalence: float,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """What a target sensitivity and a prevalence in percent change. Runs no model."""
        t, setting = _texts(request), _setting(percent, prevalence)
        parts = view.of_setting(t, self.screener, judged, setting)
        if judged is None and was_shown:
            parts["status"] = verdict.forgotten(t)
        return parts

    def on_class(
        self, judged: Judged | None, index: int, request: gr.Request | None = None
    ) -> dict[str, Any]:
        """The maps of another diagnosis. Runs no model: all maps came with the verdict."""
        return view.of_image(_texts(request), self.screener, judged, Setting(index=index))

    def on_view(self, place: int) -> dict[str, Any]:
        """Both maps' handles at ``place``, percent from the left: all image, all map, or halves."""
        return {f"map-{key}": gr.update(slider_position=place) for key in SHOWN_MODELS}

    def on_insist(
        self,
        judged: Judged | None,
        percent: float,
        prevalence: float,
        index: int,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """The verdict on an image that was refused, because the person wants it."""
        if judged is None:
            return {"status": verdict.forgotten(_texts(request))}
        t, setting = _texts(request), _setting(percent, prevalence, index)
        judged = replace(judged, insisted=True)
        return {
            "session": judged,
            "insist": gr.update(visible=False),
            "report": gr.update(interactive=True),
            **view.of_setting(t, self.screener, judged, setting),
            **view.of_image(t, self.screener, judged, setting),
        }

    def on_target(self, percent: float, key: str) -> dict[str, Any]:
        """The threshold of this model at a target sensitivity, both in percent, for its box."""
        table = self.manifest.models[key].operating_table
        point = operating_point.choose(table, _target(percent))
        return {"threshold": round(100 * point.threshold, 4)}

    def on_threshold(self, percent: float | None, key: str) -> dict[str, Any]:
        """Move the slider to where this model's threshold is the nearest to one in percent."""
        if percent is None:
            return {"slider": gr.skip()}
        table = self.manifest.models[key].operating_table
        point = operating_point.choose_by_threshold(table, min(max(percent / 100, 0), 1))
        return {"slider": _slider_value(point.target_sensitivity)}

    def on_roc(self, event: gr.EventData) -> dict[str, Any]:
        """Move the slider to the setting nearest to a tapped point of the ROC figure."""
        tap = float(event.x), float(event.y)
        points = [
            operating_point.choose_by_roc(self.manifest.models[key].operating_table, *tap)
            for key in SHOWN_MODELS
        ]
        nearest = min(points, key=lambda point: _distance(point, *tap))
        return {"slider": _slider_value(nearest.target_sensitivity)}

    def on_report(
        self,
        judged: Judged | None,
        percent: float,
        prevalence: float,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """The report as one HTML document, which never touches the server's disk."""
        if judged is None:
            return {"status": verdict.forgotten(_texts(request)), "document": ""}
        setting = _setting(percent, prevalence)
        return {"document": view.report_of(_texts(request), self.screener, judged, setting)}

    def _listen(self, blocks: gr.Blocks) -> None:
        part = self.parts
        setting = [part["slider"], part["prevalence"]]
        image_inputs = [part["upload"], *setting, part["class"]]
        silent = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
        quick = {"outputs": self._outputs, **silent}
        redraw = {
            "fn": self._to_parts(self.on_setting),
            "inputs": [part["session"], part["shown"], *setting],
            **quick,
        }
        redraw_maps = {
            "fn": self._to_parts(self.on_class),
            "inputs": [part["session"], part["class"]],
            **quick,
        }
        # In the browser, at once: an answer of the server would undo what a quick hand has set.
        blocks.load(
            fn=None,
            inputs=setting,
            outputs=setting,
            js=scripts.SETTING_OF_LINK,
            api_visibility="private",
        )
        loaded = blocks.load(self._to_parts(self.on_load), **quick)
        loaded.then(**redraw).then(**redraw_maps)
        loaded.then(
            fn=None,
            inputs=part["drawings"],
            js=scripts.NAME_DRAWINGS,
            api_visibility="private",
        )
        part["upload"].change(
            self._to_parts(self.on_image),
            inputs=image_inputs,
            outputs=self._outputs,
            show_progress="minimal",
            show_progress_on=[part["cards"]],
            trigger_mode="always_last",
            concurrency_limit=2,
            api_visibility="private",
        ).then(**redraw)  # The slider may have moved while the models ran: it has the last word.
        # Not gr.Examples: its answer is an update, and then Gradio makes the upload anew by class.
        part["examples"].click(
            lambda index: str(view.EXAMPLES[index]),
            inputs=part["examples"],
            outputs=part["upload"],
            show_progress="hidden",
            api_visibility="private",
        )
        for control in setting:
            control.change(**redraw, trigger_mode="always_last")
            control.change(fn=None, inputs=setting, js=scripts.REMEMBER, api_visibility="private")
        part["class"].change(**redraw_maps)
        for control in (part["slider"], part["threshold_of"]):
            control.change(
                self._to_parts(self.on_target),
                inputs=[part["slider"], part["threshold_of"]],
                outputs=part["threshold"],
                trigger_mode="always_last",
                **silent,
            )
        part["threshold"].submit(
            self._to_parts(self.on_threshold),
            inputs=[part["threshold"], part["threshold_of"]],
            outputs=part["slider"],
            **silent,
        )
        part["taps"].click(self._to_parts(self.on_roc), outputs=part["slider"], **silent)
        part["insist"].click(
            self._to_parts(self.on_insist),
            inputs=[part["session"], *image_inputs[1:]],
            **quick,
        )
        part["report"].click(
            self._to_parts(self.on_report), inputs=[part["session"], *setting], **quick
        ).then(fn=None, inputs=part["document"], js=scripts.SAVE, api_visibility="private")
        part["link"].click(fn=None, js=scripts.COPY, api_visibility="private")
        part["view"].change(self._to_parts(self.on_view), inputs=part["view"], **quick)
        part["preset"].click(
            fn=None,
            js=f"() => {100 * DEFAULT_TARGET:g}",
            outputs=part["slider"],
            api_visibility="private",
        )
        for percent in PRESETS:
            part[f"preset-{percent}"].click(
                fn=None,
                js=f"() => {percent}",
                outputs=part["prevalence"],
                api_visibility="private",
            )

    def _to_parts(self, handler: Callable[..., dict[str, Any]]) -> Callable[..., dict]:
        """The handler with its answer by component, as Gradio wants it."""

        @functools.wraps(handler)
        def answer(*given: Any) -> dict:
            return {self.parts[name]: value for name, value in handler(*given).items()}

        return answer

    def _api(self) -> None:
        """The endpoint /screen: image file and target sensitivity -> JSON and both maps."""
        image = image_input(visible=False, label="image")
        target = gr.Number(DEFAULT_TARGET, visible=False, label="target_sensitivity")
        outputs = [
            gr.JSON(visible=False, label="screening"),
            *(gr.Image(visible=False, label=f"{key} map", format="png") for key in SHOWN_MODELS),
        ]
        gr.Button(visible=False).click(
            self.screen,
            inputs=[image, target],
            outputs=outputs,
            api_name="screen",
            api_description="Judge one dermoscopy image with all models. target_sensitivity: 0.8 "
            "to 0.995. A research demonstration, not a medical device.",
            concurrency_limit=2,
        )

    def screen(self, image: Path | bytes | None, target_sensitivity: float) -> tuple[Any, ...]:
        """What /screen answers; the client is told what is wrong with the image or the target."""
        if image is None:
            raise gr.Error("No image was given: send one file.", print_exception=False)
        try:
            points = case.choose_points(self.screener, target_sensitivity)
            judged, maps = case.judge(self.screener, image)
        except MelDemoError as error:
            raise gr.Error(str(error), print_exception=False) from error
        verdicts = case.decide(self.screener, judged.screening, points)
        answer = case.as_json(self.screener, judged, points, verdicts)
        return answer, *(maps[key] for key in SHOWN_MODELS)


def _texts(request: gr.Request | None) -> Texts:
    """The page's words in the language that the reader's browser asks for."""
    return Texts(preferred(request.headers.get("accept-language") if request else None))


def _setting(percent: float, prevalence: float, index: int = MELANOMA) -> Setting:
    """What the controls say, in 0..1; their number boxes can be left empty or out of range."""
    return Setting(
        _target(percent),
        _within(prevalence, 100 * MIN_PREVALENCE, 100 * MAX_PREVALENCE, 100 * DEFAULT_PREVALENCE)
        / 100,
        index,
    )


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


def _distance(point: OperatingPoint, false_alarm_rate: float, sensitivity: float) -> float:
    """How far a point's mark lies from a place in the ROC figure."""
    counts = point.row.holdout
    return math.dist(
        (counts.fp / counts.others, counts.tp / counts.melanomas), (false_alarm_rate, sensitivity)
    )


def build(screener: Screener | None = None) -> gr.Blocks:
    """The page on ``screener``, or on the default weights (ManifestError, WeightsError)."""
    return Page(screener or Screener()).build()


def launch_options() -> dict[str, Any]:
    """What ``Blocks.launch`` is given everywhere: look, language, privacy and limits."""
    return {
        "app_kwargs": {"routes": phone_routes()},
        "theme": theme(),
        "css_paths": STYLE,
        "head": HEAD,
        "i18n": TRANSLATIONS,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "share": False,
        "enable_monitoring": False,
        # Above our own limit, so that the page's own message is the one that is read.
        "max_file_size": 2 * MAX_BYTES,
        "show_error": True,
    }
