"""The uncertain band: its edges, its promise in simulation, and what it did on holdout."""

import numpy as np
import pytest

from mel_demo.decision.conformal import Band, BandCounts, Outcome, band, measured
from mel_demo.decision.operating_point import choose
from mel_demo.errors import SettingError
from mel_demo.manifest import Conformal
from tests.mel_demo.test_operating_point import table_of
from tests.support import plausible


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


def test_measured_is_exact_where_the_edges_are_rows():
    table = table_of(np.array([0.9, 0.6, 0.3, 0.1]), np.array([0.95, 0.7, 0.4, 0.2, 0.05]))
    found = measured(table, Band(0.3, 0.6, 0.1, 0.1, 4, 5))
    # Cleared: 0.1 (melanoma), 0.2, 0.05. Referred: 0.9, 0.6 (melanomas), 0.95, 0.7.
    assert found == BandCounts(1, 4, 2, 5, uncertain=2, exact=True)
    assert found.images == 9


def test_measured_between_rows_is_an_upper_bound():
    rng = np.random.default_rng(2)
    melanoma, other = rng.beta(4, 3, 50), rng.beta(2, 5, 400)
    table = table_of(melanoma, other)
    for low, high in np.sort(rng.random((200, 2)), axis=1).tolist():
        found = measured(table, Band(low, high, 0.1, 0.1, 50, 400))
        both = np.r_[melanoma, other]
        truth = (
            (melanoma < low).sum(),
            (other >= high).sum(),
            ((both >= low) & (both < high)).sum(),
        )
        given = (found.melanomas_cleared, found.others_referred, found.uncertain)
        assert all(bound >= count for bound, count in zip(given, truth, strict=True))
        if found.exact:
            assert given == truth


def test_the_lower_edge_is_exact_on_the_pages_own_tables():
    """Its melanoma lesion's score is a row of the table, so that "cleared" needs no "at most"."""
    for key in ("teacher", "student"):
        table, scores = plausible.table(key), plausible.scores(key, plausible.HOLDOUT, 2)
        for target in (0.8, 0.95, 0.995):
            edges = band(plausible.evidence(key).conformal, target, choose(table, target).threshold)
            assert measured(table, edges).melanomas_cleared == (scores[0] < edges.low).sum()


def test_a_band_that_clears_nothing_cleared_nothing():
    table = table_of(np.array([0.9, 0.2]), np.array([0.8, 0.1, 0.05]))
    found = measured(table, Band(0.0, 0.9, 0.0025, 0.1, 2, 3))
    assert found.melanomas_cleared == 0
    assert found.uncertain == 4
    assert found.exact
    first = table.rows[0].holdout
    assert (first.tp, first.fp, first.fn, first.tn) == (1, 0, 1, 3)
