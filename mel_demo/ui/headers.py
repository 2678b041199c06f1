"""What every answer of the server says to browsers about itself, in its headers."""

from typing import Any

from starlette.datastructures import MutableHeaders

from mel_demo.ui.lean import HASHED

POLICY = "; ".join(
    (
        "default-src 'self'",
        # Gradio's page holds its configuration inline, and compiles the handlers it is given.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        # Of a page within a Space, Gradio's client asks the Hub how the Space is.
        "connect-src 'self' data: blob: https://huggingface.co",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space",
    )
)
"""Nothing is fetched from elsewhere, and nobody but the Hub shows the page within their own."""
_POLICY = "Content-Security-Policy"
HEADERS = {
    _POLICY: POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_API = "/gradio_api/"
"""Uploads, questions and answers lie below it."""
_LOOK = "/gradio_api/theme.css"


class SafeHeaders:
    """ASGI middleware; an answer that says something of its own is left saying it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        private = path.startswith(_API) and path != _LOOK

        async def with_headers(message: dict) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    # A script or a style has no policy of its own, and there are seventy of them.
                    if not (name == _POLICY and path.startswith(HASHED)):
                        headers.setdefault(name, value)
                if private:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, with_headers)
