"""The uncertain band: its edges, its promise in simulation, and what it did on holdout."""

import numpy as np
import pytest

from mel_demo.decision.conformal import Band, BandCounts, Outcome, band, measured
from mel_demo.errors import SettingError
from mel_demo.manifest import Conformal, Scores, load_manifest
from tests.support.running import ROOT


def conformal(melanoma, other_upper=0.6) -> Conformal:
    return Conformal(tuple(melanoma), 0.1, other_upper, 1000)


@pytest.mark.parametrize(
    ("melanomas", "target", "rank"),
    [
        (99, 0.9, 5),  # 100 * 0.04999999999999999
        (99, 0.8, 10),
        (98, 0.9, 4),  # 99 * 0.05 = 4.95
        (92, 0.95, 2),  # 93 * 0.025 = 2.325
        (79, 0.95, 2),
        (78, 0.95, 1),
        (39, 0.95, 1),
        (38, 0.95, 0),
        (92, 0.995, 0),
        (1, 0.8, 0),
    ],
)
def test_the_lower_edge_is_the_right_melanoma(melanomas, target, rank):
    values = [0.01 * (index + 1) / 2 for index in range(melanomas)]
    found = band(conformal(values), target, threshold=1.0)
    assert found.low == (values[rank - 1] if rank else 0)
    assert found.alpha == pytest.approx((1 - target) / 2)
    assert (found.melanomas, found.others, found.other_alpha) == (melanomas, 1000, 0.1)


def test_with_too_few_melanomas_nothing_is_cleared():
    found = band(conformal([0.4] * 10), 0.95, 0.3)
    assert found.low == 0
    assert found.outcome(0.0) is Outcome.UNCERTAIN


@pytest.mark.parametrize(
    ("threshold", "edges"),
    [(0.3, (0.2, 0.6)), (0.1, (0.1, 0.6)), (0.8, (0.2, 0.8)), (0.0, (0, 0.6)), (1.0, (0.2, 1))],
)
def test_the_threshold_always_lies_in_the_band(threshold, edges):
    found = band(conformal([0.2] * 99), 0.95, threshold)
    assert (found.low, found.high) == edges
    assert found.low <= threshold <= found.high


def test_three_outcomes():
    edges = Band(0.2, 0.6, 0.025, 0.1, 92, 1029)
    outcomes = [edges.outcome(p) for p in (0, 0.1999, 0.2, 0.4, 0.5999, 0.6, 1)]
    assert outcomes == ["no_referral"] * 2 + ["uncertain"] * 3 + ["refer"] * 2


def test_a_higher_target_clears_no_more():
    lows = [band(conformal(np.linspace(0, 1, 500)), t, 1.0).low for t in np.linspace(0.8, 0.995)]
    assert lows == sorted(lows, reverse=True)


@pytest.mark.parametrize("target", [0.5, 1.0, 95, None])
def test_a_target_out_of_range_is_refused(target):
    with pytest.raises(SettingError):
        band(conformal([0.2] * 99), target, 0.3)


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95])
def test_the_promise_holds_on_average_over_draws_of_validation_lesions(target):
    """k / (n + 1) of new melanomas lie below the edge: at most alpha, and not needlessly few."""
    rng, n = np.random.default_rng(1), 92
    validation = np.sort(rng.beta(2, 3, (8000, n)), axis=1)
    new = rng.beta(2, 3, 8000)
    cleared = np.mean(
        [
            band(conformal(row), target, 1.0).outcome(p) is Outcome.NO_REFERRAL
            for row, p in zip(validation.tolist(), new.tolist(), strict=True)
        ]
    )
    alpha = (1 - target) / 2
    expected = int((n + 1) * alpha) / (n + 1)
    # Three standard errors of 8,000 draws.
    assert abs(cleared - expected) < 3 * np.sqrt(expected * (1 - expected) / 8000)
    assert expected <= alpha


def test_images_are_counted_on_either_side_and_in_the_band():
    scores = Scores((0.1, 0.3, 0.6, 0.9), (0.05, 0.2, 0.4, 0.7, 0.95))
    found = measured(scores, Band(0.3, 0.6, 0.1, 0.1, 4, 5))
    # Cleared: 0.1 (melanoma), 0.05, 0.2. Referred: 0.6, 0.9 (melanomas), 0.7, 0.95.
    assert found == BandCounts(1, 4, 2, 5, uncertain=2)
    assert found.images == 9


def test_a_band_that_clears_nothing_cleared_nothing():
    found = measured(Scores((0.2, 0.9), (0.05, 0.1, 0.8)), Band(0.0, 0.9, 0.0025, 0.1, 2, 3))
    assert found == BandCounts(0, 2, 0, 3, uncertain=4)


@pytest.mark.parametrize("key", ["teacher", "student"])
@pytest.mark.parametrize("target", ["melanoma", "skin_cancer"])
def test_the_released_scores_give_the_operating_tables_counts(key, target):
    """To the fifth decimal, to which they are kept: but for an image or two."""
    found = load_manifest(ROOT / "weights").models[key].target(target)
    scores = found.evidence.scores["holdout"]
    for row in found.operating_table.rows:
        counts = measured(scores, Band(row.threshold, row.threshold, 0.1, 0.1, 1, 1))
        assert abs(counts.melanomas_cleared - row.holdout.fn) <= 1
        assert abs(counts.others_referred - row.holdout.fp) <= 1
