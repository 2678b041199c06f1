"""What takes microseconds is done where it is asked for, and not in a thread of its own.

Gradio and FastAPI change threads for every component that an event reads or fills and for every
question who is asking: thirty times an upload through the page, of which the handler needs one.
Beside two models at work each change has to win Python's lock from them twice.
"""

import functools
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import fastapi.dependencies.utils
import gradio as gr
import gradio.blocks
import gradio.queueing

_values_only = ContextVar("_values_only", default=False)


def install(blocks: gr.Blocks) -> None:
    """For this page the values of components; for all in this process who may ask, and the
    statistics of the queue, of which none are kept."""
    blocks.preprocess_data = _at_once(blocks.preprocess_data)  # type: ignore[method-assign]
    blocks.postprocess_data = _at_once(blocks.postprocess_data)  # type: ignore[method-assign]
    to_thread = SimpleNamespace(**vars(anyio.to_thread) | {"run_sync": _run})
    gradio.blocks.anyio = SimpleNamespace(  # type: ignore[assignment]
        **vars(anyio) | {"to_thread": to_thread}
    )
    gradio.queueing.run_sync = _here  # type: ignore[assignment]
    fastapi.dependencies.utils.run_in_threadpool = _here  # type: ignore[assignment]


def _at_once(work: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    @functools.wraps(work)
    async def marked(*given: Any, **named: Any) -> Any:
        token = _values_only.set(True)
        try:
            return await work(*given, **named)
        finally:
            _values_only.reset(token)

    return marked


async def _run(call: Callable[..., Any], *given: Any, limiter: Any = None) -> Any:
    if _values_only.get():
        return call(*given)
    return await anyio.to_thread.run_sync(call, *given, limiter=limiter)


async def _here(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    return call(*given, **named)
