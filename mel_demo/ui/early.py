"""Puts page.js and upload.js into the page before Gradio's own scripts: what Gradio adds to the
head comes after its words have been chosen, and the language must be known before."""

from pathlib import Path
from typing import Any

_SCRIPT = "".join(
    Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.js", "upload.js")
)
_PLACE = b"<head>"


class EarlyScript:
    """ASGI middleware; touches the answer to GET / alone."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        held: list[dict] = []
        body = bytearray()

        async def keep(message: dict) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            whole = bytes(body).replace(_PLACE, _PLACE + f"<script>{_SCRIPT}</script>".encode(), 1)
            start = held[0]
            headers = [item for item in start["headers"] if item[0].lower() != b"content-length"]
            headers.append((b"content-length", str(len(whole)).encode()))
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": whole})

        await self._app(scope, receive, keep)
