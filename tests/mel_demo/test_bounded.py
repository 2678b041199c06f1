"""What the server takes in at a time: requests wait for room, and are told when there is none."""

import asyncio
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.data_classes import PredictBodyInternal

from mel_demo.screening import Screener
from mel_demo.ui.bounded import LARGEST, SMALL, TOO_MANY, Bounded
from mel_demo.ui.page import Page
from mel_demo.ui.queueing import MOST_QUEUED_BYTES, MOST_UNREAD, tune
from mel_demo.ui.sessions import Sessions

MB = 1_000_000


class Held:
    """An app that reads a request, and answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.inside = self.most = self.bytes = 0
        self.broken_off = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            more = True
            while more:
                message = await receive()
                self.broken_off |= message["type"] == "http.disconnect"
                self.bytes += len(message.get("body", b""))
                more = message.get("more_body", False)
            await self.go.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
        finally:
            self.inside -= 1


async def post(app: Bounded, size: int, chunked: bool = False) -> int:
    """The status of the answer to so many bytes."""
    left = size
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        nonlocal left
        sent, left = min(left, MB), max(0, left - MB)
        return {"type": "http.request", "body": bytes(sent), "more_body": left > 0}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    header = (b"transfer-encoding", b"chunked") if chunked else (b"content-length", b"%d" % size)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [header]}
    await app(scope, receive, send)
    return statuses[0]


def test_what_finds_no_room_waits_and_is_taken_later() -> None:
    async def tried() -> None:
        inner = Held()
        app = Bounded(inner, most=10 * MB)
        posts = [asyncio.create_task(post(app, 4 * MB)) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert inner.inside == 2
        assert inner.bytes == 8 * MB, "the others are not read"
        small = asyncio.create_task(post(app, SMALL))
        await asyncio.sleep(0.05)
        assert inner.inside == 3, "a control of the page waits for no picture"
        inner.go.set()
        assert await asyncio.gather(*posts, small) == [200] * 6
        assert inner.most == 3

    asyncio.run(asyncio.wait_for(tried(), 30))


def test_who_waits_too_long_is_told_to_come_again() -> None:
    async def tried() -> None:
        inner = Held()
        app = Bounded(inner, most=10 * MB, patience=0.05)
        first = asyncio.create_task(post(app, 8 * MB))
        await asyncio.sleep(0.01)
        assert await post(app, 8 * MB) == 503
        inner.go.set()
        assert await first == 200
        assert await post(app, 8 * MB) == 200

    asyncio.run(asyncio.wait_for(tried(), 30))


@pytest.mark.parametrize("chunked", [False, True])
def test_one_that_is_too_large_is_not_read(chunked: bool) -> None:
    async def tried() -> None:
        inner = Held()
        inner.go.set()
        app = Bounded(inner)
        status = await post(app, LARGEST + 10 * MB, chunked)
        assert inner.bytes <= LARGEST
        assert inner.broken_off if chunked else status == 413

    asyncio.run(asyncio.wait_for(tried(), 30))


def test_a_request_that_fails_gives_its_room_back() -> None:
    async def failing(*_: Any) -> None:
        raise OSError("the visitor has gone")

    async def tried() -> None:
        app = Bounded(failing, most=MB, patience=0.05)
        for _ in range(3):
            with pytest.raises(OSError, match="has gone"):
                await post(app, MB)

    asyncio.run(asyncio.wait_for(tried(), 30))


def test_room_is_not_held_for_what_does_not_come() -> None:
    async def tried() -> None:
        async def reading(_: Any, receive: Any, send: Any) -> None:
            message = {"more_body": True}
            while message.get("more_body"):
                message = await receive()
            if message["type"] == "http.disconnect":
                raise OSError("the visitor has gone")
            await send({"type": "http.response.start", "status": 200, "headers": []})

        app = Bounded(reading, most=10 * MB, patience=5, silence=0.05)

        async def silent() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {"type": "http.request", "body": b"", "more_body": True}

        async def send(_: Any) -> None:
            pass

        scope = {"type": "http", "method": "POST", "path": "/"}
        scope["headers"] = [(b"content-length", b"%d" % (9 * MB))]
        waits = asyncio.create_task(app(scope, silent, send))
        await asyncio.sleep(0.01)
        assert await post(app, 8 * MB) == 200
        with pytest.raises(OSError, match="has gone"):
            await waits

    asyncio.run(asyncio.wait_for(tried(), 30))


@pytest.mark.parametrize(("waiting", "says"), [(MOST_QUEUED_BYTES, TOO_MANY), (0, "No function")])
def test_the_queue_holds_no_more_bytes_than_it_may(waiting: int, says: str) -> None:
    """Pictures may be sent within the requests that wait there."""

    def request(size: int) -> Any:
        return SimpleNamespace(
            scope={"type": "http", "headers": [(b"content-length", b"%d" % size)]}
        )

    with gr.Blocks() as blocks:
        pass
    tune(blocks)
    queue = blocks._queue
    held = SimpleNamespace(queue=[SimpleNamespace(request=request(waiting))])
    queue.event_queue_per_concurrency_id["models"] = held  # type: ignore[assignment]
    body: Any = SimpleNamespace(fn_index=None)
    taken, said, _ = asyncio.run(queue.push(body, request(MB), None))
    assert not taken
    assert says in str(said)


def test_answers_that_nobody_asks_for_do_not_pile_up(tiny_screener: Screener) -> None:
    """As of a crowd that leaves while it waits."""
    blocks = Page(tiny_screener).build()
    Sessions(blocks)
    queue = blocks._queue
    queue.max_size = None
    request: Any = SimpleNamespace(scope={"type": "http", "headers": []})

    async def come_and_go() -> None:
        fn = next(index for index, fn in blocks.fns.items() if fn.api_name == "screen")
        for visitor in range(3 * MOST_UNREAD):
            body = PredictBodyInternal(data=[None, 0.95], fn_index=fn, session_hash=f"{visitor}")
            assert (await queue.push(body, request, None))[0]
            for waiting in queue.event_queue_per_concurrency_id.values():
                waiting.queue.clear()

    asyncio.run(come_and_go())
    assert len(queue.pending_messages_per_session) == MOST_UNREAD
    assert len(queue.pending_event_ids_session) <= MOST_UNREAD + 1
