"""What was measured of all models as figures: ROC, reliability, decision curve.

Pure: numbers in, markup out. Lines are drawn as SVG that stretches; labels and marks stand beside
it, so that they keep their size, and each mark says its values where it is pointed at, focused or
tapped. Colours are the page's style sheet's; ``score_figure`` draws the distribution of scores.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mel_demo.decision.operating_point import OperatingPoint
from mel_demo.manifest import NetBenefit, OperatingRow, OperatingTable, ReliabilityBin
from mel_demo.pictures.markup import render
from mel_demo.texts import Texts

PER = 1000
"""Net benefit is drawn for so many images."""
APART = 0.04
"""How far apart, of the figure's side, are the points of a curve that say their values."""
_SHARES = (0, 0.2, 0.4, 0.6, 0.8, 1)


@dataclass(frozen=True)
class _Axes:
    """The ranges that a figure shows: (from, to) across, and upwards."""

    across: tuple[float, float] = (0, 1)
    upwards: tuple[float, float] = (0, 1)

    def x(self, value: float) -> float:
        """In percent from the left."""
        low, high = self.across
        return round(100 * (value - low) / (high - low), 2)

    def y(self, value: float) -> float:
        """In percent from the top."""
        low, high = self.upwards
        return round(100 * (high - value) / (high - low), 2)

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """SVG's ``d`` of a line through these points."""
        return "M" + "L".join(f"{self.x(x):g} {self.y(y):g}" for x, y in points)


_Place = tuple[float, float]
_Mark = dict[str, object]


def roc_figure(
    t: Texts,
    tables: Mapping[str, OperatingTable],
    points: Mapping[str, OperatingPoint],
    looking_for: str = "melanoma",
    split: str = "holdout",
) -> Markup:
    """ROC on a split of every model key of ``points``, with its chosen point and that point's 95 %
    intervals. Axes run from 0 to 100 %, through the thresholds of the operating table."""
    axes = _Axes()
    lines, marks = [{"kind": "guide", "path": axes.path([(0, 0), (1, 1)])}], []
    for key, point in points.items():
        rows = [row for row in tables[key].rows if getattr(row, split) is not None]
        places = [_place(row, split) for row in rows]
        lines.append({"kind": f"line {key}", "path": axes.path([(0, 0), *places, (1, 1)])})
        rates = getattr(point.row, f"{split}_rates")
        x, y = _place(point.row, split)
        spread = rates.specificity, rates.sensitivity
        if all(rate.low is not None for rate in spread):
            across = [(1 - rates.specificity.high, y), (1 - rates.specificity.low, y)]
            upwards = [(x, rates.sensitivity.low), (x, rates.sensitivity.high)]
            both = axes.path(across) + axes.path(upwards)
            lines.append({"kind": f"whisker {key}", "path": both})
        marks += [
            _mark(axes, key, place, _roc_says(t, key, row, split))
            for row, place in _thinned(zip(rows, places, strict=True))
        ]
        says = _roc_says(t, key, point.row, split)
        marks.append(_mark(axes, key, (x, y), says, chosen=True))
    ticks = [(axes.x(share), t.setting(share)) for share in _SHARES]
    upright = [(axes.y(share), t.setting(share)) for share in _SHARES]
    return _figure(t, "roc", lines, marks, ticks, upright, y=t(f"sensitivity_{looking_for}"))


def _place(row: OperatingRow, split: str) -> _Place:
    counts = getattr(row, split)
    return counts.fp / counts.others, counts.tp / counts.melanomas


def _roc_says(t: Texts, key: str, row: OperatingRow, split: str) -> str:
    counts = getattr(row, split)
    x, y = _place(row, split)
    return t(
        "point_roc",
        role=t(f"role_{key}"),
        threshold=t.percent(row.threshold),
        tp=t.count(counts.tp),
        positives=t.count(counts.melanomas),
        sensitivity=t.percent(y),
        fp=t.count(counts.fp),
        others=t.count(counts.others),
        false_alarms=t.percent(x),
    )


