"""LayerCAM as a closed form: a network that returns its evidence maps with its logits.

After global pooling the heads of the two families here are a few matrix products, so the gradient
of a class's log-odds with respect to the last feature map can be written down instead of being
found by a backward pass. What comes out is an ordinary forward graph, which ONNX can hold.

Knows nothing of files, ONNX or images; `training.measure.maps` is the reference it is compared
with.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor, nn
from torch.nn.functional import hardswish, relu

from training.errors import ExportError


class Head(nn.Module, ABC):
    """What stands between the last feature map and the logits, with its derivative.

    Built from a network, whose modules it borrows and does not change.
    """

    family: str

    @abstractmethod
    def target_layer(self) -> nn.Module:
        """The module whose output is the feature map F (for pytorch-grad-cam's hooks)."""

    @abstractmethod
    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Spatial means of F (N, C) -> logits z (N, K) and log-odds gradients (N, K, C)."""


class EfficientNetHead(Head):
    """EfficientNet, MobileNetV2, MnasNet, ...: F = bn2's output, after its activation.

    z = W g + b with g = mean F, so dS_k/dg = (dS_k/dz) W.
    """

    family = "EfficientNet"

    def __init__(self, network: EfficientNet):
        super().__init__()
        self.features, self.classifier = network.bn2, network.classifier

    def target_layer(self) -> nn.Module:
        return self.features

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.classifier(pooled)
        return logits, log_odds_gradient(logits) @ self.classifier.get_parameter("weight")


class MobileNetV3Head(Head):
    """MobileNetV3: F = the last block's output, before pooling and conv_head.

    u = V g + c (conv_head, a 1x1 convolution), z = W h(u) + b with h hard-swish, so
    dS_k/dg = ((dS_k/dz) W * h'(u)) V.
    """

    family = "MobileNetV3"

    def __init__(self, network: MobileNetV3):
        super().__init__()
        if not isinstance(network.norm_head, nn.Identity) or not isinstance(
            network.act2, nn.Hardswish
        ):
            raise ExportError(
                "The closed-form evidence map of MobileNetV3 needs a head of conv_head and "
                f"hard-swish; this one has norm_head {type(network.norm_head).__name__} and act2 "
                f"{type(network.act2).__name__}. Use an architecture such as mobilenetv3_small_100."
            )
        self.features = network.blocks[-1]
        self.classifier: nn.Module = network.classifier
        self.hidden: nn.Conv2d = network.conv_head

    def target_layer(self) -> nn.Module:
        return self.features

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        u = self.hidden(pooled[:, :, None, None]).flatten(1)
        # Not the network's act2: it works in place and would leave h(u) where u is needed.
        logits = self.classifier(hardswish(u))
        to_hidden = log_odds_gradient(logits) @ self.classifier.get_parameter("weight")
        to_conv = to_hidden * hardswish_derivative(u)[:, None]
        return logits, to_conv @ self.hidden.weight.flatten(1)


@dataclass(frozen=True)
class Family:
    """A network class of timm and the head that fits it."""

    network: type[nn.Module]
    head: type[Head]


FAMILIES = (Family(EfficientNet, EfficientNetHead), Family(MobileNetV3, MobileNetV3Head))


def head_of(network: nn.Module) -> Head:
    """The closed-form head of ``network``; ExportError where there is none.

    A head stands for average pooling and a linear classifier: anything else is refused too.
    """
    for family in FAMILIES:
        if isinstance(network, family.network):
            pooling = getattr(network.global_pool, "pool_type", None)
            if pooling != "avg" or not isinstance(network.classifier, nn.Linear):
                raise ExportError(
                    f"The closed-form evidence map of {family.head.family} needs average pooling "
                    f"and a linear classifier, not {pooling!r} pooling and "
                    f"{type(network.classifier).__name__}."
                )
            return family.head(network)
    known = ", ".join(family.head.family for family in FAMILIES)
    raise ExportError(
        f"There is no closed-form evidence map for {type(network).__name__}. Families with one: "
        f"{known}. Train one of those, or add a Head for this one to training/learn/cam.py."
    )


class WithEvidence(nn.Module):
    """A network that returns (logits, cam[, distance]) for images (N, 3, S, S), without autograd.

    logits (N, K) float32. cam (N, K, h, w) >= 0: for each class k the LayerCAM map of the
    class's log-odds S_k = z_k - log sum_{j != k} exp z_j (Jiang et al. 2021, IEEE TIP 30,
    doi 10.1109/TIP.2021.3089943),

        cam_k = ReLU(sum_c ReLU(dS_k / dF_c) F_c),

    not normalised. Behind average pooling the gradient is the same at every position, and without
    the inner ReLU this is Grad-CAM (arXiv 1610.02391). With it, a channel that speaks against the
    class does not cancel what another one shows at its place: chosen on validation, see
    docs/experiments.md. Log-odds, since the gradient of a probability vanishes where the network
    is sure, and that of a lone logit leaves out the evidence for the other classes.

    distance (N,), where a module ``distance`` is given: what it makes of ``inner_means``.
    """

    def __init__(self, network: nn.Module, distance: nn.Module | None = None):
        super().__init__()
        self.head = head_of(network)
        self.network: Any = network  # of timm, whose methods nn.Module does not know
        self.distance = distance

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.distance is None:
            features, inner = self.network.forward_features(image), []
        else:
            features, inner = self.network.forward_intermediates(image, extra_blocks=True)
        positions = features.shape[-2] * features.shape[-1]
        logits, gradient = self.head(features.mean((2, 3)))
        # Each position holds 1 / positions of the mean, so dS/dF is dS/dg / positions everywhere.
        cam = relu(relu(gradient / positions) @ features.flatten(2))
        maps = cam.unflatten(2, features.shape[-2:])
        if self.distance is None:
            return logits, maps
        return logits, maps, self.distance(_means(inner))


def inner_means(network: nn.Module, image: Tensor) -> Tensor:
    """Spatial means of the stem and of every stage but the last, side by side: (N, D).

    The last stage has unlearned what does not help to tell diagnoses apart; colours and textures
    stand in those before it.
    """
    timms: Any = network
    return _means(timms.forward_intermediates(image, extra_blocks=True)[1])


def _means(inner: list[Tensor]) -> Tensor:
    return torch.cat([features.mean((2, 3)) for features in inner[:-1]], 1)


def log_odds_gradient(logits: Tensor) -> Tensor:
    """dS_k/dz_j of the log-odds S_k, (N, K) -> (N, K, K): 1 where j = k, else -p_j / (1 - p_k).

    Found as a softmax over the other classes, which stays exact where p_k rounds to 1.
    """
    classes = logits.shape[1]
    one = torch.eye(classes, dtype=logits.dtype, device=logits.device)
    others = torch.zeros_like(one).masked_fill(one.bool(), float("-inf"))
    return one - (logits[:, None, :] + others).softmax(-1)


def hardswish_derivative(u: Tensor) -> Tensor:
    """h'(u) of h(u) = u min(max(u + 3, 0), 6) / 6: 0 below -3, (2u + 3) / 6, 1 above 3."""
    between = (2 * u + 3) / 6
    return torch.where(
        u <= -3, torch.zeros_like(u), torch.where(u < 3, between, torch.ones_like(u))
    )
