"""What a run sees, and when: rows, views and mixing of each step.

All of it follows from (seed, epoch, step) alone, so that a resumed run, and a run on several
processes, sees what an uninterrupted run on one process sees. Knows no network.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from mel_demo.manifest import Preprocessing
from training.data.frames import Frames
from training.learn import augment
from training.recipe import Recipe

MASK_SIZE = 48  # pixels, of a lesion's mask in a view: a multiple of the side of most evidence maps


@dataclass(frozen=True)
class Held:
    """Frames in the memory of one device, where their views are made: uint8 (N, H, W, 3), (N,)."""

    pixels: torch.Tensor
    aspects: torch.Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels and aspects of the images at ``index``."""
        rows = torch.from_numpy(index).to(self.pixels.device, non_blocking=True)
        return self.pixels[rows], self.aspects[rows]


def hold(frames: Frames | Held, device: torch.device) -> Held:
    """All frames, copied to ``device`` once."""
    pixels, aspects = map(torch.as_tensor, frames.take(np.arange(len(frames))))
    return Held(pixels.to(device), aspects.to(device))


@dataclass(frozen=True)
class Batches:
    """What a run learns from and is judged on.

    ``labels`` int64 (N,) of ``frames``, index into CLASS_NAMES or ``isic.NOT_MELANOMA``;
    ``sources``: images from each data set; ``external_sha256``: of the file that says which images
    of other clinics were kept out, where such images were used; ``data_sha256``: of the pictures of
    each data set. ``validation`` uint8 (M, size, size, 3) prepared as the page does, with
    ``validation_labels`` int64 (M,) and the camera each comes from in ``validation_sources`` (M,),
    where that is known. ``offsets`` float32 (N,): see ``training.learn.sources``. ``masks``: of the
    lesions of the first images, as frames.
    """

    frames: Frames | Held
    labels: np.ndarray
    validation: np.ndarray | torch.Tensor
    validation_labels: np.ndarray
    splits_sha256: str
    sources: dict[str, int] = field(default_factory=dict)
    external_sha256: str | None = None
    data_sha256: dict[str, str] = field(default_factory=dict)
    offsets: np.ndarray | None = None
    masks: Frames | Held | None = None
    validation_sources: np.ndarray | None = None

    def held(self, device: torch.device) -> "Batches":
        """The same, with all pixels in the memory of ``device``; views are made there."""
        masks = None if self.masks is None else hold(self.masks, device)
        validation = torch.as_tensor(self.validation).to(device)
        return replace(self, frames=hold(self.frames, device), masks=masks, validation=validation)


@dataclass(frozen=True)
class Batch:
    """Views (N, 3, S, S) with labels (N,) and offsets (N,); mixed in pairs for ``share`` below 1.

    A view is ``share`` of its own image and ``1 - share`` of its partner's, half a batch away.
    ``lesions`` (N, 1, s, s) in 0..1 is where they lie in the view, all below zero where there is
    no mask.
    """

    images: torch.Tensor
    labels: torch.Tensor
    offsets: torch.Tensor
    share: float
    lesions: torch.Tensor | None = None

    def partners(self, values: torch.Tensor) -> torch.Tensor:
        """Of each view, what its partner has of ``values`` (N, ...)."""
        return values.roll(len(values) // 2, 0)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device, which need not be waited for."""
        images, labels, offsets = (
            x.to(device, non_blocking=True) for x in (self.images, self.labels, self.offsets)
        )
        lesions = None if self.lesions is None else self.lesions.to(device, non_blocking=True)
        return Batch(images, labels, offsets, self.share, lesions)

    def turned(self, orientation: int) -> "Batch":
        """All views in another of their eight orientations."""
        lesions = None if self.lesions is None else augment.turned(self.lesions, orientation)
        images = augment.turned(self.images, orientation)
        images = images.contiguous(memory_format=torch.channels_last)
        return replace(self, images=images, lesions=lesions)


def look(
    batches: Batches,
    recipe: Recipe,
    preprocessing: Preprocessing,
    epoch: int,
    step: int,
    own: slice,
    size: int,
) -> Batch:
    """The views, ``size`` pixels wide, of the rows ``own`` of a step's batch, where frames are."""
    rows, views, share = _draw(len(batches.labels), epoch, step, recipe)
    index = rows[own].numpy()
    pixels, aspects = map(torch.as_tensor, batches.frames.take(index))
    images = augment.apply(pixels, aspects, views[own], preprocessing, size)
    labels = torch.from_numpy(batches.labels[index])
    offsets = torch.zeros(len(index))
    if batches.offsets is not None:
        offsets = torch.from_numpy(batches.offsets[index])
    lesions = None
    if batches.masks is not None:
        lesions = _lesions(batches.masks, index, aspects, views[own], preprocessing)
    batch = Batch(images, labels, offsets, share, lesions)
    if share < 1:
        images = torch.lerp(batch.partners(images), images, share)
        if lesions is not None:  # a lesion may show where either of the two has it
            lesions = torch.maximum(batch.partners(lesions), lesions)
        batch = replace(batch, images=images, lesions=lesions)
    return batch


def _lesions(
    masks: Frames | Held,
    index: np.ndarray,
    aspects: torch.Tensor,
    views: augment.Views,
    preprocessing: Preprocessing,
) -> torch.Tensor:
    """Where the lesions of images ``index`` lie in their views, float32 (N, 1, s, s)."""
    known = index < len(masks)
    pixels, _ = masks.take(np.where(known, index, 0))
    mask = torch.as_tensor(pixels)[..., :1].contiguous()
    lesions = augment.warp(mask, aspects, views.to(mask.device), preprocessing, MASK_SIZE)
    unknown = torch.from_numpy(~known).view(-1, 1, 1, 1).to(mask.device, non_blocking=True)
    return lesions.masked_fill_(unknown, -1.0)


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


def orientation(epoch: int, step: int, seed: int) -> int:
    """In which of its eight orientations a kept batch is shown this time."""
    return int(np.random.default_rng([seed, epoch, step]).integers(8))