def reliability_figure(t: Texts, bins: Mapping[str, Sequence[ReliabilityBin]]) -> Markup:
    """How often a probability came true on holdout, for each model key.

    A mark a bin at (mean probability, observed share) with the 95 % interval as whisker; the
    diagonal is where probabilities are taken at their word. Axes run from 0 to 100 %.
    """
    axes = _Axes()
    lines, marks = [{"kind": "guide", "path": axes.path([(0, 0), (1, 1)])}], []
    for key, model in bins.items():
        drawn = [item for item in model if item.observed.value is not None]
        places = [(item.predicted, item.observed.value) for item in drawn]
        whiskers = [
            axes.path([(item.predicted, item.observed.low), (item.predicted, item.observed.high)])
            for item in drawn
            if item.observed.low is not None  # A bin may be too small for an interval.
        ]
        lines.append({"kind": f"whisker {key}", "path": "".join(whiskers)})
        lines.append({"kind": f"line {key}", "path": axes.path(places)})
        marks += [
            _mark(
                axes,
                key,
                place,
                t(
                    "point_reliability",
                    role=t(f"role_{key}"),
                    images=t.count(item.images),
                    predicted=t.percent(item.predicted),
                    observed=t.share(item.observed),
                ),
                focus=True,
            )
            for item, place in zip(drawn, places, strict=True)
        ]
    ticks = [(axes.x(share), t.setting(share)) for share in _SHARES]
    upright = [(axes.y(share), t.setting(share)) for share in _SHARES]
    return _figure(t, "reliability", lines, marks, ticks, upright)


def decision_figure(t: Texts, curves: Mapping[str, Sequence[NetBenefit]]) -> Markup:
    """Net benefit on holdout for PER images, by the probability from which one would refer.

    For each model key a line with its 95 % interval as a faint area, beside referring everyone and
    no one (0). Steep losses of referring everyone leave the figure at the bottom.
    """
    first = next(iter(curves.values()))
    highest = [point.model.high for curve in curves.values() for point in curve]
    top = PER * max(first[0].refer_all, *(high for high in highest if high is not None), 1e-3)
    axes = _Axes((0, first[-1].threshold), (-0.25 * top, 1.05 * top))
    everyone = [(point.threshold, PER * point.refer_all) for point in first]
    lines = [
        {"kind": "all", "path": axes.path(everyone)},
        {"kind": "none", "path": axes.path([(0, 0), (first[-1].threshold, 0)])},
    ]
    marks = []
    for key, curve in curves.items():
        known = [point for point in curve if point.model.value is not None]
        inside = [point for point in known if point.model.low is not None]
        there = [(point.threshold, PER * point.model.high) for point in inside]
        back = [(point.threshold, PER * point.model.low) for point in reversed(inside)]
        places = [(point.threshold, PER * point.model.value) for point in known]
        if inside:
            lines.append({"kind": f"area {key}", "path": axes.path([*there, *back]) + "Z"})
        lines.append({"kind": f"line {key}", "path": axes.path(places)})
        marks += [
            _mark(axes, key, place, _decision_says(t, key, point), focus=True)
            for point, place in list(zip(known, places, strict=True))[4::5]
        ]
    ticks = [(axes.x(tick), t.setting(tick)) for tick in _round(*axes.across)]
    upright = [(axes.y(tick), t.count(round(tick))) for tick in _round(*axes.upwards)]
    legend = ("all", "none")
    return _figure(t, "decision", lines, marks, ticks, upright, legend=legend)


def _decision_says(t: Texts, key: str, point: NetBenefit) -> str:
    model = point.model
    edges = [value for value in (model.low, model.high) if value is not None]
    shown = t.decimal(PER * model.value, 1)
    if edges:
        shown += f" ({'–'.join(t.decimal(PER * edge, 1) for edge in edges)})"
    return t(
        "point_decision",
        role=t(f"role_{key}"),
        threshold=t.setting(point.threshold),
        benefit=shown,
        everyone=t.decimal(PER * point.refer_all, 1),
    )


def _mark(
    axes: _Axes, key: str, place: _Place, says: str, *, chosen: bool = False, focus: bool = False
) -> _Mark:
    """A mark with its values; without ``focus`` and not chosen, it shows only when pointed at."""
    kind = "chosen" if chosen else "shown" if focus else "hidden"
    x, y = axes.x(place[0]), axes.y(place[1])
    return {"key": key, "kind": kind, "x": x, "y": y, "says": says}


def _thinned(
    points: Iterable[tuple[OperatingRow, _Place]],
) -> Iterator[tuple[OperatingRow, _Place]]:
    """Those that lie APART from the last one before."""
    last = (-1.0, -1.0)
    for row, place in points:
        if math.dist(place, last) >= APART:
            last = place
            yield row, place


def _round(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, at most six."""
    exact = (high - low) / 5
    power = 10 ** math.floor(math.log10(exact))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= exact * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * index for index in range(first, last + 1)]


def _figure(
    t: Texts,
    name: str,
    lines: Sequence[Mapping[str, str]],
    marks: Sequence[_Mark],
    ticks: Sequence[tuple[float, str]],
    upright: Sequence[tuple[float, str]],
    *,
    y: str | None = None,
    legend: Sequence[str] = (),
) -> Markup:
    return render(
        "figure.html",
        t,
        name=name,
        lines=lines,
        marks=marks,
        ticks=ticks,
        upright=upright,
        y=y or t(f"figure_{name}_y"),
        keys=list(dict.fromkeys(mark["key"] for mark in marks)),
        legend=legend,
    )
