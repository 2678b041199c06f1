"""Images a second in training: this project's loop beside timm's data pipeline and a plain step.

    python -m benchmarks.throughput --data HAM10000 --splits splits.csv

Same network, size, batch, optimiser and images on one process. The other side is what timm's
training script does with the options this project uses (``timm.data.create_loader`` with random
resized crops, flips, colour jitter and random erasing, mixup, AdamW, EMA, channels last); the
script itself is not part of timm's package. Both take turns in blocks of steps, so that other work
on the machine hits both. Prints a table and writes throughput.json beside this file.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import timm
import torch
import typer
from accelerate import Accelerator
from rich.console import Console
from rich.table import Table
from timm.data import Mixup, create_dataset, create_loader
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3

from mel_demo.manifest import CLASS_NAMES, Preprocessing
from training import provenance
from training.data.frames import cached_frames
from training.data.ham10000 import Images, read_split
from training.files import write_json
from training.learn.batches import Batches
from training.learn.loop import Run, Trainer
from training.learn.networks import build
from training.provenance import command, git_commit, now
from training.recipe import RECIPES, Recipe, load_recipe

HERE = Path(__file__).parent
OWN, TIMM = "mel_demo", "timm"


def main(
    data: Annotated[Path, typer.Option(help="Folder of HAM10000 in its original layout.")],
    splits: Annotated[Path, typer.Option(help="CSV written by `training splits`.")],
    architectures: Annotated[str, typer.Option(help="Of timm, separated by commas.")] = (
        "efficientnet_b1,mobilenetv3_small_100"
    ),
    steps: Annotated[int, typer.Option(help="Steps of a block.")] = 20,
    blocks: Annotated[int, typer.Option(help="Blocks of each side.")] = 4,
    workers: Annotated[int, typer.Option(help="Worker processes of timm's loader.")] = 2,
    cache: Annotated[Path, typer.Option(help="Folder for decoded images.")] = Path("cache"),
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "throughput.json",
) -> None:
    """Measure and print."""
    images = read_split(data, splits, "train")
    rows = {}
    for architecture in architectures.split(","):
        recipe = load_recipe(
            RECIPES / "teacher.yaml", architecture=architecture, start_size=None, epochs=1000
        )
        with tempfile.TemporaryDirectory() as name:
            sides = {
                OWN: _own(recipe, images, data, cache, Path(name) / "run"),
                TIMM: _timm(recipe, images, Path(name) / "folders", workers),
            }
            rows[architecture] = _measure(sides, steps, blocks, recipe.batch_size)
    table = Table("architecture", OWN, TIMM, "times", title="training, images a second")
    for architecture, found in rows.items():
        ratio = found[OWN] / found[TIMM]
        table.add_row(architecture, f"{found[OWN]:.0f}", f"{found[TIMM]:.0f}", f"{ratio:.2f}")
    Console().print(table)
    write_json(
        output,
        {
            "command": command(),
            "written": now(),
            "git_commit": git_commit(),
            "machine": provenance.describe(),
            "versions": {"torch": torch.__version__, "timm": timm.__version__},
            "steps": steps,
            "blocks": blocks,
            "images_per_second": rows,
        },
    )


def _measure(
    sides: dict[str, Callable[[], None]], steps: int, blocks: int, batch: int
) -> dict[str, float]:
    seconds = dict.fromkeys(sides, 0.0)
    for step in sides.values():  # the first ones allocate
        step(), step()
    for _ in range(blocks):
        for name, step in sides.items():
            start = time.perf_counter()
            for _ in range(steps):
                step()
            seconds[name] += time.perf_counter() - start
    return {name: round(steps * blocks * batch / spent, 1) for name, spent in seconds.items()}


def _own(
    recipe: Recipe, images: Images, data: Path, cache: Path, folder: Path
) -> Callable[[], None]:
    """One step of the project's trainer, without its teachers."""
    batches = Batches(
        frames=cached_frames(data, images.image_ids, cache, recipe.cache_height),
        labels=images.labels,
        validation=np.zeros((0, recipe.size, recipe.size, 3), np.uint8),
        validation_labels=np.zeros(0, np.int64),
        splits_sha256="",
    )
    run = Run(
        folder=folder,
        recipe=recipe,
        recipe_name="teacher.yaml",
        network=build(recipe.architecture, drop_rate=recipe.drop_rate),
        preprocessing=Preprocessing(recipe.size, recipe.max_aspect_ratio, recipe.mean, recipe.std),
        init="random",
    )
    trainer = Trainer(run, batches, Accelerator())
    trainer.network.train()
    numbers = itertools.cycle(range(trainer.steps))
    return lambda: trainer.run_step(next(numbers))


def _timm(recipe: Recipe, images: Images, folder: Path, workers: int) -> Callable[[], None]:
    """One step as timm's script takes it: its loader, mixup, optimiser and average."""
    for path, label in zip(images.paths, images.labels, strict=True):
        target = folder / CLASS_NAMES[label] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(path.resolve(), target)
    loader = create_loader(
        create_dataset("", root=str(folder)),
        input_size=(3, recipe.size, recipe.size),
        batch_size=recipe.batch_size,
        is_training=True,
        use_prefetcher=False,
        scale=(0.6, 1.0),
        hflip=0.5,
        vflip=0.5,
        color_jitter=0.2,
        re_prob=0.2,
        interpolation="bilinear",
        mean=recipe.mean,
        std=recipe.std,
        num_workers=workers,
        device=torch.device("cpu"),
        persistent_workers=workers > 0,
    )
    mixup = Mixup(mixup_alpha=0.2, num_classes=len(CLASS_NAMES), label_smoothing=0.0)
    network = build(recipe.architecture, drop_rate=recipe.drop_rate)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(
        network, opt="adamw", lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    average, loss = ModelEmaV3(network, decay=recipe.ema_decay), SoftTargetCrossEntropy()
    batches = _endless(loader)

    def step() -> None:
        views, targets = mixup(*next(batches))
        found = loss(network(views.contiguous(memory_format=torch.channels_last)), targets)
        found.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        average.update(network)

    return step


def _endless(loader: torch.utils.data.DataLoader) -> Iterator:
    while True:
        yield from loader


if __name__ == "__main__":
    typer.run(main)
