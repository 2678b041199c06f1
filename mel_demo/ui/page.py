"""The page: its layout, and which event redraws what.

An upload runs the models once and keeps their answers in the session; the slider only looks up
another row of the operating table and redraws the panels that depend on it.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from mel_demo import figures
from mel_demo.errors import MelDemoError
from mel_demo.images import MAX_BYTES
from mel_demo.operating_point import DEFAULT_TARGET, MAX_TARGET, MIN_TARGET
from mel_demo.screening import Screener
from mel_demo.ui import judge, panels, words
from mel_demo.ui.about import about
from mel_demo.ui.theme import STYLE, theme
from mel_demo.ui.upload import image_input

TITLE = "Melanoma screening, teacher and student"
FILES_SECONDS, SESSION_SECONDS = 600, 3600
"""How long an upload's copy, and a session's numbers, stay on the server."""
SHOWN_MODELS = ("teacher", "student")
_REAR_CAMERA = {"video": {"facingMode": {"ideal": "environment"}}}


class Page:
    """The page's handlers around one Screener; ``build`` lays it out."""

    def __init__(self, screener: Screener) -> None:
        self.screener = screener
        self.manifest = screener.manifest

    def build(self) -> gr.Blocks:
        """Components and events; nothing is launched."""
        points = judge.choose_points(self.screener, DEFAULT_TARGET)
        with gr.Blocks(
            title=TITLE, analytics_enabled=False, delete_cache=(FILES_SECONDS // 2, FILES_SECONDS)
        ) as blocks:
            session = gr.State(None, time_to_live=SESSION_SECONDS)
            gr.HTML(panels.HEADER)
            with gr.Row():
                with gr.Column(scale=5, min_width=300):
                    upload = image_input(
                        label="Dermoscopy image",
                        sources=["upload", "webcam", "clipboard"],
                        webcam_options=gr.WebcamOptions(mirror=False, constraints=_REAR_CAMERA),
                        height=340,
                        buttons=["fullscreen"],
                        elem_id="upload",
                        alt_text="The image to judge",
                    )
                with gr.Column(scale=7, min_width=300):
                    status = gr.HTML(panels.waiting(), elem_id="status")
                    verdicts = gr.HTML(panels.verdicts(self.manifest, points), elem_id="verdicts")
                    with gr.Row(equal_height=True):
                        slider = gr.Slider(
                            minimum=100 * MIN_TARGET,
                            maximum=100 * MAX_TARGET,
                            value=100 * DEFAULT_TARGET,
                            step=0.5,
                            label="Share of melanomas to catch, in percent (sensitivity)",
                            info="Higher misses fewer melanomas and raises more false alarms.",
                            scale=8,
                            min_width=280,
                            elem_id="target",
                            buttons=[],
                        )
                        preset = gr.Button(
                            f"Back to {words.target(DEFAULT_TARGET)}",
                            scale=1,
                            min_width=120,
                            elem_classes="preset",
                            elem_id="preset",
                        )
            gr.HTML('<section class="section"><h2>What this setting costs</h2></section>')
            with gr.Row():
                with gr.Column(scale=7, min_width=300):
                    measured = gr.HTML(panels.measured(self.manifest, points), elem_id="measured")
                with gr.Column(scale=5, min_width=300):
                    gr.HTML(panels.ROC_INTRO)
                    roc = gr.Plot(
                        self.roc(points),
                        show_label=False,
                        elem_id="roc",
                        buttons=[],
                    )
            gr.HTML(
                '<section class="section"><h2>What spoke for melanoma</h2><p>Drag the handle: the '
                "bare image on the left, the evidence map on the right, from blue (some) to yellow "
                "(most). The darker margin was not judged.</p></section>"
            )
            maps, captions = [], []
            with gr.Row():
                for key in SHOWN_MODELS:
                    with gr.Column(min_width=300):
                        maps.append(
                            gr.ImageSlider(
                                label=f"Evidence map of the {key}",
                                format="jpeg",
                                height=320,
                                interactive=False,
                                buttons=["fullscreen"],
                                elem_id=f"map-{key}",
                            )
                        )
                        caption = panels.evidence(self.manifest.models[key], None)
                        captions.append(gr.HTML(caption, elem_id=f"caption-{key}"))
            gr.HTML('<section class="section"><h2>What else it could be</h2></section>')
            differential = gr.HTML(panels.differential(None), elem_id="differential")
            with gr.Accordion("About the models, the data and their limits", open=False):
                gr.HTML(about(self.manifest), elem_classes="about")

            setting = [status, verdicts, measured, roc]
            upload.change(
                self.on_image,
                inputs=[upload, slider],
                outputs=[session, *setting, *maps, *captions, differential],
                show_progress="minimal",
                show_progress_on=[verdicts],
                trigger_mode="always_last",
                concurrency_limit=2,
                api_visibility="private",
            ).then(
                # The slider may have moved while the models ran: its setting has the last word.
                self.on_target,
                inputs=[session, slider],
                outputs=setting,
                show_progress="hidden",
                queue=False,
                api_visibility="private",
            )
            slider.change(
                self.on_target,
                inputs=[session, slider],
                outputs=setting,
                show_progress="hidden",
                trigger_mode="always_last",
                queue=False,
                api_visibility="private",
            )
            preset.click(
                fn=None,
                js=f"() => {100 * DEFAULT_TARGET:g}",
                outputs=slider,
                api_visibility="private",
            )
            self._api()
        return blocks

    def on_image(self, source: Path | bytes | None, percent: float) -> tuple[Any, ...]:
        """Judge a new image, or say why it cannot be judged; the setting stays either way."""
        if source is None:
            return self._empty(panels.waiting(), percent)
        try:
            judged = judge.judge(self.screener, source)
        except MelDemoError as error:
            return self._empty(panels.problem(str(error)), percent)
        screening = judged.screening
        # The session keeps numbers alone: pictures go to the browser once.
        kept = replace(judged, screening=replace(screening, image=np.empty(0)), overlays={})
        predictions = screening.predictions
        specs = [self.manifest.models[key] for key in SHOWN_MODELS]
        return (
            kept,
            *self.on_target(kept, percent),
            *((screening.image, judged.overlays[key]) for key in SHOWN_MODELS),
            *(panels.evidence(spec, predictions[spec.key]) for spec in specs),
            panels.differential(_shown(predictions)),
        )

    def on_target(self, judged: judge.Judged | None, percent: float) -> tuple[Any, ...]:
        """Status, verdicts, measured and ROC at a target sensitivity in percent. Runs no model."""
        points = _shown(judge.choose_points(self.screener, percent / 100))
        if judged is None:
            status, verdicts = gr.skip(), panels.verdicts(self.manifest, points)
        else:
            screening = judged.screening
            decisions = judge.decide(self.screener, screening, points)
            status = panels.status(decisions, screening.findings, judged.milliseconds)
            verdicts = panels.verdicts(self.manifest, points, screening.predictions, decisions)
        return status, verdicts, panels.measured(self.manifest, points), self.roc(points)

    def roc(self, points: dict) -> Any:
        """The ROC figure with the chosen points."""
        return figures.roc_figure(self.manifest, points, words.ROLES)

    def _empty(self, status: str, percent: float) -> tuple[Any, ...]:
        captions = [panels.evidence(self.manifest.models[key], None) for key in SHOWN_MODELS]
        _, *rest = self.on_target(None, percent)
        return (
            None,
            status,
            *rest,
            *(None for _ in SHOWN_MODELS),
            *captions,
            panels.differential(None),
        )

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
            points = judge.choose_points(self.screener, target_sensitivity)
            judged = judge.judge(self.screener, image)
        except MelDemoError as error:
            raise gr.Error(str(error), print_exception=False) from error
        decisions = judge.decide(self.screener, judged.screening, points)
        answer = judge.as_json(self.screener, judged, points, decisions)
        return answer, *(judged.overlays[key] for key in SHOWN_MODELS)


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a value a model, those the page sets side by side; the API gives all."""
    return {key: values[key] for key in SHOWN_MODELS}


def build(screener: Screener | None = None) -> gr.Blocks:
    """The page on ``screener``, or on the default weights (ManifestError, WeightsError)."""
    return Page(screener or Screener()).build()


def launch_options() -> dict[str, Any]:
    """What ``Blocks.launch`` is given everywhere: look, privacy and limits."""
    return {
        "theme": theme(),
        "css_paths": STYLE,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "share": False,
        "enable_monitoring": False,
        # Above our own limit, so that the page's own message is the one that is read.
        "max_file_size": 2 * MAX_BYTES,
        "show_error": True,
    }
