"""A trainer on random frames, with networks that keep what they were shown."""

import numpy as np
import torch
from accelerate import Accelerator

from mel_demo.manifest import Preprocessing
from training.data.frames import Frames
from training.learn.batches import Batches
from training.learn.loop import Run, Trainer
from training.recipe import RECIPES, load_recipe


class Remembering(torch.nn.Module):
    """A network that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 7)
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images.clone())
        return self.linear(images.mean((2, 3)))


def trainer(folder, student, teacher, **options) -> Trainer:
    """The student's recipe at 32 pixels in batches of 4, 3 steps an epoch, 5 epochs."""
    rng = np.random.default_rng(0)
    plain = {
        "lesion_weight": 0,
        "distillation.rounds": 0,
        "distillation.orientations": 1,
        "distillation.turns": False,
        "mixed_precision": "no",
    }
    recipe = load_recipe(
        RECIPES / "student.yaml", size=32, start_size=32, batch_size=4, epochs=5, **plain | options
    )
    batches = Batches(
        frames=Frames(
            rng.integers(0, 255, (14, 24, 32, 3), np.uint8),
            np.full(14, 4 / 3, np.float32),
            np.arange(14),
        ),
        labels=np.tile(np.arange(7), 2),
        validation=rng.integers(0, 255, (7, 32, 32, 3), np.uint8),
        validation_labels=np.arange(7),
        splits_sha256="",
    )
    run = Run(
        folder=folder,
        recipe=recipe,
        recipe_name="student.yaml",
        network=student,
        preprocessing=Preprocessing(32, 1.2, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)),
        init="random",
        teachers=[teacher],
    )
    return Trainer(run, batches, Accelerator())
