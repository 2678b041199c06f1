"""Both targets of one model: the same images, another question; other clinics count as holdout."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mel_demo.decision.operating_point import choose
from mel_demo.decision.target import target_probability
from mel_demo.manifest import TARGETS, Target
from training.data.isic import NOT_MELANOMA
from training.measure.metrics import counts, thresholds_of
from training.measure.scores import Scores
from training.measure.targets import measure_targets


def scores(seed: int, sources: list[str] | None = None) -> Scores:
    """280 images of 140 lesions, each class 40 times; their logits know a little of the class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(7), 40)
    logits = (rng.normal(size=(280, 7)) + np.eye(7)[labels]).astype(np.float32)
    names = np.array([f"image-{index}" for index in range(280)])
    if sources is not None:
        labels = np.where(labels == 3, NOT_MELANOMA, labels)
        sources = np.resize(sources, 280)
    return Scores(tuple(names), np.arange(280) // 2, labels, logits, 1.5, sources)


@pytest.fixture(scope="module")
def splits() -> dict[str, Scores]:
    elsewhere = {"external": scores(3, ["one", "two"]), "archive": scores(4, ["three"])}
    return {"validation": scores(1), "holdout": scores(2), **elsewhere}


@pytest.fixture(scope="module")
def targets(splits) -> dict[str, Target]:
    return measure_targets(splits, {"sex": np.resize(["female", "male"], 280)})


def test_any_skin_cancer_is_three_classes_by_the_sum_of_their_probabilities(splits, targets):
    assert list(targets) == list(TARGETS) == ["melanoma", "skin_cancer"]
    holdout = splits["holdout"]
    wanted = roc_auc_score(
        np.isin(holdout.labels, [0, 1, 4]), holdout.probabilities()[:, [0, 1, 4]].sum(1)
    )
    found = targets["skin_cancer"].metrics["holdout"]["roc_auc"].value
    assert found == pytest.approx(wanted, abs=1e-4)  # the sum's last bit may break a tie
    first = targets["skin_cancer"].operating_table.rows[0]
    assert (first.validation.melanomas, first.holdout.others) == (120, 160)
    assert "balanced_accuracy" in targets["melanoma"].metrics["holdout"]
    assert "balanced_accuracy" not in targets["skin_cancer"].metrics["holdout"]


def test_a_threshold_is_the_probability_that_is_served(splits, targets):
    """Summed in another order a probability may miss its own threshold by one bit."""
    validation = splits["validation"]
    turned = validation.probabilities()[:, ::-1]
    served = {target_probability(tuple(row[::-1]), "skin_cancer") for row in turned}
    assert {row.threshold for row in targets["skin_cancer"].operating_table.rows} <= served


@pytest.mark.parametrize("target", [0.8, 0.815, 0.95, 0.995])
def test_the_thin_table_chooses_as_the_whole_one_would(splits, targets, target):
    judged = splits["validation"].judged("skin_cancer")
    whole = thresholds_of(judged)
    wanted = math.ceil(target * 120 - 1e-9)
    caught = counts(judged, whole)
    best = next(t for t, count in zip(whole, caught, strict=True) if count.tp >= wanted)
    table = targets["skin_cancer"].operating_table
    assert choose(table, target).threshold == best
    assert len(table.rows) < len(whole)


def test_other_clinics_count_in_every_row_as_holdout_does(splits, targets):
    external = splits["external"].judged()
    for row in targets["melanoma"].operating_table.rows[::7]:
        refer = external.probability >= row.threshold
        assert row.external.tp == (refer & external.melanoma).sum()
        assert row.external.fp == (refer & ~external.melanoma).sum()
        assert row.external_rates.specificity.value == row.external.tn / row.external.others
    assert targets["melanoma"].operating_table.external_lesions.melanoma == 20
    by_source = targets["melanoma"].evidence.external_sources
    assert [group.name for group in by_source] == ["one", "two", "three"]
    assert [group.images for group in by_source] == [140, 140, 280]
    measured = targets["melanoma"].metrics["archive"]["specificity_at_95"]
    assert by_source[2].specificity == measured


def test_a_truth_that_is_not_known_is_left_out_where_it_matters(targets):
    """Forty external images are known not to be melanomas, and no more."""
    melanoma, cancer = (targets[name].operating_table.rows[0] for name in TARGETS)
    assert melanoma.external.images == 280
    assert cancer.external.images == 240
    assert "balanced_accuracy" not in targets["melanoma"].metrics["external"]


def test_every_score_is_told_by_truth(splits, targets):
    judged = splits["holdout"].judged()
    found = targets["melanoma"].evidence.scores
    assert list(found) == ["holdout", "external"]
    assert list(found["holdout"].positive) == sorted(judged.probability[judged.melanoma])
    assert len(found["holdout"].negative) == 240
