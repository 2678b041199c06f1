"""Gradio's queue, set for a crowd and for an idle server, and closed to what is not offered."""

import functools
from typing import Any

import gradio as gr
from gradio.data_classes import _StaticFiles
from gradio.utils import LRUCache
from starlette.requests import Request

from mel_demo.images import MAX_BYTES
from mel_demo.inference import cores
from mel_demo.ui.bounded import TOO_MANY, announced
from mel_demo.ui.upload import not_uploaded

MOST_QUEUED = 300
"""Uploads that wait; who comes then is told to try again."""
MOST_QUEUED_BYTES = 4 * MAX_BYTES
"""Of all their requests: the queue holds what was sent within them."""
MOST_UNREAD = 2 * MOST_QUEUED
"""Visitors whose answers are kept until they ask for them, some 200 kB each: some never do."""
MOST_WAITING = 4
"""Uploads a core that have begun, so that none of them waits for the next to be fetched."""


def of_models() -> dict[str, Any]:
    """Options of every event that runs the models: together they wait in one queue."""
    return {"concurrency_limit": MOST_WAITING * cores(), "concurrency_id": "models"}


def tune(blocks: gr.Blocks) -> None:
    """Give the page its queue."""
    queue = blocks.queue(max_size=MOST_QUEUED)._queue
    # It looks for work a thousand times a second. In a crowd uploads have begun before their turn
    # (``MOST_WAITING``), and alone nobody notices this. For news of progress, which no event of
    # ours has, it looks a hundred times.
    queue.sleep_when_free = 0.06
    queue.progress_update_sleep_when_free = 1
    # After every event it would compute statistics of the last ten thousand, which nobody reads.
    queue.ANALYTICS_MAX_EVENTS = 1
    queue.ANAYLTICS_CACHE_FREQUENCY = 1_000_000_000
    queue.pending_messages_per_session = LRUCache(MOST_UNREAD)
    push = queue.push

    @functools.wraps(push)
    async def with_room(body: Any, request: Request, username: str | None) -> tuple[bool, Any, Any]:
        waiting = [
            event for kind in queue.event_queue_per_concurrency_id.values() for event in kind.queue
        ]
        held = sum(announced(event.request.scope) for event in waiting)
        if waiting and held + announced(request.scope) > MOST_QUEUED_BYTES:
            return False, TOO_MANY, "queue_full"
        answers, events = queue.pending_messages_per_session, queue.pending_event_ids_session
        for forgotten in events.keys() - answers.keys():
            del events[forgotten]
        return await push(body, request, username)

    queue.push = with_room


def close_to_strangers(blocks: gr.Blocks) -> None:
    """Events of the page answer to no name, and nothing tells where the server keeps files."""
    # Icons of two buttons that are not here; every file that comes or goes is compared with each.
    _StaticFiles.clear()
    for event in blocks.fns.values():
        if event.api_visibility == "private":
            event.api_name = None
    preprocess = blocks.preprocess_data

    @functools.wraps(preprocess)
    async def checked(*given: Any, **named: Any) -> list[Any]:
        try:
            return await preprocess(*given, **named)
        except gr.Error:  # a ValueError, with words of our own
            raise
        except (AttributeError, TypeError, ValueError, OSError) as error:  # of whatever form
            raise not_uploaded() from error

    blocks.preprocess_data = checked  # type: ignore[method-assign]
