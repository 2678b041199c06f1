"""As little over the wire as possible: what Gradio leaves uncompressed, what is asked for again."""

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware

ANSWERS = "/gradio_api/run/predict"
"""Where every event asks that does not wait in the queue."""
HASHED = "/assets/"
"""Gradio's scripts and styles: a new version has a new name."""


class Lean:
    """ASGI middleware. Gradio compresses files by their name's ending and tells nobody to keep
    them; the page itself and answers have no such name and weigh five times what they could."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._packed = GZipMiddleware(app, minimum_size=1000, compresslevel=6)

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))

        async def keeping(message: dict) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message)["cache-control"] = (
                    "public, max-age=31536000, immutable"
                )
            await send(message)

        if path in ("/", ANSWERS):
            await self._packed(scope, receive, send)
        else:
            await self._app(scope, receive, keeping if path.startswith(HASHED) else send)
