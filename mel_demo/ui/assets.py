"""Gradio's scripts and styles, as the first visit asked for them: compressed as far as they can be,
and the styles in one file, since a slow network waits longer for thirty of them than for all bytes.
"""

import hashlib
import json
from pathlib import Path

import brotli
from gradio.routes import BUILD_PATH_LIB
from markupsafe import Markup

MOST = 100
"""Files that are kept."""
_MODULE = Markup('<link rel="modulepreload" crossorigin href="./assets/{}">')
_SHEET = Markup('<link rel="stylesheet" crossorigin href="./assets/{}">')
# Vite asks for no style that the page has a link to, and a browser for none of a disabled one,
# unless it stands in the page: there it looks ahead.
_JOINED = """<script>
for (const name of %s) {
  const link = Object.assign(document.createElement('link'), { rel: 'stylesheet' });
  link.setAttribute('disabled', '');
  link.href = `./assets/${name}`;
  document.head.append(link);
}
</script>"""


class Assets:
    """Files of ``folder`` by name. Before ``pack`` nothing is kept."""

    def __init__(self, folder: Path = Path(BUILD_PATH_LIB)) -> None:
        self._folder = folder
        self._names: dict[str, None] = {}
        self._joined: list[str] = []
        self._packed: dict[str, bytes] = {}
        self._sheet = ""

    def learn(self, name: str) -> None:
        """Remember a file that was asked for."""
        if len(self._names) < MOST:
            self._names[name] = None

    @property
    def known(self) -> bool:
        """Whether any file was asked for."""
        return bool(self._names)

    def pack(self, document: str) -> None:
        """Compress what was learned, which takes a second or two. ``document``: the page, which
        keeps the styles it names itself."""
        packed, styles, joined = {}, [], []
        for name in self._names:
            content = (self._folder / name).read_bytes()
            if name.endswith(".js"):
                packed[name] = brotli.compress(content)
            elif name not in document:
                joined.append(name)
                styles.append(content)
        if joined:
            whole = b"\n".join(styles)
            self._sheet = f"joined-{hashlib.sha256(whole).hexdigest()[:8]}.css"
            packed[self._sheet] = brotli.compress(whole)
        self._packed, self._joined = packed, joined

    def get(self, name: str) -> bytes | None:
        """A file compressed by brotli, where it is kept."""
        return self._packed.get(name)

    def modules(self) -> str:
        """Links that make a browser ask for the scripts at once."""
        return "".join(_MODULE.format(name) for name in self._names if name.endswith(".js"))

    def styles(self) -> str:
        """Links to the styles, for the end of the head: later rules win."""
        if not self._joined:
            return ""
        joined = json.dumps(self._joined).replace("<", "\\u003c")
        return str(_SHEET.format(self._sheet)) + _JOINED % joined
