"""The page from nothing, quickly: app.py and ``mel-demo serve`` start it alike."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mel_demo.errors import SettingError
from mel_demo.screening import Screener

_PORT = "GRADIO_SERVER_PORT"


def start(
    weights: Path | str | None = None, host: str | None = None, port: int | None = None
) -> None:
    """Load the models beside Gradio, which takes seconds to import, and serve (``ui.serving``).

    ``weights``: as of Screener. Raises MelDemoError for weights or settings that do not fit.
    """
    # Gradio fails on it when it is imported, whether it is needed or not.
    given = os.environ.get(_PORT, "7860")
    if not (given.isdecimal() and 1 <= int(given) <= 65535):
        raise SettingError(f"{_PORT} is {given!r}: a port is a whole number from 1 to 65535.")
    with ThreadPoolExecutor(1) as beside:
        screener = beside.submit(Screener, weights, threads=1)  # a core each for as many visitors
        from mel_demo.ui.serving import serve

    serve(screener.result(), host, port)
