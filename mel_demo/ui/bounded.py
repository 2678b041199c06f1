"""How many bytes of pictures the server takes in at a time, from all of its visitors together."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
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
SILENCE, SLOWEST = 10, 50_000
"""Seconds without a byte, and bytes a second over the whole of a request, that are waited for: room
that is held for what does not come is nobody else's."""
TOO_MANY = "Too many pictures are being sent at the moment. Try again in a minute."

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Bounded:
    """ASGI middleware. What finds no room is not read until there is some: its sender waits."""

    def __init__(
        self,
        app: Any,
        most: int = IN_FLIGHT,
        patience: float = PATIENCE,
        silence: float = SILENCE,
    ) -> None:
        self._app = app
        self._most, self._patience, self._silence = most, patience, silence
        self._held = 0
        self._changed = asyncio.Condition()

    async def __call__(self, scope: dict, receive: Receive, send: Any) -> None:
        size = announced(scope)
        if size <= SMALL:
            await self._app(scope, receive, send)
        elif size > LARGEST:
            text = f"The request has {size / 1e6:.1f} MB; at most {LARGEST / 1e6:.0f} MB are taken."
            await JSONResponse({"detail": text}, 413)(scope, receive, send)
        elif not await self._enter(size):
            headers = {"Retry-After": "60"}
            await JSONResponse({"detail": TOO_MANY}, 503, headers)(scope, receive, send)
        else:
            try:
                await self._app(scope, _in_time(size, self._silence, receive), send)
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


def announced(scope: MutableMapping[str, Any]) -> int:
    """Bytes of a request's body; of one that does not say, the most that it may have."""
    if scope["type"] != "http":
        return 0
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers:
        return LARGEST
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def _in_time(size: int, silence: float, receive: Receive) -> Receive:
    """The request, broken off where it has more bytes than it may, or where they do not come."""
    received, whole = 0, False
    end = time.monotonic() + silence + size / SLOWEST

    async def counted() -> dict[str, Any]:
        nonlocal received, whole
        if whole:  # what comes now is that the visitor has gone
            return await receive()
        try:
            async with asyncio.timeout(min(silence, end - time.monotonic())):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        received += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return message if received <= size else {"type": "http.disconnect"}

    return counted
