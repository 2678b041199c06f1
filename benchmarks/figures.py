"""One step of a slider: both models' settings, bands, predictive values, people and figures.

    python -m benchmarks.figures

On made-up evidence of the real size (tests/plausible.py), each step at another target sensitivity
and prevalence; figures are written to JSON as Gradio does before it sends them. Prints a table and
writes figures.json beside this file. Does not measure the network, Gradio or the browser.
"""

import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import plotly
import typer
from rich.console import Console
from rich.table import Table

from mel_demo.decision import conformal
from mel_demo.decision.operating_point import MAX_TARGET, MIN_TARGET, OperatingPoint, choose
from mel_demo.decision.prevalence import (
    MAX_PREVALENCE,
    MIN_PREVALENCE,
    natural_frequencies,
    predictive_values,
)
from mel_demo.pictures.figures import decision_curve_figure, reliability_figure, roc_figure
from mel_demo.pictures.people import people_svg
from mel_demo.pictures.score_figure import histogram_figure
from tests.support import plausible
from training import provenance
from training.files import write_json
from training.provenance import command, git_commit, now

HERE = Path(__file__).parent
NAMES = {"teacher": "Teacher", "student": "Student"}
LIMIT = 100
"""Milliseconds for a step, to feel immediate."""


def numbers(target: float, prevalence: float) -> tuple[dict, dict]:
    """Operating points and bands of both models; predictive values and people are thrown away."""
    points, bands = {}, {}
    for key in NAMES:
        table = plausible.table(key)
        points[key] = point = choose(table, target)
        bands[key] = conformal.band(plausible.evidence(key).conformal, target, point.threshold)
        conformal.measured(table, bands[key])
        rates = point.row.holdout_rates
        predictive_values(rates, table.holdout_lesions, prevalence)
        people_svg(
            natural_frequencies(rates.sensitivity.value, rates.specificity.value, prevalence)
        )
    return points, bands


def drawings(
    points: dict[str, OperatingPoint], bands: dict[str, conformal.Band]
) -> dict[str, Callable[[], Any]]:
    """How to draw each figure for a setting."""
    evidence = {key: plausible.evidence(key) for key in NAMES}
    return {
        "ROC": lambda: roc_figure(plausible.manifest(), points, NAMES).to_json(),
        "scores, both models": lambda: [
            histogram_figure(
                evidence[key].distribution, points[key].threshold, 0.2, bands[key], key
            ).to_json()
            for key in NAMES
        ],
        "reliability": lambda: reliability_figure(
            {key: found.reliability for key, found in evidence.items()}, NAMES
        ).to_json(),
        "decision curve": lambda: decision_curve_figure(
            {key: found.net_benefit for key, found in evidence.items()}, NAMES
        ).to_json(),
    }


def main(
    steps: Annotated[int, typer.Option(help="Steps of the slider.")] = 100,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "figures.json",
) -> None:
    """Measure and print."""
    settings = list(
        zip(
            np.linspace(MIN_TARGET, MAX_TARGET, steps).tolist(),
            np.geomspace(MIN_PREVALENCE, MAX_PREVALENCE, steps).tolist(),
            strict=True,
        )
    )
    # The first step of all also loads Plotly's validators.
    for draw in drawings(*numbers(*settings[0])).values():
        draw()
    taken: list[dict[str, float]] = []
    for setting in settings:
        marks = [time.perf_counter()]
        steps_of = drawings(*numbers(*setting))
        marks.append(time.perf_counter())
        for draw in steps_of.values():
            draw()
            marks.append(time.perf_counter())
        parts = [1000 * (end - start) for start, end in itertools.pairwise(marks)]
        taken.append(dict(zip(("numbers and people", *steps_of), parts, strict=True)))
    results = {name: _summary([step[name] for step in taken]) for name in taken[0]}
    results["together"] = _summary([sum(step.values()) for step in taken])
    table = Table("a step of the slider", "median ms", "p90 ms")
    for name, found in results.items():
        table.add_row(name, f"{found['median_ms']:.1f}", f"{found['p90_ms']:.1f}")
    Console().print(table)
    write_json(
        output,
        {
            "command": command(),
            "git_commit": git_commit(),
            "written": now(),
            "machine": provenance.describe(),
            "load_average": round(os.getloadavg()[0], 2),
            "plotly": plotly.__version__,
            "steps": steps,
            "limit_ms": LIMIT,
            "results": results,
        },
    )
    Console().print(f"Written: {output}", highlight=False)


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "median_ms": round(statistics.median(values), 1),
        "p90_ms": round(statistics.quantiles(values, n=10)[-1], 1),
    }


if __name__ == "__main__":
    typer.run(main)
