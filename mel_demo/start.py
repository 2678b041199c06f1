"""The page from nothing, quickly: app.py and ``mel-demo serve`` start it alike."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mel_demo.screening import Screener


def start(
    weights: Path | str | None = None, host: str | None = None, port: int | None = None
) -> None:
    """Load the models beside Gradio, which takes seconds to import, and serve (``ui.serving``).

    ``weights``: as of Screener. Raises MelDemoError for weights or settings that do not fit.
    """
    with ThreadPoolExecutor(1) as beside:
        screener = beside.submit(Screener, weights, threads=1)  # a core each for as many visitors
        from mel_demo.ui.serving import serve

    serve(screener.result(), host, port)
