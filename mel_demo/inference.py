"""One ONNX Runtime session: an RGB array becomes a Prediction. The only module that imports it.

Knows the agreed form of a model's file (input ``image``, outputs ``logits``, ``cam`` and, where
the manifest says what it means, ``distance``) and nothing of thresholds, pictures or pages. No
state changes after loading, so threads may share a Model.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from mel_demo import images
from mel_demo.errors import WeightsError
from mel_demo.manifest import MELANOMA, ModelSpec, Preprocessing

# ONNX Runtime's exceptions have no common base below Exception.
_ORT_ERRORS = (
    ort_state.EPFail,
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NoModel,
    ort_state.NoSuchFile,
    ort_state.NotFound,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
    ValueError,  # a wrong input name
)


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as one model's input: float32 (1, 3, size, size), and what preparing it took."""

    tensor: np.ndarray
    preprocessing: Preprocessing
    milliseconds: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one model says of one image.

    ``probabilities``: seven, in the order of CLASS_NAMES, softmax(logits / temperature), sum 1.
    ``evidence``: float32 (7, h, w), for each class the LayerCAM map of its log-odds, not
    scaled. ``milliseconds``: preparing the image and running the model. ``distance``: how far the
    image is from those the model learned from, 1 is typical; None of a model that does not say.
    """

    model: str
    probabilities: tuple[float, ...]
    evidence: np.ndarray
    milliseconds: float
    distance: float | None = None

    @property
    def melanoma_probability(self) -> float:
        return self.probabilities[MELANOMA]

    @property
    def melanoma_evidence(self) -> np.ndarray:
        """float32 (h, w): the evidence map of melanoma."""
        return self.evidence[MELANOMA]


def prepare(rgb: np.ndarray, preprocessing: Preprocessing) -> Prepared:
    """Crop, scale and normalise uint8 RGB (height, width, 3), timed."""
    start = time.perf_counter()
    tensor = images.normalise(images.prepare(rgb, preprocessing), preprocessing)
    return Prepared(tensor, preprocessing, (time.perf_counter() - start) * 1000)


class Model:
    """A loaded, warmed-up model.

    ``threads``: cores that one run may use; None means all cores this process may use. Raises
    WeightsError when the file is no ONNX model or its inputs or outputs are not the agreed ones.
    """

    def __init__(self, spec: ModelSpec, path: Path, threads: int | None = None) -> None:
        self.spec = spec
        self._path = path
        self._outputs = ["logits", "cam"] + (["distance"] if spec.ood is not None else [])
        options = ort.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads or cores()
        # Threads that spin after a run take the cores from the other model and from the page.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                path, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except _ORT_ERRORS as error:
            raise self._error(f"cannot be loaded ({_first_line(error)})") from error
        self._check_form()
        # The first run allocates its buffers: the first user need not wait for that.
        size = spec.preprocessing.size
        self.predict(np.zeros((size, size, 3), np.uint8))

    def predict(self, rgb: np.ndarray) -> Prediction:
        """Judge uint8 RGB (height, width, 3) of any size."""
        return self.run(prepare(rgb, self.spec.preprocessing))

    def run(self, prepared: Prepared) -> Prediction:
        """Judge an image prepared as this model wants it; ValueError when it is prepared otherwise.

        Raises WeightsError when the model's output does not fit or is not finite.
        """
        return self.run_all([prepared])[0]

    def run_all(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """``run`` for several images at once: the same numbers, and a sixth less work for each."""
        if any(one.preprocessing != self.spec.preprocessing for one in prepared):
            raise ValueError(f"the image is not prepared for the {self.spec.key}")
        if len(prepared) > 1 and not self._takes_many:
            return [self.run(one) for one in prepared]
        number = len(prepared)
        start = time.perf_counter()
        try:
            tensor = np.concatenate([one.tensor for one in prepared])
            found = self._session.run(self._outputs, {"image": tensor})
        except _ORT_ERRORS as error:
            raise self._error(f"cannot be run ({_first_line(error)})") from error
        milliseconds = (time.perf_counter() - start) * 1000 / number
        logits, evidence, *distance = found
        classes = len(self.spec.class_names)
        if (
            logits.shape != (number, classes)
            or evidence.ndim != 4
            or evidence.shape[:2] != (number, classes)
        ):
            raise self._error(
                f"gives logits of shape {logits.shape} and cam of shape {evidence.shape}, wanted "
                f"({number}, {classes}) and ({number}, {classes}, h, w)"
            )
        if any(values.shape != (number,) for values in distance):
            raise self._error(f"gives distance of shape {distance[0].shape}, wanted ({number},)")
        if not all(np.isfinite(values).all() for values in found):
            raise self._error("gives numbers that are not finite")
        probabilities = softmax(logits, self.spec.temperature)
        return [
            Prediction(
                model=self.spec.key,
                probabilities=tuple(float(value) for value in probabilities[at]),
                evidence=evidence[at],
                milliseconds=prepared[at].milliseconds + milliseconds,
                distance=float(distance[0][at]) if distance else None,
            )
            for at in range(number)
        ]

    def _check_form(self) -> None:
        size = self.spec.preprocessing.size
        inputs = {item.name: item for item in self._session.get_inputs()}
        outputs = {item.name: item for item in self._session.get_outputs()}
        if set(inputs) != {"image"} or not set(self._outputs) <= set(outputs):
            wanted = " and ".join(repr(name) for name in sorted(self._outputs))
            raise self._error(
                f"has inputs {sorted(inputs)} and outputs {sorted(outputs)}, wanted input 'image' "
                f"and outputs {wanted}"
            )
        image = inputs["image"]
        self._takes_many = not isinstance(image.shape[0], int)
        # A free axis has a name or None instead of a number.
        fits = len(image.shape) == 4 and all(
            have == want or not isinstance(have, int)
            for have, want in zip(image.shape, (1, 3, size, size), strict=True)
        )
        if image.type != "tensor(float)" or not fits:
            raise self._error(
                f"has an input of {image.type} {image.shape}, wanted tensor(float) "
                f"(1, 3, {size}, {size})"
            )

    def _error(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self._path} (model {self.spec.key}) {what}. Fetch the weights again, or export them "
            "with `python -m training export`."
        )


def write_ort(source: Path, target: Path) -> None:
    """Write an ONNX file in ONNX Runtime's own format, which its builds for phones read.

    Graph and weights stay; the optimisations are those that suit every processor.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(source, sess_options=options, providers=["CPUExecutionProvider"])


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """exp(z / T) over its sum, along the last axis, in float64."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def cores() -> int:
    """Cores this process may use; where the system cannot tell, all of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
