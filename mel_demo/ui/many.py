"""The tab "Many images": its parts and events, and the judging of one image after another.

The browser (many.js) sends one file at a time, which is judged from memory and forgotten, and keeps
the scores; whatever changes, it sends them all, and the table is drawn anew (``many_table``).
"""

import base64
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
from PIL import Image

from mel_demo.errors import ImageTooLargeError, MelDemoError, SettingError
from mel_demo.images import SUFFIXES, read_image, shrink
from mel_demo.inference import cores
from mel_demo.pictures.markup import render
from mel_demo.screening import Screener
from mel_demo.texts import Texts
from mel_demo.ui import many_table
from mel_demo.ui.case import SHOWN_MODELS, Setting
from mel_demo.ui.many_table import Scores

LIMIT, MOST = 200, 2000
"""How many images a table takes unless MEL_MAX_IMAGES says otherwise, and what it may say."""
SCRIPT = Path(__file__).with_name("many.js").read_text(encoding="utf-8")
SAVE = """(table) => {
  if (!table) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([table], {type: 'text/csv'}));
  link.download = 'melanoma-screening.csv';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  document.dispatchEvent(new Event('mel-saved'));
}"""
"""One CSV file -> a download, made in the browser's memory; many.js is told."""
CHANGED = "() => { document.dispatchEvent(new Event('mel-setting')); }"
"""Tells many.js that a control was moved."""
TOO_LARGE = "The image needs more memory than there is. Save it smaller."
_THUMBNAIL = 112  # pixels of the longer side


def limit() -> int:
    """How many images a table takes: MEL_MAX_IMAGES, or LIMIT. Raises SettingError."""
    given = os.environ.get("MEL_MAX_IMAGES") or str(LIMIT)
    if not (given.isdecimal() and 1 <= int(given) <= MOST):
        raise SettingError(
            f"MEL_MAX_IMAGES is {given!r}: the images that the tab 'Many images' takes are a "
            f"whole number from 1 to {MOST}."
        )
    return int(given)


class Many:
    """The tab around one Screener. Raises SettingError, see ``limit``."""

    def __init__(self, screener: Screener) -> None:
        self._screener = screener
        self.limit = limit()
        # Half of the machine, so that who has one image does not wait for who has many.
        self._turns = anyio.CapacityLimiter(max(1, cores() // 2))

    def lay_out(self, start: str) -> dict[str, Any]:
        """The parts by name, inside an open gr.Tab; ``start``: the first value of "many"."""

        async def judge(upload: Any) -> dict[str, Any]:
            # Gradio has read a multipart body into memory and deleted what it had spooled.
            files = getattr(upload, "files", None)
            return await self.judge(files[0][1] if files else b"")

        return {
            "many": gr.HTML(start, js_on_load=SCRIPT, server_functions=[judge], elem_id="many"),
            "many-table": gr.HTML("", elem_id="many-table"),
            "many-document": gr.Textbox(visible=False),
        }

    def listen(
        self,
        part: dict[str, Any],
        controls: list[Any],
        setting_of: Callable[..., Setting],
    ) -> None:
        """``setting_of``: the values of ``controls`` as a setting."""

        def draw(event: gr.EventData, language: str, *values: Any) -> str:
            return self.draw(event.sent, language, setting_of(*values))

        def save(event: gr.EventData, *values: Any) -> str:
            return self.save(event.sent, setting_of(*values))

        quiet: dict[str, Any] = {"api_visibility": "private"}
        silent = {"show_progress": "hidden", "queue": False, **quiet}
        part["many"].draw(
            draw,
            inputs=[part["language"], *controls],
            outputs=part["many-table"],
            trigger_mode="multiple",
            **silent,
        )
        part["many"].save(save, inputs=controls, outputs=part["many-document"], **silent).then(
            fn=None, inputs=part["many-document"], js=SAVE, **quiet
        )
        for control in controls:
            control.change(fn=None, js=CHANGED, **quiet)

    def welcome(self, t: Texts) -> str:
        """The part "many": what to do, and where progress is shown."""
        suffixes = sorted(SUFFIXES)
        return str(
            render("many.html", t, limit=t.count(self.limit), most=self.limit, suffixes=suffixes)
        )

    async def judge(self, data: bytes) -> dict[str, Any]:
        """Scores of one file as plain values, with a thumbnail as a data URL ("" without one)."""
        return await anyio.to_thread.run_sync(self._judge, data, limiter=self._turns)

    def draw(self, sent: Any, language: str, setting: Setting) -> str:
        """The part "many-table" of what the browser sent."""
        checked = many_table.received(sent, self.limit)
        return str(many_table.table(Texts(language), self._screener, checked, setting))

    def save(self, sent: Any, setting: Setting) -> str:
        """The same table as a CSV file."""
        return many_table.to_csv(self._screener, many_table.received(sent, self.limit), setting)

    def _judge(self, data: bytes) -> dict[str, Any]:
        try:
            screening = self._screener.screen(*read_image(data))
        except MelDemoError as error:
            return _failed(error)
        except MemoryError:
            return _failed(ImageTooLargeError(TOO_LARGE))
        scores = Scores(
            probabilities={key: screening.predictions[key].probabilities for key in SHOWN_MODELS},
            refused=screening.refused,
            findings=tuple(finding.code for finding in screening.findings),
        )
        file = io.BytesIO()
        Image.fromarray(shrink(screening.image, _THUMBNAIL)).save(file, "WEBP", quality=70)
        thumbnail = base64.b64encode(file.getvalue()).decode("ascii")
        return scores.model_dump() | {"thumbnail": f"data:image/webp;base64,{thumbnail}"}


def _failed(error: MelDemoError) -> dict[str, Any]:
    said = Scores(error=str(error)[:1000], problem=type(error).__name__)
    return said.model_dump() | {"thumbnail": ""}
