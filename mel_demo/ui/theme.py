"""The page's look: one theme on system fonts, so that nothing is fetched from elsewhere."""

from pathlib import Path

import gradio as gr

STYLES = [Path(__file__).with_name(name) for name in ("style.css", "many.css")]
HEAD = """<style>
@media (max-width: 640px) { .gradio-container > .main { padding: 12px 14px !important; } }
@media (max-width: 640px) {
  .gradio-container, .gradio-container .main { min-width: 0 !important; }
  gradio-app > .gradio-container.gradio-container.gradio-container {
    width: 100vw !important; max-width: 100vw !important;
  }
  .gradio-container .html-container { overflow-x: auto; }
  .gradio-container :is(.column, .row > *) { min-width: 0 !important; }
  body:is(.judged, .is-judging) .top .intro, body:not(.judged) .cards { display: none !important; }
}
body:is(.judged, .is-judging) #stage > .styler { grid-template-columns: minmax(0, 1fr) !important; }
</style>"""
"""What STYLES cannot reach, as Gradio confines its rules to the page's inside."""
_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Neutral greys and one teal; fonts of the reader's own system."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=_SANS,
        font_mono=_MONO,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#f7f8fa",
        body_background_fill_dark="#0f1420",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#171d2b",
        block_background_fill="#ffffff",
        block_background_fill_dark="#171d2b",
        block_border_width="1px",
        body_text_color="#1b2130",
        body_text_color_dark="#e8ecf4",
        # Base's own are too pale for a control: 2.5 to 1 on white, AA wants 3.
        slider_color="#0d7f80",
        slider_color_dark="#3fc5c3",
        checkbox_background_color_selected="#0d7f80",
        checkbox_border_color_selected="#0d7f80",
        # Base's own secondary text is too pale to read: 2.6 to 1 on white, AA wants 4.5.
        body_text_color_subdued="#525866",
        body_text_color_subdued_dark="#a9b1c0",
        block_info_text_color="#525866",
        block_info_text_color_dark="#a9b1c0",
        block_title_text_color="#525866",
        block_title_text_color_dark="#a9b1c0",
        block_label_text_color="#525866",
        block_label_text_color_dark="#a9b1c0",
    )
