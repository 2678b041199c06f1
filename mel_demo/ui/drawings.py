"""Drawings to try the page with: which there are, their thumbnails, and who sends them."""

import io
from functools import cache
from pathlib import Path

from markupsafe import Markup
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mel_demo.pictures.markup import render
from mel_demo.texts import Texts, catalogue

EXAMPLES = {
    name: Path(__file__).with_name("examples") / f"{name}.jpg"
    for key in catalogue("en")
    for name in [key.removeprefix("drawing_")]
    if key != name
}
"""By name, made by the painter in docs/, in the order to show them."""
SMALL = (144, 108)
"""Pixels of a thumbnail: twice what it is shown at."""


def strip(t: Texts) -> Markup:
    """A button a drawing."""
    return render("drawings.html", t, names=tuple(EXAMPLES))


def routes() -> list[BaseRoute]:
    """/drawings/NAME.jpg, the thumbnails: the drawings themselves weigh fifteen times as much."""

    def send(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in EXAMPLES:
            return Response(status_code=404)
        headers = {"cache-control": "public, max-age=86400"}
        return Response(_small(name), media_type="image/jpeg", headers=headers)

    return [Route("/drawings/{name}.jpg", send)]


@cache
def _small(name: str) -> bytes:
    file = io.BytesIO()
    with Image.open(EXAMPLES[name]) as image:
        image.draft("RGB", SMALL)
        image.resize(SMALL, Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return file.getvalue()
