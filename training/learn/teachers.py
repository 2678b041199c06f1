"""What the teachers say of the views a student sees: asked at every step, or once and kept.

Several teachers speak as one: the mean of their class probabilities, as logits. Kept answers make
hundreds of epochs cheap for a small student (function matching, arXiv 2106.05237): the teachers
judge every view of the first ``rounds`` epochs once, and the student sees those again and again.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from rich.progress import track
from torch import nn
from torch.nn.functional import interpolate

from training.learn.augment import turned
from training.learn.run_folder import ANSWERS


class Teachers(nn.Module):
    """One or more frozen networks: views (N, 3, S, S) -> logits (N, 7) of the mean probability.

    The mean is over ``orientations`` of each view as well: 1, 2 (as it is, and turned over its
    diagonal), 4 (a quarter turn each) or all 8. ``sizes``: of the views each network was trained
    on, in pixels, which it is shown in place of the student's: a network asked at another size
    answers worse. Without them all are shown the views as they are.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        orientations: int = 1,
        sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.sizes = tuple(sizes) or (None,) * len(networks)
        self.orientations = (0, 5) if orientations == 2 else tuple(range(orientations))
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits up to a constant, which no softmax sees."""
        views = {size: _resized(images, size) for size in set(self.sizes)}
        said = [
            network(view.contiguous(memory_format=torch.channels_last)).float()
            for network, size in zip(self.networks, self.sizes, strict=True)
            for view in (turned(views[size], orientation) for orientation in self.orientations)
        ]
        if len(said) == 1:
            return said[0]
        return torch.stack([logits.log_softmax(1) for logits in said]).logsumexp(0)


def _resized(images: torch.Tensor, size: int | None) -> torch.Tensor:
    if size is None or images.shape[-1] == size:
        return images
    return interpolate(images, (size, size), mode="bilinear", antialias=True)


def kept_answers(
    folder: Path,
    teachers: Teachers,
    views: Callable[[int, int], torch.Tensor],
    shape: tuple[int, int],
    accelerator: Accelerator,
) -> np.ndarray:
    """Logits for every view, float32 (rounds, steps, batch, 7), from ``folder`` or asked now.

    ``views(epoch, step)`` gives the whole batch of a step; ``shape`` is (rounds, steps). The
    processes share the steps.
    """
    path = folder / ANSWERS
    if not path.is_file():
        rounds, steps = shape
        own = range(accelerator.process_index, rounds * steps, accelerator.num_processes)
        bar = track(own, description="Asking the teachers", disable=not accelerator.is_main_process)
        said = {}
        for number in bar:
            with accelerator.autocast():
                logits = teachers(views(*divmod(number, steps)))
            said[number] = logits.float().cpu().numpy()
        pieces = gather_object([said])
        if accelerator.is_main_process:
            whole = {number: answer for piece in pieces for number, answer in piece.items()}
            ordered = np.stack([whole[number] for number in range(rounds * steps)])
            temporary = path.with_suffix(".tmp.npy")
            np.save(temporary, ordered.reshape(rounds, steps, *ordered.shape[1:]))
            temporary.replace(path)
        accelerator.wait_for_everyone()
    return np.load(path, mmap_mode="r")
