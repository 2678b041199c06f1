"""What a source says of melanoma is told to the network, and is measured source by source."""

import numpy as np
import pytest
import torch

from mel_demo.manifest import MELANOMA
from training.learn.losses import LabelLoss
from training.learn.sources import offsets, specificities
from training.recipe import HardLoss


def test_offsets_are_what_a_source_says_beyond_the_reference():
    melanoma = np.array([True] * 10 + [False] * 90 + [True] * 100 + [False] * 10)
    sources = np.array(["clinic"] * 100 + ["melanomas"] * 110)
    found = offsets(melanoma, sources, sources == "clinic")
    assert found[0] == 0
    expected = np.log(100.5 / 10.5) - np.log(10.5 / 90.5)
    assert found[-1] == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(offsets(np.zeros(4, bool), np.array(["a"] * 4), np.ones(4, bool))).all()


def test_a_network_that_knows_nothing_learns_nothing_from_the_share_of_a_source():
    loss = LabelLoss(HardLoss(name="cross_entropy", source_adjustment=1))
    # 10 % of the reference are melanomas, and 60 % of this source.
    prior = torch.full((7,), 0.15)
    prior[MELANOMA] = 0.1
    logits = prior.log().repeat(10, 1).requires_grad_()
    labels = torch.tensor([MELANOMA] * 6 + [7] * 4)
    moved = np.log(0.6 / 0.4) - np.log(0.1 / 0.9)
    loss(logits, labels, torch.full((10,), moved)).backward()
    assert abs(logits.grad.sum(0)[MELANOMA]) < 1e-6
    plain = LabelLoss(HardLoss(name="cross_entropy"))
    logits.grad = None
    plain(logits, labels, torch.full((10,), moved)).backward()
    assert logits.grad.sum(0)[MELANOMA] < -0.3


def test_specificity_is_told_of_each_source_with_enough_benign_images():
    melanoma = np.array([True] * 20 + [False] * 60)
    probability = np.concatenate([np.linspace(0.5, 1, 20), np.full(30, 0.1), np.full(30, 0.9)])
    sources = np.array(["few"] * 20 + ["easy"] * 30 + ["hard"] * 30)
    assert specificities(probability, melanoma, sources) == {
        "specificity_all": 0.5,
        "specificity_easy": 1.0,
        "specificity_hard": 0.0,
    }
    assert specificities(probability, melanoma, None) == {"specificity_all": 0.5}
