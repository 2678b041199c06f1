"""Bands of evidence: where they lie, how many there are, and that the rest stays as it was."""

import numpy as np
import pytest

from mel_demo.pictures.overlay import COLOURS, bands, evidence_strength, overlay

BOX = (20, 0, 80, 60)


@pytest.fixture
def hill():
    y, x = np.mgrid[-1:1:15j, -1:1:15j]
    return np.exp(-3 * (x**2 + y**2)).astype(np.float32)


def drawn(map_, strength):
    return bands((100, 60), map_, BOX, strength)


def test_more_evidence_shows_more_bands_on_one_scale(hill):
    def colours(strength):
        inside = drawn(hill, strength)[0:60, 20:80, :3].reshape(-1, 3)
        return {tuple(int(part) for part in rgb) for rgb in inside} & set(COLOURS)

    found = [len(colours(evidence_strength(p))) for p in (0.001, 0.05, 0.2, 0.99)]
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] == len(COLOURS)


def test_an_empty_map_leaves_the_judged_part_alone_and_darkens_the_rest():
    rgb = np.full((60, 100, 3), 200, np.uint8)
    picture = overlay(rgb, np.zeros((5, 5)), BOX, 1.0)
    assert (picture[:, 20:80] == 200).all()
    assert (picture[:, :20] < 150).all()


def test_the_strongest_point_is_drawn_where_the_map_has_it():
    map_ = np.zeros((6, 6), np.float32)
    map_[0, 5] = 1
    marked = np.argwhere((drawn(map_, 1.0)[..., :3] == COLOURS[-1]).all(-1))
    assert marked[:, 0].max() < 25
    assert marked[:, 1].min() > 55


@pytest.mark.parametrize("box", [(0, 0, 101, 60), (50, 0, 50, 60)])
def test_a_box_outside_is_refused(hill, box):
    with pytest.raises(ValueError, match="does not lie"):
        bands((100, 60), hill, box, 1.0)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_only_a_probability_gives_a_strength(probability):
    with pytest.raises(ValueError, match="not a probability"):
        evidence_strength(probability)
