"""How far evidence maps can be believed: measures of a map, and the maps that are compared.

``energy_in_lesion``: share of the map's sum inside the lesion mask (energy-based pointing game,
Wang et al. 2020, arXiv 1910.01279). ``pointing_game``: whether its strongest point lies inside
(Zhang et al. 2016, arXiv 1608.00507). ``road``: how much more the melanoma log-odds fall when the
pixels marked most relevant are imputed than when those marked least relevant are, halved (ROAD,
Rong et al. 2022, arXiv 2202.00449, by pytorch-grad-cam); above 0 the map tells them apart.

Beside pytorch-grad-cam's methods stand two that know nothing of the image. "random": noise on a
grid as coarse as a model's map. "centre": a Gaussian in the middle, where most lesions are.
Knows no file.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.metrics.road import ROADCombined
from pytorch_grad_cam.utils.image import scale_cam_image
from torch import Tensor, nn

from mel_demo.manifest import MELANOMA
from training.measure.intervals import Array, divide

REFERENCE = LayerCAM
"""The method that ``training.learn.cam`` writes down, and the page serves."""


class LogOddsTarget:
    """log p_k / (1 - p_k) = z_k - log sum_{j != k} exp z_j of class k, from logits (K,)."""

    def __init__(self, class_index: int):
        self.class_index = class_index

    def __call__(self, logits: Tensor) -> Tensor:
        others = torch.cat([logits[: self.class_index], logits[self.class_index + 1 :]])
        return logits[self.class_index] - torch.logsumexp(others, 0)


def reference_maps(
    network: nn.Module,
    layer: nn.Module,
    images: Tensor,
    class_index: int,
    method: type[BaseCAM] = REFERENCE,
) -> Array:
    """pytorch-grad-cam's maps of a class's log-odds, float32 (N, S, S) in [0, 1].

    ``method``: one of its classes.
    ``images``: float32 (N, 3, S, S); ``layer``: the module whose output is the feature map. The
    network gets back its modes, gradients and freedom from hooks, whatever happens.
    """
    targets = [LogOddsTarget(class_index)] * len(images)
    with _borrowed(network), torch.enable_grad():
        cam = method(network, [layer])
        # Not `with method(...)`: its __exit__ swallows IndexError.
        try:
            # The image is the leaf, so that frozen networks work and no weight gets a gradient.
            maps: Array = cam(images.clone().requires_grad_(), targets)
            return maps
        finally:
            cam.activations_and_grads.release()


def normalised(cam: Array, size: int) -> Array:
    """Maps (N, h, w) >= 0 -> float32 (N, size, size) in [0, 1], as pytorch-grad-cam scales its own.

    Its two steps for one layer: to [0, 1] and bilinear to the input's size, then to [0, 1] again.
    """
    scaled: Array = scale_cam_image(scale_cam_image(cam, (size, size)))
    return scaled


@contextmanager
def _borrowed(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    parameters = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    try:
        for parameter, _, _ in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter, requires_grad, gradient in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = gradient


SERVED = REFERENCE.__name__
METHODS = {
    SERVED: REFERENCE,
    "Grad-CAM": GradCAM,
    "Grad-CAM++": GradCAMPlusPlus,
    "HiResCAM": HiResCAM,
    "EigenCAM": EigenCAM,
}
PERCENTILES = (20, 50, 80)
"""Shares of the pixels, in percent, at which ROAD imputes; it averages over them."""
_GRID = 5


def all_maps(network: nn.Module, layer: nn.Module, images: Tensor, seed: int) -> dict[str, Array]:
    """Maps of the melanoma log-odds of images (N, 3, S, S) by method, float32 (N, S, S) in 0..1."""
    side, count = images.shape[-1], len(images)
    maps = {
        name: reference_maps(network, layer, images, MELANOMA, method)
        for name, method in METHODS.items()
    }
    noise = np.random.default_rng(seed).random((count, _GRID, _GRID), np.float32)
    maps["random"] = normalised(noise, side)
    maps["centre"] = np.repeat(centre(side)[None], count, axis=0)
    return maps


def centre(side: int) -> Array:
    """A Gaussian in the middle, float32 (side, side), its deviation a quarter of the side."""
    distance = (np.arange(side) - (side - 1) / 2) / (side / 4)
    line = np.exp(-(distance**2) / 2)
    return np.outer(line, line).astype(np.float32)


def energy_in_lesion(maps: Array, masks: Array) -> Array:
    """Share of each map's sum inside its mask, (N,); NaN for a map of zeros."""
    total = maps.sum((1, 2), dtype=np.float64)
    inside = (maps * masks).sum((1, 2), dtype=np.float64)
    return divide(inside, total)


def pointing_game(maps: Array, masks: Array) -> Array:
    """1 where the strongest point of a map lies in its mask, else 0, (N,); NaN for zeros."""
    flat = maps.reshape(len(maps), -1)
    hits = masks.reshape(len(maps), -1)[np.arange(len(maps)), flat.argmax(1)].astype(np.float64)
    return np.where(flat.any(1), hits, np.nan)


MASK_MEASURES = {"energy_in_lesion": energy_in_lesion, "pointing_game": pointing_game}
"""What needs no network: of maps (N, S, S) and masks (N, S, S), (N,)."""
MEASURES = (*MASK_MEASURES, "road")


def road(network: nn.Module, images: Tensor, maps: Array) -> Array:
    """Combined ROAD score of each map in log-odds of melanoma, (N,). The noise of imputation is
    seeded, so that the same maps score the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        with torch.inference_mode():
            targets = [LogOddsTarget(MELANOMA)] * len(images)
            score = ROADCombined(percentiles=list(PERCENTILES))
            return np.asarray(score(images, maps, targets, network), np.float64)
