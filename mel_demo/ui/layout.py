"""Where everything stands: the page's components by name, without any event.

Labels are keys of ``locales`` and are translated in the browser; everything else is filled in by
``view``.
"""

from typing import Any

import gradio as gr

from mel_demo.decision.operating_point import DEFAULT_TARGET, MAX_TARGET, MIN_TARGET
from mel_demo.decision.prevalence import DEFAULT_PREVALENCE, MAX_PREVALENCE, MIN_PREVALENCE
from mel_demo.manifest import CLASS_NAMES, MELANOMA
from mel_demo.texts import LANGUAGES, catalogue
from mel_demo.ui import scripts
from mel_demo.ui.case import SHOWN_MODELS
from mel_demo.ui.many import Many
from mel_demo.ui.upload import image_input

PRESETS = (1, 2, 11)
"""Prevalences in percent with a button of their own."""
TRANSLATIONS = gr.I18n(
    **{
        language: {
            key: text
            for key, text in catalogue(language).items()
            if key.startswith(("label_", "tab_", "dx_"))
        }
        for language in LANGUAGES
    }
)
"""Of the components that Gradio labels: every visitor gets them in all languages."""
_REAR_CAMERA = {"video": {"facingMode": {"ideal": "environment"}}}
_tr = TRANSLATIONS


class Layout:
    """Builds the components inside an open gr.Blocks; ``parts`` holds them by name.

    ``start``: the first value of each part that ``view`` fills. ``session_seconds``: how long a
    session's state is kept. ``offers``: whether there is any skin cancer to look for, and whether
    there are figures of other clinics. ``many``: lays out the tab of its name.
    """

    def __init__(
        self, start: dict[str, Any], session_seconds: int, offers: tuple[bool, bool], many: Many
    ) -> None:
        self._start, self._offers = start, offers
        self.parts: dict[str, Any] = {
            "session": gr.State(None, time_to_live=session_seconds),
            # In the browser: the server may have forgotten the whole session.
            "shown": gr.Checkbox(False, visible=False),
            # Whether an image was there when what stands on the page was asked for.
            "known": gr.Checkbox(False, visible=False),
            "document": gr.Textbox(visible=False),
            "taps": gr.HTML("", js_on_load=scripts.TAPS, elem_id="taps"),
            "language": gr.Textbox(LANGUAGES[0], visible=False),
        }
        self._html("header")
        with gr.Group(elem_id="stage"):
            with gr.Column(elem_id="start"):
                self._upload()
            with gr.Column(elem_id="answer"):
                self._verdicts()
        self._controls()
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            for name, fill in (
                ("evidence", self._evidence),
                ("costs", self._costs),
                ("certainty", self._certainty),
                ("groups", self._groups),
                ("many", lambda: self.parts.update(many.lay_out(start["many"]))),
                ("about", self._about),
            ):
                with gr.Tab(_tr(f"tab_{name}"), id=name, elem_id=f"tab-{name}"):
                    fill()
        self._html("footer")

    def _html(self, name: str, **options: Any) -> None:
        self.parts[name] = gr.HTML(str(self._start.get(name, "")), elem_id=name, **options)

    def _upload(self) -> None:
        self.parts["upload"] = image_input(
            label=_tr("label_upload"),
            sources=["upload", "webcam", "clipboard"],
            webcam_options=gr.WebcamOptions(mirror=False, constraints=_REAR_CAMERA),
            height=220,
            buttons=[],
            elem_id="upload",
            alt_text="The image to judge",
        )
        self._html("preview", visible="hidden")
        self._html("examples")

    def _verdicts(self) -> None:
        self._html("hero")
        self.parts["insist"] = gr.Button(
            _tr("label_insist"), visible=False, elem_id="insist", elem_classes="preset"
        )
        self._html("pictures")
        self._html("cards")

    def _controls(self) -> None:
        with gr.Row(elem_id="controls"):
            with gr.Row(elem_id="wish"):
                self.parts["slider"] = _slider(
                    minimum=100 * MIN_TARGET,
                    maximum=100 * MAX_TARGET,
                    value=100 * DEFAULT_TARGET,
                    step=0.1,
                    label=_tr("label_target"),
                    elem_id="target",
                    buttons=[],
                )
                self._button("preset")
            self._html("price")
        with gr.Row(elem_id="actions"):
            self._radio("looking_for", ("melanoma", "skin_cancer"), self._offers[0])
            self._radio("source", ("holdout", "external"), self._offers[1])
            self._button("link")
            self._button("report", interactive=False)
        with gr.Accordion(_tr("label_more_ways"), open=False, elem_id="more-ways"):
            with gr.Row():
                self.parts["threshold_of"] = gr.Radio(
                    [(_tr(f"label_{key}"), key) for key in SHOWN_MODELS],
                    value=SHOWN_MODELS[0],
                    label=_tr("label_threshold_model"),
                    elem_id="threshold-of",
                )
                self.parts["threshold"] = gr.Number(
                    self._start["threshold"],
                    label=_tr("label_threshold"),
                    info=_tr("label_threshold_info"),
                    elem_id="threshold",
                )
            self._html("landed")

    def _radio(self, name: str, choices: tuple[str, ...], offered: bool) -> None:
        self.parts[name] = gr.Radio(
            [(_tr(f"label_{choice}"), choice) for choice in choices],
            value=choices[0],
            label=_tr(f"label_{name}"),
            elem_id=name.replace("_", "-"),
            elem_classes="switch",
            visible=offered,
        )

    def _costs(self) -> None:
        self._html("costs")
        self._html("measured")
        self._html("roc-section")
        self._html("roc")
        self._html("people")
        with gr.Row(equal_height=True, elem_id="common"):
            self.parts["prevalence"] = _slider(
                minimum=100 * MIN_PREVALENCE,
                maximum=100 * MAX_PREVALENCE,
                value=100 * DEFAULT_PREVALENCE,
                step=0.1,
                label=_tr("label_prevalence"),
                scale=6,
                min_width=280,
                elem_id="prevalence",
                buttons=[],
            )
            for percent in PRESETS:
                self._button(f"preset-{percent}", f"prevalence_{percent}", scale=1)
        self._html("crowds")
        self._html("strip")
        self._html("table")

    def _evidence(self) -> None:
        self._html("evidence")
        self.parts["class"] = gr.Dropdown(
            [(_tr(f"dx_{name}"), index) for index, name in enumerate(CLASS_NAMES)],
            value=MELANOMA,
            label=_tr("label_class"),
            elem_id="class",
        )
        self._html("legend")
        self._html("maps")
        self._html("captions")
        self._html("agreement")
        self._html("differential")
        self._html("classes")
        self._html("faithful")

    def _certainty(self) -> None:
        self._html("certainty")
        self._html("bands")
        with gr.Row(elem_id="curves"):
            for name in ("reliability", "decision"):
                with gr.Column(min_width=300):
                    self._html(name)
                    self._html(f"{name}-plot")

    def _groups(self) -> None:
        self._html("groups")
        self._html("subgroups")

    def _about(self) -> None:
        self._html("about", elem_classes="about")

    def _button(self, name: str, label: str | None = None, **options: Any) -> None:
        self.parts[name] = gr.Button(
            _tr(f"label_{label or name}"),
            min_width=120,
            elem_classes="preset",
            elem_id=name,
            **options,
        )


def _slider(**options: Any) -> gr.Slider:
    """A slider whose emptied number box reaches the handler as None instead of failing."""
    slider = gr.Slider(**options)
    slider.preprocess = lambda payload: payload  # type: ignore[method-assign]
    return slider
