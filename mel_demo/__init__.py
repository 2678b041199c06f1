"""mel_demo: melanoma screening by a teacher and its distilled student, as a demonstration."""

import os

__version__ = "0.1.0"

# Read when onnxruntime is first imported: it would else write an identifier of this machine to its
# home folder and report to Microsoft, and the page promises that nothing is recorded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
