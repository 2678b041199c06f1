"""The one use case: an image is judged by all models, once. Thresholds come later and cost nothing.

Loads and verifies the weights, prepares an image once for all models that want it alike, and adds
findings: what about the image itself should make one doubt the verdict. Knows no page, no
threshold and no file format.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mel_demo import inference
from mel_demo.findings import Finding, findings
from mel_demo.hub import locate
from mel_demo.images import Picture
from mel_demo.inference import Model, Prediction, Prepared
from mel_demo.manifest import Manifest, Preprocessing, load_manifest, verify_weights


@dataclass(frozen=True, eq=False)
class Screening:
    """One image judged by all models. ``image``: uint8 RGB (height, width, 3) as judged, upright.

    ``predictions``: by model key, also where the image is refused. ``milliseconds``: the whole of
    ``Screener.screen``, or an image's share of ``Screener.screen_all``.
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
        return self.screen_all([Picture(rgb, tuple(remarks))])[0]

    def screen_all(self, pictures: Sequence[Picture]) -> list[Screening]:
        """``screen`` for several pictures at once: the same answers, and each model runs once."""
        start = time.perf_counter()
        prepared: dict[Preprocessing, list[Prepared]] = {}
        predictions = []
        for model in self.models.values():
            wanted = model.spec.preprocessing
            if wanted not in prepared:
                prepared[wanted] = [inference.prepare(picture.rgb, wanted) for picture in pictures]
            predictions.append(model.run_all(prepared[wanted]))
        judged = []
        for picture, of_one in zip(pictures, zip(*predictions, strict=True), strict=True):
            by_key = dict(zip(self.models, of_one, strict=True))
            distances = {key: prediction.distance for key, prediction in by_key.items()}
            found = tuple(findings(picture.rgb, self.manifest, distances, picture.remarks))
            judged.append((picture.rgb, by_key, found))
        milliseconds = (time.perf_counter() - start) * 1000 / max(1, len(pictures))
        return [Screening(*one, milliseconds) for one in judged]
