"""The page as a server, from its start to an orderly end."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import gradio as gr
from starlette.middleware import Middleware

from mel_demo.errors import SettingError
from mel_demo.images import MAX_BYTES
from mel_demo.phone.serve import routes as phone_routes
from mel_demo.screening import Screener
from mel_demo.ui.api import routes as api_routes
from mel_demo.ui.bounded import Bounded
from mel_demo.ui.drawings import routes as drawing_routes
from mel_demo.ui.early import EarlyScript
from mel_demo.ui.headers import SafeHeaders
from mel_demo.ui.layout import TRANSLATIONS
from mel_demo.ui.lean import Lean
from mel_demo.ui.orderly import Orderly, log_in_lines
from mel_demo.ui.page import Page
from mel_demo.ui.sessions import Sessions
from mel_demo.ui.stubless import with_tools
from mel_demo.ui.theme import HEAD, STYLES, theme
from mel_demo.ui.uploads import forget, uploads

_FORGET_SECONDS = 60


def serve(screener: Screener, host: str | None = None, port: int | None = None) -> None:
    """Serve the page until Ctrl+C or SIGTERM; then nothing of its visitors is left.

    ``host``: a name or an address, IPv6 as well; by default $GRADIO_SERVER_NAME, else this machine
    alone. ``port``: by default $GRADIO_SERVER_PORT, else the first free one from 7860. Raises
    ManifestError, WeightsError, or SettingError where it cannot listen.
    """
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    log_in_lines()
    with uploads():
        blocks = Page(screener).build()
        try:
            _launch(blocks, host, port)
            # What was made so far stays: searching it for garbage again and again stops everybody.
            gc.freeze()
            while not ended.wait(0.5):  # Windows hears no signal while it waits for long
                pass
        finally:
            blocks.close(verbose=False)


def _launch(blocks: gr.Blocks, host: str | None, port: int | None) -> None:
    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    # As in addresses: Gradio takes the bare form for one, too, and gets it wrong.
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    _ask_itself_directly(host)
    if with_tools():
        from mel_demo.ui import api_mcp

        api_mcp.install()
    try:
        blocks.launch(
            **launch_options(),
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
        )
    except OSError as error:
        place = host if port is None else f"{host}:{port}"
        raise SettingError(
            f"The page cannot listen on {place}: {error} Choose another --port or --host."
        ) from error
    address = str(blocks.local_url).replace("//[::]:", "//[::1]:")
    print(f"The page is at {address}", file=sys.stderr, flush=True)


def _ask_itself_directly(host: str) -> None:
    """Gradio asks its own server whether it has begun, and not by way of a proxy for other places.

    See "no_proxy" of urllib.request, which httpx follows.
    """
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    own = ("localhost", "127.0.0.1", host.strip("[]"))
    os.environ["no_proxy"] = ",".join(filter(None, (known, *own)))


def launch_options() -> dict[str, Any]:
    """What ``Blocks.launch`` is given everywhere: look, language, privacy and limits."""
    return {
        "theme": theme(),
        "css_paths": STYLES,
        "head": HEAD,
        "i18n": TRANSLATIONS,
        "footer_links": ["api"],
        "pwa": False,
        "app_kwargs": {
            "routes": [*api_routes(), *drawing_routes(), *phone_routes()],
            "middleware": [
                *(Middleware(SafeHeaders), Middleware(Orderly), Middleware(Bounded)),
                *(Middleware(Lean), Middleware(EarlyScript)),
            ],
            "lifespan": _forgetful,
        },
        "run_history": False,
        "share": False,
        # Else it asks itself for the page, and where a busy machine takes longer than three seconds
        # it ends.
        "_frontend": False,
        "enable_monitoring": False,
        # Above our own limit, so that the page's own message is the one that is read.
        "max_file_size": 2 * MAX_BYTES,
        # What is meant to be read is a gr.Error; other errors name files of the server.
        "show_error": False,
    }


@asynccontextmanager
async def _forgetful(app: Any) -> AsyncIterator[None]:
    """From the server's start on, sessions are kept as ``sessions`` says, files as ``uploads``."""
    blocks = app.get_blocks()
    app.state_holder = Sessions(blocks)

    async def forget_files() -> None:
        while True:
            await anyio.to_thread.run_sync(forget, Path(app.uploaded_file_dir))
            for listed in blocks.temp_file_sets:  # Gradio's own, which nobody else empties
                listed.clear()
            await asyncio.sleep(_FORGET_SECONDS)

    task = asyncio.create_task(forget_files())
    yield
    task.cancel()
