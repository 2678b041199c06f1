"""mel_demo: melanoma screening by a teacher and its distilled student, as a demonstration."""

__version__ = "0.1.0"
