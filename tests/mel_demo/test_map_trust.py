"""Overlap of two evidence maps, by hand."""

import numpy as np
import pytest

from mel_demo.decision.map_trust import Agreement, agreement, overlap
from mel_demo.manifest import MapOverlap

HERE = np.zeros((5, 5))
HERE[1, 1] = 2.0
THERE = np.zeros((5, 5))
THERE[3, 3] = 1.0


def test_overlap_is_1_for_the_same_map_at_any_scale_and_0_where_they_never_meet():
    assert overlap(HERE, 7 * HERE) == pytest.approx(1)
    assert overlap(HERE, THERE) == 0
    assert overlap(HERE + THERE * 2, HERE) == pytest.approx(0.5)


def test_maps_of_two_sizes_are_compared_on_the_finer_grid():
    coarse = np.array([[1.0, 0.0], [0.0, 0.0]])
    fine = np.kron(coarse, np.ones((4, 4)))
    assert overlap(coarse, fine) == overlap(fine, coarse) > 0.7


def test_an_empty_map_cannot_be_compared():
    assert overlap(HERE, np.zeros((5, 5))) is None


@pytest.mark.parametrize(
    ("found", "word"), [(0.2, Agreement.CHANCE), (0.5, Agreement.LESS), (0.7, Agreement.USUAL)]
)
def test_the_word_follows_what_was_measured(found, word):
    assert agreement(found, MapOverlap(usual=0.6, chance=0.4, images=100)) is word
