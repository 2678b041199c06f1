"""What a browser is told at the very beginning of the page, before it asks.

Our scripts come before Gradio's own: what Gradio adds to the head comes after its
words have been chosen, and the language must be known before. And Gradio's scripts import each
other several deep, which costs a slow network a round trip each: those that the first visit asked
for are named to all later ones.
"""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from mel_demo.ui.lean import ANSWERS, HASHED

MOST_MODULES = 100
_SCRIPT = "".join(
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("connection.js", "page.js", "upload.js")
)
_PLACE = b"<head>"
_MODULE = Markup('<link rel="modulepreload" crossorigin href="./{}">')


class EarlyScript:
    """ASGI middleware; touches the answer to GET / alone."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._modules: dict[str, None] = {}
        self._learned = False

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] == "http" and path == "/" and scope["method"] == "GET":
            await self._begin(scope, receive, send)
        elif not self._learned and path.startswith(HASHED) and path.endswith(".js"):
            await self._learn(path, scope, receive, send)
        else:
            # The page has all it needs when it asks for its content.
            self._learned = self._learned or (path == ANSWERS and bool(self._modules))
            await self._app(scope, receive, send)

    async def _learn(self, path: str, scope: dict, receive: Any, send: Any) -> None:
        async def watched(message: dict) -> None:
            if message.get("status") == 200 and len(self._modules) < MOST_MODULES:
                self._modules[path.removeprefix("/")] = None
            await send(message)

        await self._app(scope, receive, watched)

    async def _begin(self, scope: dict, receive: Any, send: Any) -> None:
        held: list[dict] = []
        body = bytearray()

        async def keep(message: dict) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            known = self._modules if self._learned else ()
            early = "".join(_MODULE.format(name) for name in known) + f"<script>{_SCRIPT}</script>"
            whole = bytes(body).replace(_PLACE, _PLACE + early.encode(), 1)
            start = held[0]
            headers = [item for item in start["headers"] if item[0].lower() != b"content-length"]
            headers.append((b"content-length", str(len(whole)).encode()))
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": whole})

        await self._app(scope, receive, keep)
