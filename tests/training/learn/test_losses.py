"""Losses against hand-worked values and their limits."""

import pytest
import torch
import torch.nn.functional as F

from training.learn.losses import LabelLoss, distillation_loss
from training.recipe import Distillation, HardLoss

LOGITS = torch.randn(64, 7, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, 7, (64,), generator=torch.Generator().manual_seed(1))


def test_unweighted_cross_entropy_is_torchs():
    loss = LabelLoss(HardLoss(name="cross_entropy"))
    torch.testing.assert_close(loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))


def test_focal_without_focus_is_cross_entropy():
    focal = LabelLoss(HardLoss(name="focal", focal_gamma=0))
    plain = LabelLoss(HardLoss(name="cross_entropy"))
    torch.testing.assert_close(focal(LOGITS, LABELS), plain(LOGITS, LABELS))


def test_focal_by_hand():
    loss = LabelLoss(HardLoss(name="focal", focal_gamma=2))
    logits = torch.zeros(1, 7)
    logits[0, 4] = torch.log(torch.tensor(6.0))  # p = 6 / (6 + 6) = 0.5
    expected = 0.5**2 * torch.log(torch.tensor(2.0))
    torch.testing.assert_close(loss(logits, torch.tensor([4])), expected)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_distillation_by_hand(temperature):
    student, teacher = LOGITS[:32], LOGITS[32:]
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    divergence = (p * (p.log() - q.log())).sum(1).mean()
    hard = torch.tensor(0.7)
    expected = 0.3 * temperature**2 * divergence + 0.7 * hard
    options = Distillation(temperature=temperature, alpha=0.3)
    got = distillation_loss(student, teacher, hard, options)
    torch.testing.assert_close(got, expected)


def test_an_equal_student_has_nothing_to_learn_from_the_teacher():
    options = Distillation(temperature=2, alpha=1)
    loss = distillation_loss(LOGITS, LOGITS, torch.tensor(5.0), options)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
