"""The tiny runs of tiny_training, exported once for all tests that read the result."""

from functools import cache
from pathlib import Path

from tests.support.tiny_training import TinyTraining
from training.release.export import export


@cache
def export_tiny(tiny: TinyTraining) -> Path:
    """Folder of the exported weights. Do not write into it."""
    output = tiny.root / "weights"
    export(tiny.teacher, tiny.student, tiny.given, output)
    return output
