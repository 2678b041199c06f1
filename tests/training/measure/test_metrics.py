"""Metrics against scikit-learn and worked tables; intervals against what they must cover."""

import json

import numpy as np
import pytest
from scipy.special import rel_entr
from scipy.stats import binom, spearmanr
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from mel_demo.decision.operating_point import choose
from mel_demo.manifest import MELANOMA, Counts, Interval, Lesions
from training.errors import DataError
from training.measure.intervals import Bootstrap, clopper_pearson, interval
from training.measure.metrics import (
    Judged,
    agreement,
    average_precision,
    brier,
    counts,
    ece,
    operating_table,
    rates,
    roc_auc,
    spearman,
    summary,
)


def judged(truth, probability, lesion_ids=None) -> Judged:
    ids = lesion_ids if lesion_ids is not None else [f"L{i}" for i in range(len(truth))]
    return Judged(
        np.array(truth, dtype=bool), np.array(probability, dtype=np.float64), np.array(ids)
    )


def drawn(images: int, seed: int, lesions: int | None = None, ties: bool = False) -> Judged:
    """Random scores: melanomas score higher; ``lesions`` fewer than images makes them repeat."""
    rng = np.random.default_rng(seed)
    of_lesion = rng.integers(0, lesions, images) if lesions else np.arange(images)
    truth = (rng.random(images) < 0.3)[of_lesion]
    probability = 1 / (1 + np.exp(-rng.normal(0, 1, images) - 1.5 * truth))
    return judged(truth, probability.round(1) if ties else probability, of_lesion)


def one_hot_bins(found: Judged) -> float:
    """ECE worked with plain loops: fifteen bins, the last closed."""
    total = 0.0
    for index in range(15):
        low, high = index / 15, (index + 1) / 15
        rows = [
            i
            for i, p in enumerate(found.probability)
            if low <= p < high or (index == 14 and p == 1.0)
        ]
        if rows:
            gap = found.probability[rows].mean() - found.melanoma[rows].mean()
            total += len(rows) / len(found.probability) * abs(gap)
    return total


REFERENCES = {
    roc_auc: roc_auc_score,
    average_precision: average_precision_score,
    brier: brier_score_loss,
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("metric", REFERENCES)
def test_values_are_those_of_scikit_learn(metric, ties):
    found = drawn(200, seed=1, ties=ties)
    wanted = REFERENCES[metric](found.melanoma, found.probability)
    assert metric(found) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("metric", REFERENCES)
def test_a_resample_is_the_metric_of_the_images_it_drew(metric):
    found = drawn(120, seed=2, lesions=60, ties=True)
    weights = Bootstrap(found.lesion_ids, resamples=20).image_weights()
    values = metric(found, weights)
    for row, value in zip(weights.astype(int), values, strict=True):
        wanted = REFERENCES[metric](
            np.repeat(found.melanoma, row), np.repeat(found.probability, row)
        )
        assert value == pytest.approx(wanted, abs=1e-12)


def test_a_resample_without_melanoma_has_no_ranking():
    found = judged([1, 0, 0], [0.9, 0.5, 0.1])
    weights = np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    for metric in (roc_auc, average_precision):
        assert np.isnan(metric(found, weights)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("truth", "probability", "wanted"),
    [
        ([1, 0], [1.0, 0.0], 0.0),
        ([1, 0, 0], [1.0, 1.0, 0.0], 1 / 3),  # half of the two at p = 1.0 are wrong, 2/3 of images
        ([0, 1], [1.0, 1.0], 0.5),  # 0 for an ECE whose last bin drops p = 1.0
        ([1, 0, 0, 0], [0.5, 0.5, 0.1, 0.1], 0.05),  # bin at 0.5: 0; bin at 0.1: gap 0.1, half
        ([0, 1], [0.2, 0.8], 0.2),
        ([0, 1, 1], [1 / 15, 0.0, 1.0], (1 / 15 + 1) / 3),  # 1/15 opens the second bin
    ],
)
def test_ece_worked_by_hand(truth, probability, wanted):
    assert ece(judged(truth, probability)) == pytest.approx(wanted, abs=1e-12)


def test_ece_of_many_bins():
    found = drawn(500, seed=3)
    assert ece(found) == pytest.approx(one_hot_bins(found), abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        ([1, 1], [0.2, 0.3], "2 of 2 images are melanoma"),
        ([0, 0], [0.2, 0.3], "0 of 2 images are melanoma"),
        ([1, 0], [float("nan"), 0.3], "nan"),
        ([1, 0], [1.1, 0.3], "1.1"),
    ],
)
def test_what_has_no_value_is_refused_not_zero(truth, probability, message):
    with pytest.raises(DataError, match=message):
        judged(truth, probability)


