"""Losses on the labels and on the teacher's logits. Pure functions of tensors."""

import torch
import torch.nn.functional as F
from torch import nn

from mel_demo.manifest import CLASS_NAMES, MELANOMA
from training.recipe import Distillation, HardLoss


class LabelLoss(nn.Module):
    """Cross-entropy or focal loss on logits (N, C) and labels int64 (N,).

    A label of C (``isic.NOT_MELANOMA``) means "not melanoma, which of the others is not known": its
    loss is ``-log(1 - p_melanoma)``, cross-entropy with the other classes taken together. Focal
    loss is ``-(1 - p_y)^gamma log p_y`` (arXiv 1708.02002, over softmax). Unweighted, so that
    probabilities are those of the data's own mixture of diagnoses. The result is the mean over the
    batch.
    """

    def __init__(self, options: HardLoss) -> None:
        super().__init__()
        self.options = options
        # Kept where the logits are: made anew at every step, it would have to be waited for.
        self.melanoma: torch.Tensor
        self.register_buffer("melanoma", torch.arange(len(CLASS_NAMES)) == MELANOMA)

    def forward(
        self, logits: torch.Tensor, labels: torch.Tensor, offsets: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scalar loss. ``offsets`` (N,), of ``sources``, are added to the melanoma logits."""
        logits = logits.float()
        if offsets is not None:
            logits = logits + self.options.source_adjustment * offsets[:, None] * self.melanoma
        partial = labels == logits.shape[1]
        # Any class will do where the class is not known: that value is not used.
        known = labels.masked_fill(partial, MELANOMA)
        each = F.cross_entropy(logits, known, reduction="none")
        others = logits.masked_fill(self.melanoma, -torch.inf).logsumexp(1)
        log_other = others - logits.logsumexp(1)
        each = torch.where(partial, -log_other, each)
        if self.options.name == "focal":
            log_p = torch.where(
                partial, log_other, logits.log_softmax(1).gather(1, known[:, None]).squeeze(1)
            )
            each = (1 - log_p.exp()) ** self.options.focal_gamma * each
        return each.mean()


def distillation_loss(
    student: torch.Tensor, teacher: torch.Tensor, hard: torch.Tensor, options: Distillation
) -> torch.Tensor:
    """``alpha * T^2 * KL(teacher_T || student_T) + (1 - alpha) * hard`` (arXiv 1503.02531).

    ``student`` and ``teacher`` are logits (N, C) for the same views, ``hard`` the scalar loss on
    the labels. T^2 keeps the gradient's size when T changes. Mean over the batch.
    """
    t = options.temperature
    soft = F.kl_div(
        F.log_softmax(student.float() / t, dim=1),
        F.log_softmax(teacher.float() / t, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return options.alpha * t**2 * soft + (1 - options.alpha) * hard
