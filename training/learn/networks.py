"""Networks: any timm architecture with seven outputs, starting weights, finished runs.

Knows nothing of data or of how a network is trained.
"""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mel_demo.manifest import CLASS_NAMES
from training.errors import RecipeError


def build(
    architecture: str,
    pretrained: bool = False,
    init: Path | None = None,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    size: int | None = None,
) -> nn.Module:
    """A timm network with one output a class of CLASS_NAMES, from images (N, 3, size, size).

    ``pretrained`` takes timm's own weights from the Hub; ``init`` a local safetensors file instead.
    ``size`` matters to architectures that are made for one size alone, such as vision transformers;
    without it they are made for timm's. Raises RecipeError for an unknown architecture, a size it
    cannot have or a file that does not fit it.
    """
    refuse_unknown(architecture)
    options: dict[str, Any] = {"drop_rate": drop_rate}
    if drop_path_rate:  # not every architecture of timm knows it
        options["drop_path_rate"] = drop_path_rate
    if size is not None and has_one_size(architecture):
        options["img_size"] = size
    try:
        network = timm.create_model(
            architecture,
            pretrained=pretrained and init is None,
            num_classes=len(CLASS_NAMES),
            **options,
        )
        if size is not None and "img_size" in options:
            with torch.no_grad():
                network.eval()(torch.zeros(1, 3, size, size))
            network.train()
    except OSError as error:
        # What huggingface_hub raises when offline derives from OSError.
        raise RecipeError(
            f"The pretrained weights of {architecture} could not be fetched ({error}). Give a "
            "local file with --init FILE, or start from random weights with --no-pretrained."
        ) from error
    except (AssertionError, RuntimeError, ValueError) as error:
        # Of a size that does not divide into its patches or windows, found here or at the latest in
        # the first forward pass.
        if "img_size" not in options:
            raise
        raise RecipeError(
            f"{architecture} cannot take images of {size} pixels ({error}): give another --size, "
            "to a student that of its teacher."
        ) from error
    # timm starts a classifier uniformly within 1/sqrt(outputs): for seven outputs that makes logits
    # of several units before the first step, which the first epoch then spends unlearning.
    for layer in _output_layers(network):
        nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if init is not None:
        load_init(network, init)
    return network


def refuse_unknown(architecture: str) -> None:
    """RecipeError for what timm does not have: a name, or the tag of weights behind its dot."""
    name, _, tag = architecture.partition(".")
    if not timm.is_model(name):
        similar = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:8]) or "none"
        raise RecipeError(
            f"timm {timm.__version__} has no architecture {architecture!r}; similar: {similar}."
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{name}.*")]
    if tag and tag not in tags:
        raise RecipeError(
            f"timm {timm.__version__} has no weights {tag!r} of {name}; it has "
            f"{', '.join(filter(None, tags)) or 'none'}."
        )


def has_one_size(architecture: str) -> bool:
    """Whether its networks take images of one size, fixed when they are made.

    Raises RecipeError for an architecture that timm does not have.
    """
    refuse_unknown(architecture)
    known = timm.get_pretrained_cfg(architecture)
    return known is not None and known.fixed_input_size


def _output_layers(network: Any) -> list[nn.Linear | nn.Conv2d]:
    """The last layers: two in a distilled transformer, a convolution in a few architectures."""
    heads = network.get_classifier()
    layers = [
        layer
        for head in (heads if isinstance(heads, tuple) else (heads,))
        for layer in head.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    return [layer for layer in layers if layer.weight.shape[0] == len(CLASS_NAMES)]


def load_init(network: nn.Module, init: Path) -> None:
    """Load starting weights into ``network``, casting to its dtype.

    The classifier comes along where it is of the same classes, as from a run of this project.
    Raises RecipeError unless every tensor outside the classifier is in the file with its shape.
    """
    try:
        stored = load_file(init)
    except (OSError, SafetensorError) as error:
        raise RecipeError(f"{init} is not a readable safetensors file: {error}") from error
    own = network.state_dict()
    classifier = tuple(f"{name}." for name in _classifier_names(network))
    wanted = {k: v for k, v in own.items() if not k.startswith(classifier)}
    fitting = _fitting(stored, wanted)
    adapt = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if len(fitting) < len(wanted) and adapt is not None:
        # timm's own, which resamples a transformer's position embeddings to the size wanted.
        fitting = _fitting(adapt({k: v.float() for k, v in stored.items()}, network), wanted)
    lacking = sorted(
        key for key in wanted if key not in fitting and not key.endswith("num_batches_tracked")
    )
    if lacking:
        raise RecipeError(
            f"{init} does not fit {type(network).__name__}: {len(lacking)} of {len(wanted)} "
            f"tensors are absent or of another shape, the first is {lacking[0]}."
        )
    network.load_state_dict(fitting | _fitting(stored, own), strict=False)


def _fitting(
    stored: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    return {k: stored[k] for k, v in wanted.items() if k in stored and stored[k].shape == v.shape}


def _classifier_names(network: Any) -> tuple[str, ...]:
    names = network.pretrained_cfg.get("classifier", "classifier")
    return (names,) if isinstance(names, str) else tuple(names)


def parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def normed_convolutions(network: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution that a batch norm follows, with that norm."""
    return [
        (convolution, norm)
        for parent in network.modules()
        for convolution, norm in pairwise(parent.children())
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]


@torch.no_grad()
def as_released(network: nn.Module) -> nn.Module:
    """Fold batch norms into the convolutions before them, then round to half precision; in place.

    Released files store weights in half precision, which halves them. Rounded after folding, the
    network in torch and the exported one are the same to the last bit of every weight. For
    inference only.
    """
    for convolution, norm in normed_convolutions(network):
        _fold(convolution, norm)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.copy_(parameter.half().float())
    return network


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Move ``norm``'s scale into ``convolution``; ``norm`` keeps the shift, exactly."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return  # it normalises by each batch, which cannot be folded
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    before = torch.zeros_like(mean) if convolution.bias is None else convolution.bias
    norm.bias.copy_(norm.bias + (before - mean) * scale)
    convolution.weight.mul_(scale.view(-1, 1, 1, 1))
    if convolution.bias is not None:
        convolution.bias.zero_()
    norm.weight.fill_(1)
    mean.zero_()
    variance.fill_(1)
    norm.eps = 1e-12  # nothing beside a variance of one; torch 2.11 refuses zero
