"""Starting weights for EfficientNet-B1 (or B2) from its sibling Lite1 (or Lite2), block by block.

The siblings have the same widths and kernels. Lite lacks squeeze-and-excitation, has ReLU6 where
EfficientNet has SiLU, and one block less in the first and last stage. So that what comes out
computes nearly what Lite does:

* blocks that Lite lacks start as identities: the scale of their last batch norm is zero;
* gates start open, and alike for every channel;
* batch norms are told the statistics of dermoscopy images, with scales and shifts that keep Lite's
  function on them (training normalises by the batch, not by ImageNet's statistics);
* SiLU(g x) / g comes nearer to ReLU(x) as g grows: scales and shifts before an activation are
  multiplied by ``GAIN``, and the batch norm behind the next convolution takes it back.
"""

from pathlib import Path

import numpy as np
import timm
import torch
from rich.console import Console
from safetensors.torch import save
from torch import Tensor, nn

from mel_demo.images import normalise
from mel_demo.manifest import Preprocessing
from training.data.frames import prepare_images
from training.data.ham10000 import read_split
from training.errors import RecipeError
from training.files import replacing
from training.learn.networks import load_init, refuse_unknown

IMAGES = 256  # that the batch norms are told the statistics of
GAIN = 2.0
OPEN = 2.0  # the bias of a gate: sigmoid(2) = 0.88, alike for all channels, which batch norms undo


def take_over(architecture: str, lite: str, weights: Path, images: Tensor) -> nn.Module:
    """``architecture`` with the weights of ``lite`` from a safetensors file; both of timm.

    ``images`` (N, 3, S, S): a few hundred dermoscopy images, normalised. Raises RecipeError when
    the weights are not those of ``lite``, and when the two are no siblings: when a convolution of
    ``lite`` has no counterpart of its shape.
    """
    for name in (lite, architecture):
        refuse_unknown(name)
    source = timm.create_model(lite).eval()
    load_init(source, weights)
    network = timm.create_model(architecture)
    _copy(source, network, lite, architecture)
    _keep_function(source, network, images)
    for name, module in network.named_modules():
        if name.endswith("se.conv_expand"):
            nn.init.zeros_(module.weight)
            nn.init.constant_(module.bias, OPEN)
    _calibrate(network, images)
    return network


@torch.no_grad()
def _copy(source: nn.Module, network: nn.Module, lite: str, architecture: str) -> None:
    """Convolutions by name; blocks without a counterpart become identities."""
    own = dict(network.named_modules())
    for name, module in source.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if name not in own or own[name].weight.shape != module.weight.shape:
            raise RecipeError(
                f"{architecture} cannot take over {lite}: {name} has no counterpart of its shape."
            )
        own[name].weight.copy_(module.weight)
    theirs = {name for name, _ in source.named_modules()}
    for name, module in network.named_modules():
        if name.count(".") == 2 and name.startswith("blocks.") and name not in theirs:
            last = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)][-1]
            nn.init.zeros_(last.weight)


@torch.no_grad()
def _keep_function(source: nn.Module, network: nn.Module, images: Tensor) -> None:
    """Scales and shifts with which batch statistics give what ``source`` gives with its own."""
    norms = {n: m for n, m in source.named_modules() if isinstance(m, nn.BatchNorm2d)}
    given: dict[str, list[Tensor]] = {name: [] for name in norms}
    hooks = [
        norm.register_forward_pre_hook(
            lambda _, x, name=name: given[name].append(
                torch.stack([x[0].mean((0, 2, 3)), x[0].pow(2).mean((0, 2, 3))])
            )
        )
        for name, norm in norms.items()
    ]
    for part in images.split(32):
        source(part)
    for hook in hooks:
        hook.remove()
    own = dict(network.named_modules())
    for name, norm in norms.items():
        mean, square = torch.stack(given[name]).mean(0)
        assert norm.running_var is not None
        slope = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        acts = not isinstance(getattr(norm, "act", nn.Identity()), nn.Identity)
        gain = GAIN if acts else 1.0
        own[name].weight.copy_(gain * slope * (square - mean**2).clamp(min=0).sqrt())
        own[name].bias.copy_(gain * (norm.bias + slope * (mean - norm.running_mean)))


@torch.no_grad()
def _calibrate(network: nn.Module, images: Tensor) -> None:
    """Running statistics of ``images``, the mean over batches."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    network.train()
    for part in images.split(32):
        network(part)
    network.eval()


def save_start(network: nn.Module, path: Path) -> None:
    """Write what ``--init`` reads: all but the classifier."""
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("classifier.")}
    with replacing(path) as file:
        file.write(save({key: value.contiguous() for key, value in state.items()}))


def write_start(
    weights: Path, data: Path, splits: Path, output: Path, lite: str, arch: str, size: int
) -> None:
    """``take_over`` to ``arch`` by training images ``size`` pixels wide, saved to ``output``."""
    seen = Preprocessing(size, 1.2, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    images = read_split(data, splits, "train")
    some = images.at(np.random.default_rng(0).permutation(len(images))[:IMAGES])
    pixels = torch.from_numpy(normalise(prepare_images(some, seen), seen))
    save_start(take_over(arch, lite, weights, pixels), output)
    Console(highlight=False).print(f"{output}: {arch} from {lite}")
