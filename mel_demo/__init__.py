"""mel_demo: melanoma screening by a teacher and its distilled student (a research demonstration)."""
