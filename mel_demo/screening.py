"""The one use case: an image is judged by all models, once. Thresholds come later and cost nothing.

Loads and verifies the weights, prepares an image once for all models that want it alike, and adds
findings: what about the image itself should make one doubt the verdict. Knows no page, no
threshold and no file format.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mel_demo import inference
from mel_demo.findings import Finding, findings, look
from mel_demo.hub import locate
from mel_demo.images import Picture
from mel_demo.inference import Model, Prediction
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
    """All models of the weights, or those named, loaded, verified and warm.

    ``weights``: as in ``located.locate``; ``threads``: as in ``inference.Model``; ``models``: as in
    ``Manifest.chosen``. Raises ManifestError, WeightsError or SettingError. Threads may share it.
    """

    def __init__(
        self,
        weights: Path | str | None = None,
        threads: int | None = None,
        models: Collection[str] = (),
    ) -> None:
        located = locate(weights)
        self.folder, self.origins = located.folder, located.origins
        self.manifest: Manifest = load_manifest(self.folder)
        self.models = {
            key: Model(spec, verify_weights(spec, self.folder), threads)
            for key, spec in self.manifest.chosen(models).items()
        }
        self._second = ThreadPoolExecutor(1, thread_name_prefix="second core")

    def screen(
        self, rgb: np.ndarray, remarks: Iterable[str] = (), on_two: bool = False
    ) -> Screening:
        """Judge a picture as ``images.read_image`` gives it: uint8 sRGB (height, width, 3), and
        what was remarkable about its file. ``on_two``: as for ``screen_all``."""
        return self.screen_all([Picture(rgb, tuple(remarks))], on_two)[0]

    def screen_all(self, pictures: Sequence[Picture], on_two: bool = False) -> list[Screening]:
        """``screen`` for several pictures at once: the same answers, and each model runs once.

        ``on_two``: the first model runs on a core of its own while this one does the rest. For
        whoever is alone: in a crowd every core has its own picture, and is quicker by that.
        """
        start = time.perf_counter()
        alike: dict[Preprocessing, list[Model]] = {}
        for model in self.models.values():
            alike.setdefault(model.spec.preprocessing, []).append(model)
        first, *rest = (partial(_run, models, pictures) for models in alike.values())
        answers_of_first = self._second.submit(first).result if on_two else first
        answers: dict[str, list[Prediction]] = {}
        for run in rest:
            answers |= run()
        looked_at = [look(picture.rgb, self.manifest) for picture in pictures]
        answers |= answers_of_first()
        judged = []
        for at, picture in enumerate(pictures):
            by_key = {key: answers[key][at] for key in self.models}
            distances = {key: prediction.distance for key, prediction in by_key.items()}
            found = findings(looked_at[at], self.manifest, distances, picture.remarks)
            judged.append((picture.rgb, by_key, tuple(found)))
        milliseconds = (time.perf_counter() - start) * 1000 / max(1, len(pictures))
        return [Screening(*one, milliseconds) for one in judged]


def _run(models: Sequence[Model], pictures: Sequence[Picture]) -> dict[str, list[Prediction]]:
    """What models that want an image prepared alike say of all pictures, by key."""
    wanted = models[0].spec.preprocessing
    prepared = [inference.prepare(picture.rgb, wanted) for picture in pictures]
    return {model.spec.key: model.run_all(prepared) for model in models}
