"""The exact folder that becomes a model's repository on the Hub.

Card, manifest, ONNX files, safetensors with timm's configuration, recipe, figure. Knows no network.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from timm.models import save_for_hf
from torch import nn

from mel_demo.drawings import DRAWINGS, draw
from mel_demo.inference import Model, prepare
from mel_demo.manifest import CLASS_NAMES, FILE_NAME, Manifest, ModelSpec, verify_weights
from training import vector
from training.errors import PublishError
from training.files import CARD, emptied, write_text
from training.hub_cards import LICENCE, hub_card
from training.loop import RECIPE
from training.models import load_run
from training.plots import measured_roc
from training.words import DIAGNOSES

ROLES = {"teacher": ("teacher",), "student": ("student", "student_int8")}
"""The models of each repository, the one that timm loads first."""
TOLERANCE = 0.001
"""Largest difference of a class probability between the file and torch, one network in both."""


def build(
    role: str,
    manifest: Manifest,
    weights: Path,
    run: Path,
    repos: dict[str, str],
    output: Path,
    unclean: bool = False,
) -> Path:
    """Write the repository of ``role`` ("teacher" or "student") to ``output`` (see ``emptied``).

    ``run``: the training run that the released file was exported from. Raises PublishError where
    something that belongs there is missing or does not fit, and WeightsError for a changed file.
    """
    specs = [manifest.models[key] for key in ROLES[role] if key in manifest.models]
    for spec in specs:
        verify_weights(spec, weights)
    network, record = load_run(run)
    card = hub_card(specs, repos, record.recipe["source"]["repository"], unclean)
    compare(network, specs[0], weights, run)
    card.save(emptied(output) / CARD)
    _save(network, specs[0], output)
    for spec in specs:
        shutil.copyfile(weights / spec.file, output / spec.file)
    shutil.copyfile(weights / FILE_NAME, output / FILE_NAME)
    shutil.copyfile(run / RECIPE, output / RECIPE)
    figure = measured_roc({spec.key: spec.operating_table for spec in specs})
    write_text(output / "roc.svg", vector.standalone(figure, "roc", "ROC curve on holdout"))
    return output


def compare(network: nn.Module, spec: ModelSpec, weights: Path, run: Path) -> None:
    """Refuse a run that is not the network of the released file, by this project's drawings."""
    model = Model(spec, weights / spec.file, threads=1)
    for name in DRAWINGS:
        prepared = prepare(draw(name), spec.preprocessing)
        batch = torch.from_numpy(prepared.tensor)
        with torch.inference_mode():
            torchs = (network(batch)[0] / spec.temperature).softmax(0).numpy()
        difference = float(np.abs(torchs - model.run(prepared).probabilities).max())
        if difference > TOLERANCE:
            raise PublishError(
                f"{run} is not the run that {spec.file} was exported from: on the drawing {name} "
                f"probabilities differ by {difference:.3f}. Name the run with --{spec.key}-run."
            )


def _save(network: nn.Module, spec: ModelSpec, output: Path) -> None:
    """model.safetensors and config.json as timm reads them; matrices in half precision.

    Nothing is lost: ``training.models.as_released`` has rounded them so already.
    """
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.half()
    pre = spec.preprocessing
    save_for_hf(
        network,
        output,
        model_config={
            "label_names": list(CLASS_NAMES),
            "label_descriptions": DIAGNOSES,
            # In place of those of timm's ImageNet weights.
            "pretrained_cfg": {"tag": "ham10000", "license": LICENCE},
        },
        safe_serialization=True,
        data_config={
            "input_size": (3, pre.size, pre.size),
            "mean": pre.mean,
            "std": pre.std,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
        },
    )
