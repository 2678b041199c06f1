"""Logits of a model for the images of a split, from torch or from the exported file.

The file is run one image at a time, as it is served: the probabilities in an operating table are
then the served ones to the last bit. Knows nothing of metrics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from rich.progress import track
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp
from torch import nn

from mel_demo.decision.target import target_probability
from mel_demo.images import normalise
from mel_demo.inference import softmax
from mel_demo.manifest import CLASS_NAMES, MELANOMA, TARGETS, Preprocessing
from training import provenance
from training.data.ham10000 import Images
from training.errors import DataError
from training.measure.intervals import Array
from training.measure.metrics import Judged

TORCH_BATCH = 64


@dataclass(frozen=True, eq=False)
class Scores:
    """A split's logits, float32 (N, 7), with what they are judged by.

    ``lesion_ids`` (N,), ``labels`` int64 (N,), index into CLASS_NAMES or ``isic.NOT_MELANOMA``.
    ``sources`` (N,): the data set of each image, where they come from several.
    """

    image_ids: tuple[str, ...]
    lesion_ids: Array
    labels: Array
    logits: Array
    temperature: float = 1.0
    sources: Array | None = None

    def probabilities(self) -> Array:
        """Class probabilities, float64 (N, 7), by the served function."""
        # Row by row as served: over a whole array NumPy may sum in another order.
        return np.stack([softmax(row, self.temperature) for row in self.logits])

    def judged(self, target: str = "melanoma") -> Judged:
        """What the metrics need to know of one of ``manifest.TARGETS``.

        An image that is known not to be a melanoma, and no more, says nothing of other targets and
        is left out there.
        """
        held = self._told(target)
        probability = [target_probability(row, target) for row in self.probabilities()[held]]
        positive = np.isin(self.labels[held], TARGETS[target])
        return Judged(positive, np.array(probability), self.lesion_ids[held])

    def sources_of(self, target: str = "melanoma") -> Array | None:
        """``sources`` of the images in ``judged``."""
        return None if self.sources is None else self.sources[self._told(target)]

    def _told(self, target: str) -> Array:
        """Images whose truth is known, bool (N,)."""
        told: Array = (target == "melanoma") | (self.labels < len(CLASS_NAMES))
        return told


def score_network(
    network: nn.Module,
    images: Images,
    pixels: Array,
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
    pixels: Array,
    preprocessing: Preprocessing,
    temperature: float = 1.0,
) -> Scores:
    """Logits of an exported file. ``pixels``: uint8 (N, S, S, 3), prepared as served."""
    session = open_session(path)
    wanted = session.get_inputs()[0].shape[2:]
    if wanted != [preprocessing.size] * 2:
        raise DataError(
            f"{path} takes images of {wanted} pixels and its manifest says {preprocessing.size}, "
            "which is not the one it was exported with: export or fetch them together."
        )
    found = [
        session.run(["logits"], {"image": normalise(part, preprocessing)})[0]
        for part in _parts(pixels, 1, f"Scoring with {path.name}")
    ]
    return _scores(images, np.concatenate(found), path.name, temperature)


def _scores(images: Images, logits: Array, source: str, temperature: float = 1.0) -> Scores:
    if logits.shape != (len(images), len(CLASS_NAMES)) or not np.isfinite(logits).all():
        raise DataError(
            f"{source} gave logits of shape {logits.shape}, finite: {np.isfinite(logits).all()}; "
            f"wanted finite ones of shape {(len(images), len(CLASS_NAMES))}."
        )
    return Scores(
        images.image_ids, images.lesion_ids, images.labels, logits, temperature, images.sources
    )


def _parts(pixels: Array, size: int, description: str) -> Iterator[Array]:
    starts = range(0, len(pixels), size)
    for start in track(starts, description=description):
        yield pixels[start : start + size]


def open_session(path: Path) -> ort.InferenceSession:
    """A session on the CPU with the options of the served one (``mel_demo.inference.Model``)."""
    options = ort.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = provenance.cores()
    return ort.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])


# Wide enough for any trained network; at its ends something else is wrong.
_LOWEST, _HIGHEST = 0.05, 20.0


def melanoma_log_loss(logits: Array, labels: Array, temperature: float) -> float:
    """Mean negative log-likelihood of "melanoma or not", in nats.

    ``logits`` (N, 7), ``labels`` int (N,), index into CLASS_NAMES.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    log_melanoma = log_softmax(scaled, axis=1)[:, MELANOMA]
    others = logsumexp(np.delete(scaled, MELANOMA, axis=1), axis=1)
    log_other = others - logsumexp(scaled, axis=1)
    return float(-np.where(labels == MELANOMA, log_melanoma, log_other).mean())


def fit_temperature(logits: Array, labels: Array) -> float:
    """The temperature with the least melanoma log-loss: that probability is what the page shows.

    ``logits`` (N, 7) of validation, ``labels`` int (N,). Raises DataError when there is no
    melanoma, or nothing else, to fit to.
    """
    melanomas = int((labels == MELANOMA).sum())
    if not 0 < melanomas < len(labels):
        raise DataError(
            f"{melanomas} of {len(labels)} images are melanoma: a temperature needs both truths."
        )
    found = minimize_scalar(
        lambda log_t: melanoma_log_loss(logits, labels, float(np.exp(log_t))),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))
