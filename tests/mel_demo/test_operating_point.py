"""The threshold rule: the largest threshold that catches at least the target share."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_curve

from mel_demo.decision.operating_point import (
    DEFAULT_TARGET,
    MAX_TARGET,
    MIN_TARGET,
    choose,
    choose_by_roc,
    choose_by_threshold,
    decide,
)
from mel_demo.errors import SettingError
from mel_demo.manifest import (
    Counts,
    Lesions,
    LesionsBySplit,
    Manifest,
    OperatingRow,
    OperatingTable,
    load_manifest,
)
from tests.support import plausible


def table_of(melanoma: np.ndarray, other: np.ndarray) -> OperatingTable:
    """The operating table of validation scores: one row per distinct melanoma score."""
    rows = []
    for threshold in sorted(set(melanoma.tolist()), reverse=True):
        tp, fp = int((melanoma >= threshold).sum()), int((other >= threshold).sum())
        counts = Counts(tp, fp, len(melanoma) - tp, len(other) - fp)
        rows.append(OperatingRow(threshold, counts, plausible.yields(counts)))
    lesions = LesionsBySplit(Lesions(1, 1), Lesions(1, 1))
    return OperatingTable("rule", lesions, tuple(rows))


def evenly(count: int) -> OperatingTable:
    """``count`` melanomas with distinct scores, each row catching one more."""
    return table_of(np.linspace(0.9, 0.1, count), np.array([0.5]))


def sensitivity(counts: Counts) -> float:
    return counts.tp / (counts.tp + counts.fn)


def specificity(counts: Counts) -> float:
    return counts.tn / (counts.tn + counts.fp)


def test_the_seed_projects_last_roc_index_had_specificity_0_and_ours_has_the_right_one() -> None:
    """The seed took the last ROC index with enough sensitivity: the (1, 1) corner, always.

    A known ROC: 20 melanomas score 0.99, 0.97 ... 0.61; 100 others lie evenly in 0..0.99. Nineteen
    of 20 melanomas (95 %) score at least 0.63, and so do 37 of the 100 others.
    """
    melanoma = np.round(0.99 - 0.02 * np.arange(20), 2)
    other = np.round(0.01 * np.arange(100), 2)
    truth = np.r_[np.ones(20), np.zeros(100)]
    fpr, tpr, thresholds = roc_curve(truth, np.r_[melanoma, other])

    seed_index = np.where(tpr >= 0.95)[0][-1]
    assert thresholds[seed_index] == 0.0
    assert 1 - fpr[seed_index] == 0.0

    point = choose(table_of(melanoma, other), 0.95)
    assert point.threshold == 0.63
    assert point.row.validation == Counts(tp=19, fp=37, fn=1, tn=63)
    assert specificity(point.row.validation) == 0.63


@pytest.mark.parametrize("target", [0.80, 0.85, 0.9, 0.95, 0.99, 0.995])
@pytest.mark.parametrize("seed", range(5))
def test_the_rule_agrees_with_sklearns_roc_curve(seed: int, target: float) -> None:
    rng = np.random.default_rng(seed)
    # Rounded scores tie, within and across the classes.
    melanoma = np.round(rng.beta(4, 2, 157), 2)
    other = np.round(rng.beta(2, 4, 1211), 2)
    truth = np.r_[np.ones(157), np.zeros(1211)]
    fpr, tpr, thresholds = roc_curve(truth, np.r_[melanoma, other], drop_intermediate=False)
    first = np.argmax(tpr >= target)
    point = choose(table_of(melanoma, other), target)
    assert point.threshold == thresholds[first]
    assert sensitivity(point.row.validation) == pytest.approx(tpr[first])
    assert specificity(point.row.validation) == pytest.approx(1 - fpr[first])


@pytest.mark.parametrize(
    ("melanomas", "target", "caught"),
    [
        (20, 0.95, 19),
        (100, 0.95, 95),
        (100, 0.85, 85),
        (40, 0.95, 38),
        (1000, 0.995, 995),
        (200, 0.995, 199),
        (199, 0.995, 199),  # 198 would be 99.497 %
        (100, 0.955, 96),
        (3, 0.80, 3),
        (1, 0.80, 1),
        (100, 0.9500000000000001, 95),  # a slider's 95 times 0.01
        (100, 0.8300000000000001, 83),
        (167, 0.95, 159),
    ],
)
def test_the_share_is_not_off_by_one(melanomas: int, target: float, caught: int) -> None:
    point = choose(evenly(melanomas), target)
    assert point.row.validation.tp == caught
    assert point.index == caught - 1


def test_every_whole_percent_of_a_hundred_is_that_many_melanomas() -> None:
    table = evenly(100)
    for percent in range(80, 100):
        for target in (percent / 100, percent * 0.01):
            assert choose(table, target).row.validation.tp == percent


def test_equal_scores_are_caught_together() -> None:
    table = table_of(np.array([0.9] * 5 + [0.4] * 5), np.array([0.1]))
    assert choose(table, 0.8).row.validation.tp == 10
    assert choose(table, 0.8).threshold == 0.4


def test_a_higher_target_never_raises_the_threshold() -> None:
    table = evenly(37)
    thresholds = [choose(table, target).threshold for target in np.linspace(0.8, 0.995, 60)]
    assert thresholds == sorted(thresholds, reverse=True)


@pytest.mark.parametrize(
    "target",
    [0.79, 0.7999, 0.9951, 1.0, 0.0, -1, 95, float("nan"), float("inf"), None, "0.95", True],
)
def test_a_target_out_of_range_is_refused(target: object) -> None:
    with pytest.raises(SettingError, match=r"choose one from 0\.8 to 0\.995") as caught:
        choose(evenly(20), target)
    assert repr(target) in str(caught.value)


@pytest.mark.parametrize("target", [MIN_TARGET, DEFAULT_TARGET, MAX_TARGET, 80 * 0.01, 99.5 * 0.01])
def test_the_ends_of_the_range_are_in_it(target: float) -> None:
    point = choose(evenly(20), target)
    assert point.target_sensitivity == pytest.approx(target)
    assert MIN_TARGET <= point.target_sensitivity <= MAX_TARGET


@pytest.mark.parametrize(
    ("probability", "target", "refer"),
    [
        (0.2, 0.80, True),  # exactly at the threshold
        (0.1999, 0.80, False),
        (0.1999, 0.95, True),
        (0.08, 0.95, True),
        (0.07, 0.95, False),
        (0.07, 0.995, True),
    ],
)
def test_decide(manifest: Manifest, probability: float, target: float, refer: bool) -> None:
    table = manifest.models["teacher"].operating_table
    decision = decide(SimpleNamespace(melanoma_probability=probability), table, target)
    assert decision.refer is refer
    assert decision.melanoma_probability == probability
    assert decision.point == choose(table, target)


def test_a_table_that_misses_a_melanoma_cannot_be_made() -> None:
    table = evenly(20)
    with pytest.raises(ValidationError, match="the last threshold must catch every validation mel"):
        replace(table, rows=table.rows[:10])


@pytest.mark.parametrize("key", ["teacher", "student"])
def test_the_three_ways_to_choose_stay_in_step_over_all_rows(key: str) -> None:
    table = plausible.table(key)
    inside = 0
    for index, row in enumerate(table.rows):
        point = choose_by_threshold(table, row.threshold)
        assert (point.index, point.row, point.threshold) == (index, row, row.threshold)
        assert point.reached == row.validation.tp / row.validation.melanomas
        assert MIN_TARGET <= point.target_sensitivity <= MAX_TARGET
        if point.reached >= MIN_TARGET:
            inside += 1
            assert choose(table, point.target_sensitivity).index == index
        else:
            assert point.target_sensitivity == MIN_TARGET
            assert choose(table, point.target_sensitivity).index > index
        x, y = row.holdout.fp / row.holdout.others, row.holdout.tp / row.holdout.melanomas
        clicked = choose_by_roc(table, x, y)
        assert clicked.row.holdout == row.holdout
        assert choose_by_threshold(table, clicked.threshold) == clicked
    assert inside > 30


def test_a_threshold_between_two_rows_takes_the_lower_one_and_shows_it() -> None:
    """So it refers all that was asked for, and its counts are exact for the threshold shown."""
    melanoma, other = np.array([0.9, 0.6, 0.3]), np.array([0.7, 0.4, 0.2])
    table = table_of(melanoma, other)
    point = choose_by_threshold(table, 0.45)
    assert point.threshold == 0.3
    assert point.row.validation == Counts(tp=3, fp=2, fn=0, tn=1)
    for asked in np.linspace(0.3, 1, 36):
        got = choose_by_threshold(table, float(asked)).threshold
        assert got <= asked
        assert not any(got < row.threshold <= asked for row in table.rows)


def test_a_threshold_below_all_rows_takes_the_lowest() -> None:
    table = evenly(20)
    assert choose_by_threshold(table, 0).index == len(table.rows) - 1
    assert choose_by_threshold(table, 0).target_sensitivity == MAX_TARGET


@pytest.mark.parametrize("threshold", [-0.01, 1.01, 5, float("nan"), None, "0.1", True])
def test_a_threshold_out_of_range_is_refused(threshold: object) -> None:
    with pytest.raises(SettingError, match="probability from 0 to 1") as caught:
        choose_by_threshold(evenly(20), threshold)
    assert repr(threshold) in str(caught.value)


def test_a_click_on_the_roc_takes_the_nearest_row_on_holdout() -> None:
    table = plausible.table()
    curve = [
        (row.holdout.fp / row.holdout.others, row.holdout.tp / row.holdout.melanomas)
        for row in table.rows
    ]
    for click in [(0.2, 0.8), (0.0, 1.0), (1.02, 0.98), (-0.01, -0.02), (0.5, 0.5)]:
        found = curve[choose_by_roc(table, *click).index]
        nearest = min(np.hypot(x - click[0], y - click[1]) for x, y in curve)
        assert np.hypot(found[0] - click[0], found[1] - click[1]) == nearest


@pytest.mark.parametrize("click", [(float("nan"), 0.5), (0.5, None), ("0.1", 0.5), (0.5, True)])
def test_a_click_that_is_no_place_is_refused(click: tuple) -> None:
    with pytest.raises(SettingError, match="point at the ROC"):
        choose_by_roc(evenly(20), *click)


@pytest.fixture(scope="module")
def manifest(tiny_weights) -> Manifest:
    return load_manifest(tiny_weights)
