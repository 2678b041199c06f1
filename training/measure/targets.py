"""All that is measured of one model, by target, as the manifest holds it."""

from collections.abc import Mapping

from mel_demo.decision.operating_point import DEFAULT_TARGET, choose
from mel_demo.manifest import TARGETS, Target
from training.measure.evaluate import metrics_of
from training.measure.intervals import Array
from training.measure.metrics import operating_table
from training.measure.profile import evidence
from training.measure.scores import Scores


def measure_targets(scores: Mapping[str, Scores], groups: Mapping[str, Array]) -> dict[str, Target]:
    """Melanoma and any skin cancer.

    ``scores``: by split, validation and holdout, external where given. ``groups``: of the holdout
    images (``profile.read_groups``).
    """
    return {name: _target(name, scores, groups) for name in TARGETS}


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
            scores["external"].sources_of(name) if "external" in scores else None,
        ),
    )
