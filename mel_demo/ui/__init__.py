"""The Gradio page: layout, theme, panels, event wiring. The only package that knows Gradio."""

from mel_demo.ui import stubless

stubless.install()
