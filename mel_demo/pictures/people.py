"""Natural frequencies as a picture: one mark for each of 1,000 people. Pure: numbers in, SVG out.

The four groups differ in colour and in shape: a disc, a cross, a ring, a small dot. The cross of
the missed has the page's text colour, the others colours that stand out from white and from the
page's dark blue; a style sheet may set --people-found, --people-alarm and --people-cleared.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from mel_demo.decision.prevalence import Frequencies
from mel_demo.texts import Texts

COLUMNS = 40
COLOURS = {"found": "#d6408a", "alarm": "#b07d12", "cleared": "#7d8593"}
_CELL = 10
_LINE = 24
# A mark around the middle of its cell, as a path, and how that path is drawn. A line of almost no
# length with round ends is a disc.
_DISC = "h.01"
_CROSS = "m-3.2-3.2l6.4 6.4m0-6.4l-6.4 6.4"
_RING = "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0"
_GROUPS = {
    "found": (_DISC, f"var(--people-found,{COLOURS['found']})", 8),
    "missed": (_CROSS, "currentColor", 2.4),
    "false_alarms": (_RING, f"var(--people-alarm,{COLOURS['alarm']})", 2),
    "cleared": (_DISC, f"var(--people-cleared,{COLOURS['cleared']})", 3.8),
}


def people_svg(frequencies: Frequencies, t: Texts, target: str) -> str:
    """An inline SVG of all people, row by row in the order of the legend below them.

    ``target``: what was looked for (of ``manifest.TARGETS``). Whoever lacks it is not called
    healthy: among those without melanoma some have another skin cancer.

    It is as wide as its place, up to 26 rem; its accessible name says all four numbers.
    """
    counts = {group: getattr(frequencies, group) for group in _GROUPS}
    rows = -(-frequencies.people // COLUMNS)
    bottom = rows * _CELL + 8
    marks = "".join(_path(group, places) for group, places in _places(counts) if places)
    legend = "".join(
        _path(group, [(_CELL / 2 + 1, bottom + _LINE * (line + 0.5))])
        + f'<text x="20" y="{bottom + _LINE * (line + 0.5):g}" dominant-baseline="central">'
        f'<tspan font-weight="700">{t.count(count)}</tspan> '
        f"{escape(t(f'figure_people_{group}_{target}'))}</text>"
        for line, (group, count) in enumerate(counts.items())
    )
    name = escape(t("figure_people_title", people=t.count(frequencies.people))) + ": "
    name += "; ".join(
        f"{t.count(count)} {escape(t(f'figure_people_{group}_{target}'))}"
        for group, count in counts.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="people" role="img" aria-label="{name}" '
        f'viewBox="0 0 {COLUMNS * _CELL} {bottom + _LINE * len(counts)}" '
        'style="width:100%;max-width:26rem" fill="none" stroke-linecap="round" '
        'font-family="system-ui, sans-serif" font-size="15">'
        f'{marks}<g fill="currentColor">{legend}</g></svg>'
    )


def _places(counts: Mapping[str, int]) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Each group with the middles of its people's cells."""
    start = 0
    for group, count in counts.items():
        cells = (divmod(index, COLUMNS) for index in range(start, start + count))
        yield group, [(_CELL * x + _CELL // 2, _CELL * y + _CELL // 2) for y, x in cells]
        start += count


def _path(group: str, places: Sequence[tuple[float, float]]) -> str:
    mark, colour, width = _GROUPS[group]
    steps = "".join(f"M{x:g} {y:g}{mark}" for x, y in places)
    # The colour is a style and not an attribute: only there may it be a variable.
    return (
        f'<path class="{group}" style="stroke:{colour}" stroke-width="{width}" fill="none" '
        f'd="{steps}"/>'
    )
