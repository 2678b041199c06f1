"""All that is measured of one model, by target, as the manifest holds it."""

from collections.abc import Mapping

from mel_demo.decision.operating_point import DEFAULT_TARGET, choose
from mel_demo.manifest import TARGETS, Subgroup, Target
from training.measure.evaluate import Answers, metrics_of
from training.measure.intervals import Array
from training.measure.metrics import operating_table
from training.measure.profile import evidence, subgroups
from training.measure.scores import Scores


def measure_targets(scores: Mapping[str, Scores], groups: Mapping[str, Array]) -> dict[str, Target]:
    """Melanoma and any skin cancer.

    ``scores``: by split, validation and holdout, external and archive where given. ``groups``: of
    the holdout images (``profile.read_groups``).
    """
    return {name: _target(name, scores, groups) for name in TARGETS}


def answers(targets: Mapping[str, Mapping[str, Target]], split: str) -> dict[str, Answers]:
    """What models do on one split by target; ``targets[model]``: of ``measure_targets``."""
    return {
        name: Answers(
            {
                key: choose(found[name].operating_table, DEFAULT_TARGET).threshold
                for key, found in targets.items()
            },
            {key: found[name].metrics[split] for key, found in targets.items()},
        )
        for name in TARGETS
    }


def _target(name: str, scores: Mapping[str, Scores], groups: Mapping[str, Array]) -> Target:
    judged = {split: found.judged(name) for split, found in scores.items()}
    external = judged.get("external")
    # Melanoma's table has a row for each melanoma of validation; the others would be twice as many.
    table = operating_table(
        judged["validation"], judged["holdout"], external, thin=name != "melanoma"
    )
    threshold = choose(table, DEFAULT_TARGET).threshold
    return Target(
        metrics={split: metrics_of(found, threshold, name) for split, found in scores.items()},
        operating_table=table,
        evidence=evidence(
            judged["validation"],
            judged["holdout"],
            threshold,
            groups,
            external,
            _sources(name, scores, threshold),
        ),
    )


def _sources(name: str, scores: Mapping[str, Scores], threshold: float) -> tuple[Subgroup, ...]:
    """Images of other clinics by the data set they come from."""
    found: list[Subgroup] = []
    for split in ("external", "archive"):
        sources = scores[split].sources_of(name) if split in scores else None
        if sources is not None:
            groups = subgroups(scores[split].judged(name), threshold, {"source": sources})
            found += groups["source"]
    return tuple(found)
