"""Matplotlib figures as SVG files on white, the same bytes for the same numbers.

Text stays text: readable by machines, in the reader's own typeface, and small.
"""

import io
import re

import matplotlib
from matplotlib.figure import Figure

_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
# Two digits are a hundredth of a point; Matplotlib writes six.
_LONG = re.compile(r"(\.\d\d)\d+")
_NUMBERS = re.compile(r' (?:d|x|y|transform)="[^"]*"')
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_ID = re.compile(r'\bid="([^"]*)"')
_REFERENCE = re.compile(r'((?:\bid="|href="#|url\(#))([^")]*)')
_UNTURNED = re.compile(r' transform="rotate\(-?0 [^"]*"')


def standalone(figure: Figure, name: str, alt: str) -> str:
    """The file: on white, since a reader's dark theme may not reach into it.

    ``name`` keeps ids apart from those of other figures; ``alt`` is for whoever does not see it.
    """
    text = _svg(figure, name)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + _opened(text[text.index("<svg") :], alt)


def _svg(figure: Figure, name: str) -> str:
    written = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata=_NO_METADATA, facecolor="white")
    text = _UNTURNED.sub("", written.getvalue())
    text = _GROUP_ID.sub("<g", text)  # "figure_1" in every figure, and nothing refers to it
    # Matplotlib's ids are hashes that change from run to run.
    numbered = {found: f"{name}-{i}" for i, found in enumerate(dict.fromkeys(_ID.findall(text)))}
    text = _REFERENCE.sub(lambda match: match[1] + numbered[match[2]], text)
    return _NUMBERS.sub(lambda match: _LONG.sub(r"\1", match[0]), text)


def _opened(text: str, alt: str) -> str:
    """The element with its alternative text, as wide as what it stands in."""
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text).groups()
    return re.sub(
        r"<svg [^>]*>",
        lambda _: (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{label}">'
        ),
        text,
        count=1,
    )
