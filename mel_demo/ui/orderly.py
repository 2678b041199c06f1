"""What nobody can answer is refused in order: a status of 4xx, and one line in the log.

Gradio trusts what it is sent. A field that is absent or of another kind, half a character, an odd
Range, a session that is none fail somewhere inside it, or in its MCP server, with a page of
traceback each time. With the logger "mel_demo" at DEBUG the traceback comes, too.
"""

import errno
import functools
import logging
import traceback
from contextlib import suppress
from typing import Any

import gradio as gr
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

LONGEST_ADDRESS = 4096
"""Bytes of a request's path and query: some of them are kept for as long as the server runs."""
NO_SENSE = "The server cannot make sense of this request."
NO_ROOM = "The server has no room for this at the moment. Try again later."
_LONGEST_LINE = 300  # characters
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE}

_log = logging.getLogger("mel_demo")


class Orderly:
    """ASGI middleware; what fails within has an answer, or where that had begun, an end."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: dict) -> None:
            nonlocal begun
            begun = True
            # Gradio's answer to an event that cannot take what it was sent, in words or without.
            if message.get("status") == 500:
                message["status"] = 400
            await send(message)

        try:
            if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
                status, text = 414, "The address is too long."
            else:
                await self._app(scope, receive, watched)
                return
        except ClientDisconnect:  # or what it sends does not come, see ``bounded``
            status, text = 408, "The request did not arrive whole. Send it again."
        except Exception as error:  # noqa: BLE001 - whatever Gradio stumbles over
            status, text = 503 if lacks_room(error) else 400, note(error)
        if begun:
            await send({"type": "http.response.body", "body": b""})
        else:
            await JSONResponse({"detail": text}, status)(scope, receive, send)


def install(blocks: gr.Blocks) -> None:
    """The same for this page's events, whose failures Gradio catches and prints itself."""
    process = blocks.process_api

    @functools.wraps(process)
    async def in_words(*given: Any, **named: Any) -> Any:
        try:
            return await process(*given, **named)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:
            raise gr.Error(note(error), print_exception=False) from error

    blocks.process_api = in_words  # type: ignore[method-assign]


def lacks_room(error: Exception) -> bool:
    """Whether the server is at fault, and not what it was sent."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in _NO_ROOM


def note(error: Exception) -> str:
    """Log where an error comes from in one line, without what the visitor sent; what to answer."""
    _log.warning("%s", _where(error), exc_info=_log.isEnabledFor(logging.DEBUG))
    return NO_ROOM if lacks_room(error) else NO_SENSE


def log_in_lines() -> None:
    """Whatever is logged in this process, by whichever package, is one line from now on."""
    make = logging.getLogRecordFactory()

    def brief(*given: Any, **named: Any) -> logging.LogRecord:
        record = make(*given, **named)
        if not _log.isEnabledFor(logging.DEBUG):
            error = record.exc_info and record.exc_info[1]
            text = str(record.msg)
            with suppress(TypeError, ValueError):  # what is said with too few words
                text = record.getMessage()
            text, *more = text.strip().splitlines() or [""]
            text = text[:_LONGEST_LINE] + (" ..." if more else "")
            record.msg = f"{text} ({_where(error)})" if error else text
            record.args, record.exc_info, record.exc_text, record.stack_info = (), None, None, None
        return record

    logging.setLogRecordFactory(brief)


def _where(error: BaseException) -> str:
    what = getattr(error, "strerror", None)
    place = ""
    for last in traceback.extract_tb(error.__traceback__)[-1:]:
        place = f" at {last.filename}:{last.lineno}"
    return type(error).__name__ + (f" ({what})" if what else "") + place
