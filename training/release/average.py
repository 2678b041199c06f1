"""One run from several: the mean of their weights, at the cost of one network.

Runs that went on from the same weights lie in one basin of the loss, and their mean is mostly
better than each, most of all on images of other kinds (Wortsman et al. 2022, Model soups, ICML).
Runs with starts of their own do not: what the mean is worth is measured on validation, and said.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file

from training.data.measurable import Measurable
from training.errors import RunError
from training.learn.run_folder import (
    BEST,
    RECORD,
    RunRecord,
    load_record,
    save_best,
    save_record,
)
from training.measure.evaluate import score_run
from training.measure.metrics import roc_auc
from training.provenance import sha256, short_name

ALIKE = ("role", "architecture", "preprocessing", "splits_sha256", "external_sha256", "sources")


def average(runs: Sequence[Path], given: Measurable, output: Path) -> RunRecord:
    """Write ``output`` as the run folder of the mean of ``runs``, and say what each is worth.

    The record is the last run's, with the hours and epochs of all of them together and the mean's
    ROC-AUC on validation; returned. Raises RunError for fewer than two runs, for runs that differ
    in architecture, views or data, and where ``output`` is a run already.
    """
    if len(runs) < 2:
        raise RunError("A mean needs two runs at least: repeat --run.")
    if (output / RECORD).exists():
        raise RunError(f"{output} is a run already: give another --output.")
    records = [load_record(run) for run in runs]
    for run, record in zip(runs, records, strict=True):
        for name in ALIKE:
            if getattr(record, name) != getattr(records[0], name):
                raise RunError(
                    f"{run} and {runs[0]} have no mean: they differ in {name}, "
                    f"{getattr(record, name)} and {getattr(records[0], name)}."
                )
        given.check(record.splits_sha256, record.external_sha256, f"the run {run}")
    console = Console(highlight=False, soft_wrap=True)
    for run in runs:
        console.print(f"{run}: validation ROC-AUC {_roc_auc(run, given):.4f}")
    output.mkdir(parents=True, exist_ok=True)
    save_best(output, _mean([load_file(run / BEST) for run in runs]))
    named = [f"{short_name(run)} (SHA-256 {sha256(run / BEST)[:12]}...)" for run in runs]
    record = replace(
        records[-1],
        init=f"none of its own: the mean of the weights of {', '.join(named[:-1])} and {named[-1]}",
        epochs=sum(record.epochs for record in records),
        best_epoch=sum(record.epochs for record in records),
        hours=round(sum(record.hours for record in records), 3),
    )
    save_record(output, record)
    record = replace(record, best_roc_auc=_roc_auc(output, given))
    save_record(output, record)
    console.print(f"{output}, their mean: validation ROC-AUC {record.best_roc_auc:.4f}")
    return record


def _mean(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Tensor by tensor; counts, as of batches seen, are the last state's."""
    return {
        key: torch.stack([state[key] for state in states]).mean(0)
        if last.is_floating_point()
        else last
        for key, last in states[-1].items()
    }


def _roc_auc(run: Path, given: Measurable) -> float:
    """Melanoma ROC-AUC on validation, as the run is released."""
    return roc_auc(score_run(run, given, "validation").scores.judged())
