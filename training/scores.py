"""Logits of a model for the images of a split, from torch or from the exported file.

The file is run one image at a time, as it is served: the probabilities in an operating table are
then the served ones to the last bit. Knows nothing of metrics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import nn

from mel_demo.images import normalise
from mel_demo.inference import softmax
from mel_demo.manifest import CLASS_NAMES, MELANOMA, Preprocessing
from training.data import Images
from training.errors import DataError
from training.graph import open_session
from training.metrics import Judged

TORCH_BATCH = 64


@dataclass(frozen=True, eq=False)
class Scores:
    """A split's logits, float32 (N, 7), with what they are judged by.

    ``lesion_ids`` (N,), ``labels`` int64 (N,), index into CLASS_NAMES.
    """

    image_ids: tuple[str, ...]
    lesion_ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    temperature: float = 1.0

    def probabilities(self) -> np.ndarray:
        """Class probabilities, float64 (N, 7), by the served function."""
        # Row by row as served: over a whole array NumPy may sum in another order.
        return np.stack([softmax(row, self.temperature) for row in self.logits])

    def judged(self) -> Judged:
        """What the metrics need."""
        return Judged(self.labels == MELANOMA, self.probabilities()[:, MELANOMA], self.lesion_ids)


def score_network(
    network: nn.Module,
    images: Images,
    pixels: np.ndarray,
    preprocessing: Preprocessing,
    device: str = "cpu",
) -> Scores:
    """Logits by torch. ``pixels``: uint8 (N, S, S, 3), prepared as served."""
    network = network.to(device).eval()
    found = []
    with torch.inference_mode():
        for part in _parts(pixels, TORCH_BATCH, "Scoring with torch"):
            batch = torch.from_numpy(normalise(part, preprocessing)).to(device)
            found.append(network(batch).float().cpu().numpy())
    return _scores(images, np.concatenate(found), "the network")


def score_onnx(
    path: Path,
    images: Images,
    pixels: np.ndarray,
    preprocessing: Preprocessing,
    temperature: float = 1.0,
) -> Scores:
    """Logits of an exported file. ``pixels``: uint8 (N, S, S, 3), prepared as served."""
    session = open_session(path)
    found = [
        session.run(["logits"], {"image": normalise(part, preprocessing)})[0]
        for part in _parts(pixels, 1, f"Scoring with {path.name}")
    ]
    return _scores(images, np.concatenate(found), path.name, temperature)


def _scores(images: Images, logits: np.ndarray, source: str, temperature: float = 1.0) -> Scores:
    if logits.shape != (len(images), len(CLASS_NAMES)) or not np.isfinite(logits).all():
        raise DataError(
            f"{source} gave logits of shape {logits.shape}, finite: {np.isfinite(logits).all()}; "
            f"wanted finite ones of shape {(len(images), len(CLASS_NAMES))}."
        )
    return Scores(images.image_ids, images.lesion_ids, images.labels, logits, temperature)


def _parts(pixels: np.ndarray, size: int, description: str) -> Iterator[np.ndarray]:
    starts = range(0, len(pixels), size)
    for start in track(starts, description=description):
        yield pixels[start : start + size]
