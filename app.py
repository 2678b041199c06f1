"""The Space's entry: builds the page; starts it when this file is run.

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT choose where it listens, MEL_WEIGHTS which weights, and
MEL_MAX_IMAGES how many images the tab "Many images" takes.
"""

import os
import sys

from mel_demo.errors import MelDemoError
from mel_demo.start import start

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces

    @spaces.GPU
    def _unused() -> None:
        """A Space on ZeroGPU ends unless it has such a function; the models here need no GPU."""


if __name__ == "__main__":
    try:
        start()
    except MelDemoError as error:
        sys.exit(f"Error: {error}")
