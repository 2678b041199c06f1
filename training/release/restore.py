"""A run folder from a released file: to train on, to distil from or to publish what is released.

A released file has its batch norms folded into the convolutions before them (``as_released``).
They come back as identities that know the statistics of training images: the network computes what
the file does, and goes on learning in batches.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from rich.console import Console
from torch import Tensor, nn

from mel_demo.images import normalise
from mel_demo.manifest import ModelSpec, load_manifest, verify_weights
from training.data.frames import prepare_images
from training.data.ham10000 import read_split
from training.errors import ExportError, RunError
from training.learn.networks import build, normed_convolutions
from training.learn.run_folder import RECORD, RunRecord, save_best, save_record
from training.measure.scores import open_session
from training.provenance import sha256
from training.recipe import RECIPES, load_recipe

IMAGES = 256  # that the batch norms are told the statistics of
TOLERANCE = 1e-3  # of logits, between the file and what was made of it


def restore(
    weights: Path, model: str, data: Path, splits: Path, output: Path, recipe: Path | None = None
) -> None:
    """Write ``output`` as the run folder of the released model ``model`` of ``weights``.

    ``recipe``: the file it was trained by, where that is none of this project's own.

    Raises RunError where ``output`` is a run already or the model has no run of its own (an INT8
    file), ExportError where the network does not compute what the file does.
    """
    if (output / RECORD).exists():
        raise RunError(f"{output} is a run already: give another --output.")
    manifest = load_manifest(weights)
    spec = manifest.models.get(model)
    if spec is None or spec.training is None:
        able = ", ".join(key for key, one in manifest.models.items() if one.training is not None)
        raise RunError(f"{weights} has no model {model!r} that was trained; it has {able}.")
    verify_weights(spec, weights)
    training = read_split(data, splits, "train")
    some = training.at(np.random.default_rng(0).permutation(len(training))[:IMAGES])
    pixels = normalise(prepare_images(some, spec.preprocessing), spec.preprocessing)
    network = unfolded(weights / spec.file, spec.architecture, torch.from_numpy(pixels))
    difference = _difference(network, weights / spec.file, pixels)
    if not difference < TOLERANCE:
        raise ExportError(
            f"The network made of {spec.file} differs from it by {difference:.2e} in a logit; "
            f"the tolerance is {TOLERANCE:.0e}."
        )
    output.mkdir(parents=True, exist_ok=True)
    save_best(output, network.state_dict())
    save_record(output, _record(spec, recipe or RECIPES / spec.recipe, sha256(splits)))
    Console(highlight=False).print(f"{output}: {spec.architecture} of {weights / spec.file}")


@torch.no_grad()
def unfolded(path: Path, architecture: str, images: Tensor) -> nn.Module:
    """The network of an ONNX file, in eval mode; batch norms know ``images`` (N, 3, S, S).

    Raises ExportError where the file's layers are not those of ``architecture``.
    """
    network = build(architecture, size=images.shape[-1]).eval()
    norms: dict[nn.Module, Any] = dict(normed_convolutions(network))
    layers, stored = _layers_in_order(network, images[:1]), _stored(path)
    fits = [layer.weight.numel() for layer in layers] == [weight.size for weight, _ in stored]
    if not fits:
        raise ExportError(f"The layers of {path} are not those of timm's {architecture}.")
    for layer, (weight, bias) in zip(layers, stored, strict=True):
        layer.weight.copy_(torch.tensor(weight).view_as(layer.weight))
        norm = norms.get(layer)
        if norm is None:
            layer.bias.copy_(torch.tensor(bias))
            continue
        norm.weight.fill_(1)
        norm.bias.copy_(torch.tensor(bias))
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    for layer, (mean, variance) in _statistics(network, norms, images).items():
        _tell(layer, norms[layer], mean, variance)
    return network


def _tell(layer: Any, norm: Any, mean: Tensor, variance: Tensor) -> None:
    """Give ``norm`` the statistics (C,) of what ``layer`` gives, and keep what both compute.

    The scale of a convolution before a batch norm is free, and sets how fast it learns: made one.
    """
    scale = layer.weight.flatten(1).pow(2).sum(1).rsqrt().clamp(max=1e3)
    layer.weight.mul_(scale.view(-1, 1, 1, 1))
    norm.running_mean.copy_(mean * scale)
    norm.running_var.copy_(variance * scale**2)
    norm.weight.copy_((norm.running_var + norm.eps).sqrt() / scale)
    norm.bias.add_(mean)


def _layers_in_order(network: nn.Module, image: Tensor) -> list[Any]:
    """Convolutions and the classifier, in the order in which they run."""
    layers: list[Any] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: layers.append(module))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    network(image)
    for hook in hooks:
        hook.remove()
    return layers


def _stored(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of each convolution and of the classifier, float32, in their order."""
    graph = onnx.load(path).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:  # half precision weights are widened where they are used
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    return [
        (values[node.input[1]].astype(np.float32), values[node.input[2]].astype(np.float32))
        for node in graph.node
        if node.op_type in ("Conv", "Gemm") and len(node.input) == 3
    ]


def _statistics(
    network: nn.Module, norms: Iterable[nn.Module], images: Tensor
) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Mean and variance (C,) of what each convolution before a batch norm gives."""
    moments: dict[nn.Module, list[Tensor]] = {layer: [] for layer in norms}

    def keep(layer: nn.Module, _: object, output: Tensor) -> None:
        moments[layer].append(torch.stack([output.mean((0, 2, 3)), output.pow(2).mean((0, 2, 3))]))

    hooks = [layer.register_forward_hook(keep) for layer in norms]
    for part in images.split(32):
        network(part)
    for hook in hooks:
        hook.remove()
    found = {layer: torch.stack(parts).mean(0) for layer, parts in moments.items()}
    return {layer: (m[0], (m[1] - m[0] ** 2).clamp(min=0)) for layer, m in found.items()}


@torch.no_grad()
def _difference(network: nn.Module, path: Path, pixels: np.ndarray) -> float:
    some = pixels[:8]
    (logits,) = open_session(path).run(["logits"], {"image": some})
    return float(np.abs(network(torch.from_numpy(some)).numpy() - logits).max())


def _record(spec: ModelSpec, recipe_file: Path, splits_sha256: str) -> RunRecord:
    """What the manifest knows of the run that made the file."""
    assert spec.training is not None
    recipe = load_recipe(recipe_file)
    external = spec.data.external
    return RunRecord(
        role=recipe.role,
        architecture=spec.architecture,
        recipe_name=spec.recipe,
        recipe=recipe.model_dump(mode="json"),
        preprocessing=spec.preprocessing,
        git_commit=spec.source_commit,
        seed=spec.training.seed,
        splits_sha256=splits_sha256,
        init=f"{spec.training.init}; restored from {spec.file} (SHA-256 {spec.sha256[:12]}...)",
        epochs=spec.training.epochs,
        best_epoch=spec.training.best_epoch or spec.training.epochs,
        best_roc_auc=spec.metrics["validation"]["roc_auc"].value or 0.0,
        hours=spec.training.hours,
        hardware=spec.training.hardware,
        images_per_second=0.0,
        teacher=spec.training.teacher,
        sources={"HAM10000": spec.data.images.train, **(spec.data.more or {})},
        external_sha256=external.sha256 if external is not None else None,
    )
