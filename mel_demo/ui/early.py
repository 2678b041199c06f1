"""What a browser is told at the very beginning of the page, before it asks.

Our scripts come before Gradio's own: what Gradio adds to the head comes after its words have been
chosen, and the language must be known before. And Gradio's scripts and styles ask for each other
several deep, which costs a slow network a round trip each: those that the first visit asked for are
named to all later ones, and sent as ``assets`` keeps them.
"""

import asyncio
from pathlib import Path
from typing import Any

import brotli
from starlette.datastructures import Headers
from starlette.responses import Response

from mel_demo.ui.assets import Assets
from mel_demo.ui.lean import ANSWERS, HASHED

_SCRIPT = "".join(
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("connection.js", "page.js", "upload.js")
)
_BEGINNING, _END = "<head>", "</head>"
_TYPES = {".js": "text/javascript", ".css": "text/css"}


class EarlyScript:
    """ASGI middleware; touches answers to GET of the page and of Gradio's files alone."""

    def __init__(self, app: Any, assets: Assets | None = None) -> None:
        self._app = app
        self._assets = assets or Assets()
        self._learned = False
        self._document = ""

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        get = scope["type"] == "http" and scope["method"] == "GET"
        if get and path == "/":
            await self._begin(scope, receive, send)
        elif get and path.startswith(HASHED) and Path(path).suffix in _TYPES:
            await self._asset(path.removeprefix(HASHED), scope, receive, send)
        else:
            # The page has all it needs when it asks for its content.
            if path == ANSWERS and self._assets.known and not self._learned:
                self._learned = True
                asyncio.get_running_loop().run_in_executor(None, self._assets.pack, self._document)
            await self._app(scope, receive, send)

    async def _asset(self, name: str, scope: dict, receive: Any, send: Any) -> None:
        async def watched(message: dict) -> None:
            if message.get("status") == 200:
                self._assets.learn(name)
            await send(message)

        kept = self._assets.get(name)
        if kept is None:
            await self._app(scope, receive, send if self._learned else watched)
            return
        headers = {"Vary": "Accept-Encoding"}
        if "br" in Headers(scope=scope).get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "br"
        else:
            kept = brotli.decompress(kept)
        await Response(kept, 200, headers, _TYPES[Path(name).suffix])(scope, receive, send)

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
            self._document = body.decode()
            modules = self._assets.modules() if self._learned else ""
            early = f"{_BEGINNING}{modules}<script>{_SCRIPT}</script>"
            late = self._assets.styles() + _END
            whole = self._document.replace(_BEGINNING, early, 1).replace(_END, late, 1).encode()
            start = held[0]
            headers = [item for item in start["headers"] if item[0].lower() != b"content-length"]
            headers.append((b"content-length", str(len(whole)).encode()))
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": whole})

        await self._app(scope, receive, keep)
