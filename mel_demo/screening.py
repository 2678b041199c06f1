"""The one use case: an image is judged by all models, once. Thresholds come later and cost nothing.

Loads and verifies the weights, prepares an image once for all models that want it alike, and adds
findings: what about the image itself should make one doubt the verdict. Knows no page, no
threshold and no file format.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mel_demo import inference
from mel_demo.findings import Finding, findings
from mel_demo.hub import locate
from mel_demo.inference import Model, Prediction, Prepared
from mel_demo.manifest import Manifest, Preprocessing, load_manifest, verify_weights


@dataclass(frozen=True, eq=False)
class Screening:
    """One image judged by all models. ``image``: uint8 RGB (height, width, 3) as judged, upright.

    ``predictions``: by model key, also where the image is refused. ``milliseconds``: the whole of
    ``Screener.screen``.
    """

    image: np.ndarray
    predictions: dict[str, Prediction]
    findings: tuple[Finding, ...]
    milliseconds: float

    @property
    def refused(self) -> bool:
        """Whether the image is not what the models judge: there is no verdict then."""
        return any(finding.severity == "refusal" for finding in self.findings)

    @property
    def teacher(self) -> Prediction:
        return self.predictions["teacher"]

    @property
    def student(self) -> Prediction:
        return self.predictions["student"]


class Screener:
    """All models of the weights, loaded, verified and warm.

    ``weights``: as in ``located.locate``; ``threads``: as in ``inference.Model``. Raises
    ManifestError or WeightsError. Threads may share it.
    """

    def __init__(self, weights: Path | str | None = None, threads: int | None = None) -> None:
        located = locate(weights)
        self.folder, self.origins = located.folder, located.origins
        self.manifest: Manifest = load_manifest(self.folder)
        self.models = {
            key: Model(spec, verify_weights(spec, self.folder), threads)
            for key, spec in self.manifest.models.items()
        }

    def screen(self, rgb: np.ndarray, remarks: Iterable[str] = ()) -> Screening:
        """Judge a picture as ``images.read_image`` gives it: uint8 sRGB (height, width, 3), and
        what was remarkable about its file."""
        start = time.perf_counter()
        prepared: dict[Preprocessing, Prepared] = {}
        predictions = {}
        for key, model in self.models.items():
            preprocessing = model.spec.preprocessing
            if preprocessing not in prepared:
                prepared[preprocessing] = inference.prepare(rgb, preprocessing)
            predictions[key] = model.run(prepared[preprocessing])
        distances = {key: prediction.distance for key, prediction in predictions.items()}
        found = tuple(findings(rgb, self.manifest, distances, remarks))
        return Screening(rgb, predictions, found, (time.perf_counter() - start) * 1000)
