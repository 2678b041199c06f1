"""How many bytes of pictures the server takes in at a time, from all of its visitors together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from mel_demo.images import MAX_BYTES

IN_FLIGHT = 8 * MAX_BYTES
"""Of all requests that are being received, judged or answered."""
LARGEST = 2 * MAX_BYTES + 1_000_000
"""Of one: above the limit of a picture, so that its own message is the one that is read."""
SMALL = 100_000
"""What the page's controls send, which never waits."""
PATIENCE = 30
"""Seconds that a request waits for room before it is told to come again."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Bounded:
    """ASGI middleware. What finds no room is not read until there is some: its sender waits."""

    def __init__(self, app: Any, most: int = IN_FLIGHT, patience: float = PATIENCE) -> None:
        self._app = app
        self._most, self._patience = most, patience
        self._held = 0
        self._changed = asyncio.Condition()

    async def __call__(self, scope: dict, receive: Receive, send: Any) -> None:
        size = _announced(scope)
        if size <= SMALL:
            await self._app(scope, receive, send)
        elif size > LARGEST:
            text = f"The request has {size / 1e6:.1f} MB; at most {LARGEST / 1e6:.0f} MB are taken."
            await JSONResponse({"detail": text}, 413)(scope, receive, send)
        elif not await self._enter(size):
            text = "Too many pictures are being sent at the moment. Try again in a minute."
            headers = {"Retry-After": "60"}
            await JSONResponse({"detail": text}, 503, headers)(scope, receive, send)
        else:
            try:
                await self._app(scope, _up_to(size, receive), send)
            finally:
                async with self._changed:
                    self._held -= size
                    self._changed.notify_all()

    async def _enter(self, size: int) -> bool:
        try:
            async with asyncio.timeout(self._patience), self._changed:
                await self._changed.wait_for(lambda: self._held + size <= self._most)
                self._held += size
                return True
        except TimeoutError:
            return False


def _announced(scope: dict) -> int:
    """Bytes of a request's body; of one that does not say, the most that it may have."""
    if scope["type"] != "http":
        return 0
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers:
        return LARGEST
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def _up_to(size: int, receive: Receive) -> Receive:
    """The request, broken off where it has more bytes than it may."""
    received = 0

    async def counted() -> dict[str, Any]:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return message if received <= size else {"type": "http.disconnect"}

    return counted