def test_operating_table_worked_by_hand():
    validation = judged([1, 1, 1, 0, 0, 0], [0.9, 0.5, 0.5, 0.6, 0.5, 0.1], [1, 2, 2, 3, 4, 5])
    holdout = judged([1, 1, 0, 0], [0.7, 0.2, 0.5, 0.1])
    table = operating_table(validation, holdout)
    assert [row.threshold for row in table.rows] == [0.9, 0.5]
    assert [row.validation for row in table.rows] == [Counts(1, 0, 2, 3), Counts(3, 2, 0, 1)]
    holdout_counts = [Counts(x.tp, x.fp, x.fn, x.tn) for x in (row.holdout for row in table.rows)]
    assert holdout_counts == [Counts(0, 0, 2, 2), Counts(1, 1, 1, 1)]
    assert (table.validation_lesions, table.holdout_lesions) == (Lesions(2, 3), Lesions(2, 2))
    first, last = (row.holdout_rates for row in table.rows)
    assert first.ppv == Interval(None, None, None), "nothing is referred: no value, not 0"
    assert (first.sensitivity.value, first.specificity.value, first.npv.value) == (0, 1, 0.5)
    assert [x.value for x in (last.sensitivity, last.specificity, last.ppv, last.npv)] == [0.5] * 4


def test_thresholds_decide_alike_after_json():
    validation = drawn(400, seed=4)
    table = operating_table(validation, validation)
    read = json.loads(json.dumps([row.threshold for row in table.rows]))
    assert counts(validation, read) == [row.validation for row in table.rows]
    assert [row.validation.tp for row in table.rows] == list(range(1, len(table.rows) + 1))


def test_the_95_percent_setting_is_the_largest_threshold_not_the_lowest():
    """The seed took the lowest ROC threshold: specificity 0, published as the models' own."""
    truth = np.arange(200) < 100
    probability = np.where(truth, np.linspace(0.99, 0.4, 200), np.linspace(0.6, 0.01, 200))
    found = judged(truth, probability)
    point = choose(operating_table(found, found), 0.95)
    assert point.row.validation.tp == 95
    assert point.threshold == np.sort(probability[truth])[5]
    metrics = summary(found, point.threshold, Bootstrap(found.lesion_ids))
    assert metrics["sensitivity_at_95"].value == 0.95
    assert metrics["specificity_at_95"].value == 1.0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_with_one_image_a_lesion_the_bootstrap_is_nearly_binomial(share):
    images = 400
    hits = np.arange(images) < share * images
    found = judged(np.append(np.ones(images), 0), np.append(hits, 0))
    measured = rates(found, [0.5], Bootstrap(found.lesion_ids))[0].sensitivity
    assert measured.value == share
    assert measured.low == pytest.approx(binom.ppf(0.025, images, share) / images, abs=0.008)
    assert measured.high == pytest.approx(binom.ppf(0.975, images, share) / images, abs=0.008)


def test_repeated_lesions_widen_the_interval():
    """Four like images of a lesion are one observation, not four."""
    once = drawn(100, seed=5)
    repeated = [np.repeat(x, 4) for x in (once.melanoma, once.probability, once.lesion_ids)]
    by_lesion = judged(*repeated)
    by_image = judged(*repeated[:2])
    width = {}
    for name, found in (("lesion", by_lesion), ("image", by_image)):
        metrics = summary(found, 0.5, Bootstrap(found.lesion_ids))
        width[name] = {key: x.high - x.low for key, x in metrics.items()}
    for key in ("roc_auc", "brier", "sensitivity_at_95", "specificity_at_95"):
        assert width["lesion"][key] == pytest.approx(2 * width["image"][key], rel=0.25)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(10, 10, 0.6915, 1.0), (0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (1, 1, 0.025, 1.0)],
)
def test_clopper_pearson_from_the_tables(successes, trials, low, high):
    assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_a_fraction_of_one_still_has_a_lower_bound():
    """All resamples agree, so the bootstrap alone would say 1.0 to 1.0, of 10 lesions."""
    ids = np.repeat(np.arange(20), 2)  # two images a lesion: 20 melanoma images of 10 lesions
    found = judged(ids < 10, np.where(ids < 10, 0.9, 0.1), ids)
    measured = rates(found, [0.5], Bootstrap(ids))[0]
    for value in (measured.sensitivity, measured.specificity, measured.ppv, measured.npv):
        assert (value.value, value.high) == (1.0, 1.0)
        assert value.low == pytest.approx(0.6915, abs=1e-4)
    assert summary(found, 0.5, Bootstrap(ids))["roc_auc"].low == pytest.approx(0.6915, abs=1e-4)


