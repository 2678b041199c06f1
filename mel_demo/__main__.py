"""``python -m mel_demo``: see mel_demo/cli.py."""

from mel_demo.cli import app

app(prog_name="python -m mel_demo")
