"""What the report tells of: runs or released files, scored on one split, with their history.

Reads, checks and scores, in the order in which a mistake is cheapest to find. Knows no figure and
no page.
"""

from dataclasses import dataclass
from pathlib import Path

from mel_demo.manifest import Manifest, ModelSpec
from training.data.measurable import Measurable, Pixels
from training.data.splits import Row, read_splits
from training.errors import RunError
from training.learn.run_folder import RunRecord, has_epochs, load_record, read_metrics
from training.measure.evaluate import (
    Evaluation,
    Scored,
    evaluate_scores,
    load_weights,
    score_run,
    score_weights,
)


@dataclass(frozen=True, eq=False)
class Gathered:
    """Models by key (``scored``, ``evaluation``), runs by role (``records``, ``histories``).

    ``manifest``: of the released files, None where the runs themselves were scored.
    ``histories[role][column]``: one value an epoch. ``rows``: the whole splits file. ``pixels``:
    the images of the split that was scored.
    """

    scored: dict[str, Scored]
    evaluation: Evaluation
    records: dict[str, RunRecord]
    histories: dict[str, dict[str, list[float]]]
    manifest: Manifest | None
    rows: list[Row]
    pixels: Pixels

    @property
    def split(self) -> str:
        return self.evaluation.split


def gather(runs: dict[str, Path], weights: Path | None, given: Measurable, split: str) -> Gathered:
    """Score ``weights``, or without them the ``runs`` (folders by role), on ``split``.

    Images of another split than "validation" are read only when asked for. Raises RunError for a
    folder that is no run, or not of this role or these weights; DataError for splits that are not
    those of every model.
    """
    manifest = load_weights(weights, given) if weights is not None else None
    records = {role: _load_record(role, folder, given) for role, folder in runs.items()}
    if manifest is not None:
        for role, record in records.items():
            _check_released(runs[role], record, manifest.models[role])
    histories = {role: read_metrics(folder) for role, folder in runs.items() if has_epochs(folder)}
    if manifest is not None and weights is not None:
        scored = score_weights(manifest, weights, given.pixels(split))
    else:
        scored = {role: score_run(folder, given, split) for role, folder in runs.items()}
    return Gathered(
        scored=scored,
        evaluation=evaluate_scores(split, scored),
        records=records,
        histories=histories,
        manifest=manifest,
        rows=read_splits(given.splits),
        pixels=given.pixels(split),
    )


def _load_record(role: str, folder: Path, given: Measurable) -> RunRecord:
    record = load_record(folder)
    if record.role != role:
        raise RunError(f"{folder} is the run of a {record.role}: give it as --{record.role}.")
    given.check(record.splits_sha256, record.external_sha256, f"the run {folder}")
    return record


def _check_released(folder: Path, record: RunRecord, spec: ModelSpec) -> None:
    """The curves beside a model must be its own."""
    own = {
        "architecture": (record.architecture, spec.architecture),
        "commit": (record.git_commit, spec.source_commit),
        **{
            name: (getattr(record, name), getattr(spec.training, name))
            for name in ("epochs", "best_epoch", "seed", "hours")
        },
    }
    for name, (run, released) in own.items():
        if run != released:
            raise RunError(
                f"{folder} is not the run that the released {spec.key} came from: its {name} is "
                f"{run}, the manifest says {released}. Give that run, or leave --{spec.key} out."
            )