def test_the_ece_interval_lies_around_the_value():
    """Of a well calibrated model most resamples have a larger ECE; moved by that bias, half."""
    rng = np.random.default_rng(6)
    probability = rng.random(1500)
    found = judged(rng.random(1500) < probability, probability)
    bootstrap = Bootstrap(found.lesion_ids)
    plain = interval(ece(found), ece(found, bootstrap.image_weights()), 1500)
    centred = summary(found, 0.5, bootstrap)["ece"]
    assert (plain.low + plain.high) / 2 > 1.25 * plain.value
    assert centred.low < centred.value < centred.high
    assert (centred.low + centred.high) / 2 == pytest.approx(centred.value, rel=0.05)


def test_the_same_seed_gives_the_same_interval():
    found = drawn(150, seed=7, lesions=90)
    first, second = (summary(found, 0.5, Bootstrap(found.lesion_ids)) for _ in range(2))
    assert first == second
    other = summary(found, 0.5, Bootstrap(found.lesion_ids, seed=1))
    assert other["roc_auc"].value == first["roc_auc"].value
    assert other["roc_auc"].low != first["roc_auc"].low


def seven(rng: np.random.Generator, images: int) -> np.ndarray:
    return rng.dirichlet(np.ones(7), images)


def test_a_student_like_its_teacher_agrees_wholly():
    probabilities = seven(np.random.default_rng(8), 50)
    found = agreement(probabilities, probabilities, 0.2, 0.2, Bootstrap(np.arange(50)))
    same = found["same_decision_at_95"]
    assert (same.value, same.high) == (1.0, 1.0)
    assert same.low == pytest.approx(clopper_pearson(50, 50)[0])
    assert found["spearman"].value == pytest.approx(1.0)
    assert found["mean_absolute_difference"] == Interval(0.0, 0.0, 0.0)
    assert found["kl"] == Interval(0.0, 0.0, 0.0)


def test_agreement_is_that_of_scipy():
    rng = np.random.default_rng(9)
    teacher = seven(rng, 80)
    student = 0.7 * teacher + 0.3 * seven(rng, 80)
    found = agreement(teacher, student, 0.2, 0.1, Bootstrap(np.arange(80) // 2))
    t, s = teacher[:, MELANOMA], student[:, MELANOMA]
    assert found["same_decision_at_95"].value == pytest.approx(np.mean((t >= 0.2) == (s >= 0.1)))
    assert found["spearman"].value == pytest.approx(spearmanr(t, s).statistic)
    assert found["mean_absolute_difference"].value == pytest.approx(np.abs(t - s).mean())
    assert found["kl"].value == pytest.approx(rel_entr(teacher, student).sum(1).mean())
    assert all(x.low < x.value < x.high for x in found.values())


def test_spearman_of_a_resample_with_ties():
    rng = np.random.default_rng(10)
    x, y = rng.integers(0, 6, 40), rng.integers(0, 6, 40)
    weights = Bootstrap(np.arange(40), resamples=10).image_weights()
    for row, value in zip(weights.astype(int), spearman(x, y, weights), strict=True):
        wanted = spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic
        assert value == pytest.approx(wanted)


def test_a_constant_student_has_no_rank_correlation():
    teacher = seven(np.random.default_rng(11), 30)
    constant = np.full((30, 7), 1 / 7)
    found = agreement(teacher, constant, 0.2, 0.2, Bootstrap(np.arange(30)))
    assert found["spearman"] == Interval(None, None, None)
