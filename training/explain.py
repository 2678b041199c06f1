"""The reference evidence maps, by pytorch-grad-cam's hooks and a backward pass.

What the closed form in ``training.cam`` is compared with before a model is released. A hooked model
must not be shared between threads; serving never comes here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from pytorch_grad_cam import LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from torch import Tensor, nn

REFERENCE = LayerCAM
"""The method that ``training.cam`` writes down, and the page serves."""


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
) -> np.ndarray:
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
            return cam(images.clone().requires_grad_(), targets)
        finally:
            cam.activations_and_grads.release()


def normalised(cam: np.ndarray, size: int) -> np.ndarray:
    """Maps (N, h, w) >= 0 -> float32 (N, size, size) in [0, 1], as pytorch-grad-cam scales its own.

    Its two steps for one layer: to [0, 1] and bilinear to the input's size, then to [0, 1] again.
    """
    return scale_cam_image(scale_cam_image(cam, (size, size)))


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
