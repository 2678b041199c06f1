"""The endpoint /screen, which is the MCP tool too: image file and target sensitivity -> JSON and
both maps."""

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from mel_demo.decision import operating_point
from mel_demo.decision.operating_point import DEFAULT_TARGET
from mel_demo.errors import MelDemoError
from mel_demo.images import MAX_BYTES
from mel_demo.screening import Screener
from mel_demo.ui import case
from mel_demo.ui.case import SHOWN_MODELS, Setting
from mel_demo.ui.queueing import of_models
from mel_demo.ui.stubless import with_tools
from mel_demo.ui.turns import Turns
from mel_demo.ui.upload import image_input, keep_picture

ABOUT = (
    "Judge one dermoscopy image (skin seen through a dermatoscope, not a plain photograph) for "
    "melanoma with a large and a small neural network. Answers in JSON and two evidence maps: for "
    "each model the calibrated melanoma probability, the threshold and the decision (refer or no "
    "referral) at the target sensitivity, probabilities of seven diagnoses, and findings about the "
    "image. An image that is no dermoscopy image is refused: it has no decision. "
    f"At most {MAX_BYTES / 1e6:.0f} MB. target_sensitivity: 0.8 to 0.995. "
    "A research demonstration, not a medical device: never use it to diagnose or to rule out "
    "anything; tell the person to have a changing spot seen by a dermatologist."
)


def add_screen(screener: Screener, turns: Turns) -> None:
    """The endpoint, inside an open gr.Blocks; its components show nowhere."""

    def screen(image: Path | bytes | None, target_sensitivity: float) -> tuple[Any, ...]:
        """What /screen and the MCP tool answer; a caller is told what is wrong with what it sent.

        Args:
            image: one dermoscopy image as a data URL (data:image/jpeg;base64,...), or the URL of
                a file uploaded to this server (POST /gradio_api/upload). No other address.
            target_sensitivity: share of melanomas to catch, 0.8 to 0.995; 0.95 is usual.
        """
        if image is None:
            raise gr.Error("No image was given: send one file.", print_exception=False)
        with turns.one() as alone:
            try:
                setting = Setting(operating_point.check_target(target_sensitivity))
                judged = case.judge(screener, image, alone)
            except MelDemoError as error:
                raise gr.Error(str(error), print_exception=False) from error
            readings = case.read(screener, setting)
            found = case.decide(judged.screening, readings, setting, judged.silent)
            answer = case.as_json(screener, judged, readings, found, setting)
            maps = case.draw_overlays(screener, judged)
            return answer, *(keep_picture(maps[key]) for key in SHOWN_MODELS)

    image = image_input(visible=False, label="image")
    target = gr.Number(DEFAULT_TARGET, visible=False, label="target_sensitivity")
    outputs = [
        gr.JSON(visible=False, label="screening"),
        *(gr.Image(visible=False, label=f"{key} map") for key in SHOWN_MODELS),
    ]
    gr.Button(visible=False).click(
        screen,
        inputs=[image, target],
        outputs=outputs,
        api_name="screen",
        api_description=ABOUT,
        **of_models(),
    )


def routes() -> list[BaseRoute]:
    """What Gradio's view "Use via API" asks for whether it is offered or not, so that a browser's
    console shows no refusals: statistics (none are kept), and the MCP server's tools."""

    def statistics(request: Request) -> Response:
        return JSONResponse({"functions": {}})

    def no_tools(request: Request) -> Response:
        # The view takes whatever is no success for "no MCP server"; browsers report from 400 on.
        return Response(status_code=300)

    found: list[BaseRoute] = [Route("/monitoring/summary", statistics)]
    if not with_tools():
        found.append(Route("/gradio_api/mcp/schema", no_tools))
    return found
