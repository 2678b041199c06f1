"""mel_demo: melanoma screening by a teacher and its distilled student, as a demonstration."""
