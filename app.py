"""The Space's entry: builds the page; starts it when this file is run.

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT choose where it listens, MEL_WEIGHTS which weights, and
MEL_MAX_IMAGES how many images the tab "Many images" takes.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from mel_demo.errors import MelDemoError
from mel_demo.screening import Screener

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces

    @spaces.GPU
    def _unused() -> None:
        """A Space on ZeroGPU ends unless it has such a function; the models here need no GPU."""


if __name__ == "__main__":
    try:
        with ThreadPoolExecutor(1) as beside:
            screener = beside.submit(Screener, threads=1)
            # Gradio takes seconds to import, and the weights one to load.
            from mel_demo.ui.serving import serve
        serve(screener.result())
    except MelDemoError as error:
        sys.exit(f"Error: {error}")
