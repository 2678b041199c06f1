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

import numpy as np
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM
from pytorch_grad_cam.metrics.road import ROADCombined
from torch import Tensor, nn

from mel_demo.manifest import MELANOMA
from training.explain import REFERENCE, LogOddsTarget, normalised, reference_maps

SERVED = REFERENCE.__name__
METHODS = {
    SERVED: REFERENCE,
    "Grad-CAM": GradCAM,
    "Grad-CAM++": GradCAMPlusPlus,
    "HiResCAM": HiResCAM,
    "EigenCAM": EigenCAM,
}
MEASURES = ("energy_in_lesion", "pointing_game", "road")
PERCENTILES = (20, 50, 80)
"""Shares of the pixels, in percent, at which ROAD imputes; it averages over them."""
_GRID = 5


def all_maps(
    network: nn.Module, layer: nn.Module, images: Tensor, seed: int
) -> dict[str, np.ndarray]:
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


def centre(side: int) -> np.ndarray:
    """A Gaussian in the middle, float32 (side, side), its deviation a quarter of the side."""
    distance = (np.arange(side) - (side - 1) / 2) / (side / 4)
    line = np.exp(-(distance**2) / 2)
    return np.outer(line, line).astype(np.float32)


def energy_in_lesion(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of each map's sum inside its mask, (N,); NaN for a map of zeros."""
    total = maps.sum((1, 2), dtype=np.float64)
    inside = (maps * masks).sum((1, 2), dtype=np.float64)
    return np.divide(inside, total, out=np.full(len(maps), np.nan), where=total > 0)


def pointing_game(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """1 where the strongest point of a map lies in its mask, else 0, (N,); NaN for zeros."""
    flat = maps.reshape(len(maps), -1)
    hits = masks.reshape(len(maps), -1)[np.arange(len(maps)), flat.argmax(1)].astype(np.float64)
    return np.where(flat.any(1), hits, np.nan)


def road(network: nn.Module, images: Tensor, maps: np.ndarray) -> np.ndarray:
    """Combined ROAD score of each map in log-odds of melanoma, (N,). The noise of imputation is
    seeded, so that the same maps score the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        with torch.inference_mode():
            targets = [LogOddsTarget(MELANOMA)] * len(images)
            score = ROADCombined(percentiles=list(PERCENTILES))
            return np.asarray(score(images, maps, targets, network), np.float64)
