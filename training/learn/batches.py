"""What a run sees, and when: rows, views and mixing of each step.

All of it follows from (seed, epoch, step) alone, so that a resumed run, and a run on several
processes, sees what an uninterrupted run on one process sees. Knows no network.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from mel_demo.manifest import Preprocessing
from training.data.frames import Frames
from training.learn import augment
from training.recipe import Recipe


@dataclass(frozen=True)
class Batches:
    """What a run learns from and is judged on.

    ``labels`` int64 (N,) of ``frames``, index into CLASS_NAMES or ``isic.NOT_MELANOMA``;
    ``sources``: images from each data set; ``external_sha256``: of the file that says which images
    of other clinics were kept out, where such images were used; ``data_sha256``: of the pictures of
    each data set. ``validation`` uint8 (M, size,
    size, 3) prepared as the page does, with ``validation_labels`` int64 (M,).
    """

    frames: Frames
    labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    splits_sha256: str
    sources: dict[str, int] = field(default_factory=dict)
    external_sha256: str | None = None
    data_sha256: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Views (N, 3, S, S) with labels (N,); mixed in pairs where ``share`` is below 1.

    A view is ``share`` of its own image and ``1 - share`` of its partner's.
    """

    images: torch.Tensor
    labels: torch.Tensor
    partners: torch.Tensor
    share: float

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        tensors = (tensor.to(device) for tensor in (self.images, self.labels, self.partners))
        return Batch(*tensors, self.share)


def look(
    batches: Batches,
    recipe: Recipe,
    preprocessing: Preprocessing,
    epoch: int,
    step: int,
    own: slice,
    size: int,
) -> Batch:
    """The views, ``size`` pixels wide, of the rows ``own`` of a step's batch."""
    rows, views, share = _draw(len(batches.labels), epoch, step, recipe)
    index = rows[own].numpy()
    pixels, aspects = map(torch.from_numpy, batches.frames.take(index))
    images = augment.apply(pixels, aspects, views[own], preprocessing, size)
    labels = torch.from_numpy(batches.labels[index])
    half = len(index) // 2
    if share < 1:
        images = torch.lerp(images.roll(half, 0), images, share)
    return Batch(images, labels, labels.roll(half, 0), share)


def _draw(
    count: int, epoch: int, step: int, recipe: Recipe
) -> tuple[torch.Tensor, augment.Views, float]:
    """Rows, views and mixing share of one batch, over all processes."""
    seed = recipe.seed * 1_000_003 + epoch
    order = torch.Generator().manual_seed(seed)
    rows = torch.randperm(count, generator=order)[step * recipe.batch_size :][: recipe.batch_size]
    views = torch.Generator().manual_seed(seed * 100_003 + step + 1)
    mixup, share = recipe.augmentation.mixup, 1.0
    if mixup:
        share = float(np.random.default_rng([recipe.seed, epoch, step]).beta(mixup, mixup))
    return rows, augment.draw(len(rows), recipe.augmentation, views), share


def seen_again(epoch: int, step: int, rounds: int, steps: int, seed: int) -> tuple[int, int]:
    """Which kept (epoch, step) is seen in this one: each round's batches, in ever new order."""
    order = np.random.default_rng([seed, epoch]).permutation(steps)
    return epoch % rounds, int(order[step])
