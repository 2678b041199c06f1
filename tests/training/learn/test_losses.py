"""Losses against hand-worked values and their limits."""

import pytest
import torch
import torch.nn.functional as F

from training.learn.losses import LabelLoss, distillation_loss
from training.recipe import Distillation, HardLoss

COUNTS = torch.tensor([10, 10, 10, 10, 20, 30, 10])
LOGITS = torch.randn(64, 7, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, 7, (64,), generator=torch.Generator().manual_seed(1))


def test_unweighted_cross_entropy_is_torchs():
    loss = LabelLoss(HardLoss(name="cross_entropy", class_weight_power=0), COUNTS)
    torch.testing.assert_close(loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))


def test_focal_without_focus_is_cross_entropy():
    focal = LabelLoss(HardLoss(name="focal", focal_gamma=0), COUNTS)
    plain = LabelLoss(HardLoss(name="cross_entropy"), COUNTS)
    torch.testing.assert_close(focal(LOGITS, LABELS), plain(LOGITS, LABELS))


def test_focal_by_hand():
    loss = LabelLoss(HardLoss(name="focal", focal_gamma=2, class_weight_power=0), COUNTS)
    logits = torch.zeros(1, 7)
    logits[0, 4] = torch.log(torch.tensor(6.0))  # p = 6 / (6 + 6) = 0.5
    expected = 0.5**2 * torch.log(torch.tensor(2.0))
    torch.testing.assert_close(loss(logits, torch.tensor([4])), expected)


def test_class_weights_favour_rare_classes_and_average_one():
    weight = LabelLoss(HardLoss(class_weight_power=1), COUNTS).weight
    assert weight[0] / weight[5] == pytest.approx(3.0)
    assert (weight * COUNTS / COUNTS.sum()).sum() == pytest.approx(1.0)


def test_logit_adjustment_adds_the_log_prior():
    options = HardLoss(name="cross_entropy", class_weight_power=0, logit_adjustment=1.0)
    expected = F.cross_entropy(LOGITS + (COUNTS / 100).log(), LABELS)
    torch.testing.assert_close(LabelLoss(options, COUNTS)(LOGITS, LABELS), expected)


def test_a_class_without_images_is_refused():
    with pytest.raises(ValueError, match="every class needs a training image"):
        LabelLoss(HardLoss(), torch.tensor([1, 0, 1, 1, 1, 1, 1]))


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
