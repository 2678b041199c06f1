"""How far probabilities can be taken at their word, before and after the temperature.

Scores validation, fits, draws. The fit itself is in ``measure.scores``; ``export`` uses it too.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mel_demo.manifest import Interval
from training.data.measurable import Measurable
from training.files import write_json, write_text
from training.measure.evaluate import Scored, load_weights, score_run, score_weights
from training.measure.intervals import Bootstrap, interval
from training.measure.metrics import brier, ece
from training.measure.scores import fit_temperature, melanoma_log_loss
from training.provenance import command, git_commit, now, sha256
from training.report import plots, svg
from training.words import show


@dataclass(frozen=True)
class Errors:
    """Of a model's melanoma probabilities."""

    ece: Interval
    brier: Interval
    log_loss: float


@dataclass(frozen=True)
class TemperatureFit:
    """One model on validation."""

    temperature: float
    before: Errors
    after: Errors


def write_calibration(
    given: Measurable,
    output: Path,
    weights: Path | None = None,
    runs: dict[str, Path] | None = None,
) -> dict[str, TemperatureFit]:
    """Fit every model of ``weights``, or of ``runs`` (folders by role), on validation.

    Writes a figure to ``output`` (.svg) and the numbers beside it (.json). Raises DataError for
    splits that are not the models'.
    """
    if weights is not None:
        scored = score_weights(load_weights(weights, given), weights, given.pixels("validation"))
    else:
        scored = {role: score_run(run, given, "validation") for role, run in (runs or {}).items()}
    found = {key: fit_and_measure(model) for key, model in scored.items()}
    table = Table("validation", "temperature", "ECE before", "after", "Brier before", "after")
    for key, model in found.items():
        before, after = model.before, model.after
        cells = [show(x) for x in (before.ece, after.ece, before.brier, after.brier)]
        table.add_row(key, f"{model.temperature:.3f}", *cells)
    Console().print(table)
    plain, fitted = (
        {
            key: replace(model.scores, temperature=temperature(key)).judged()
            for key, model in scored.items()
        }
        for temperature in (lambda _: 1.0, lambda key: found[key].temperature)
    )
    figure = plots.reliability_diagram(fitted, before=plain)
    alt = "Reliability on validation: " + "; ".join(
        f"{key} at temperature {model.temperature:.2f}, ECE {show(model.after.ece)} after "
        f"{show(model.before.ece)}"
        for key, model in found.items()
    )
    write_text(output, svg.standalone(figure, output.stem, alt))
    write_json(
        output.with_suffix(".json"),
        {
            "command": command(),
            "written": now(),
            "git_commit": git_commit(),
            "splits_sha256": sha256(given.splits),
            "measured_on": "validation",
            "models": {key: asdict(model) for key, model in found.items()},
        },
    )
    Console().print(f"Written: {output} and {output.with_suffix('.json').name}", highlight=False)
    return found


def fit_and_measure(model: Scored) -> TemperatureFit:
    """Errors of a model's probabilities at temperature 1 and at the fitted one."""
    scores = model.scores
    fitted = fit_temperature(scores.logits, scores.labels)
    bootstrap = Bootstrap(scores.lesion_ids)
    weights, lesions = bootstrap.image_weights(), len(np.unique(scores.lesion_ids))

    def errors(temperature: float) -> Errors:
        judged = replace(scores, temperature=temperature).judged()
        of_ece, of_brier = (
            (float(metric(judged)), np.asarray(metric(judged, weights))) for metric in (ece, brier)
        )
        return Errors(
            ece=interval(*of_ece, lesions, centred=True),
            brier=interval(*of_brier, lesions),
            log_loss=melanoma_log_loss(scores.logits, scores.labels, temperature),
        )

    return TemperatureFit(fitted, errors(1.0), errors(fitted))
