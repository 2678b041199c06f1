"""The one use case: an image is judged by all models, once. Thresholds come later and cost nothing.

Loads and verifies the weights, prepares an image once for all models that want it alike, and adds
findings: what about the image itself should make one doubt the verdict. Knows no page, no
threshold and no file format.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mel_demo import inference
from mel_demo.errors import WeightsError
from mel_demo.images import crop_box
from mel_demo.inference import Model, Prediction, Prepared
from mel_demo.manifest import Manifest, Preprocessing, load_manifest, verify_weights

# HAM10000's own pictures are 4:3; up to 3:2 the crop takes only edges away, beyond it a lesion.
_MOST_JUDGED_SHARE = 0.75


@dataclass(frozen=True)
class Finding:
    """Something about the image, in words for a lay person; ``code`` is for programs."""

    code: str
    severity: Literal["info", "warning"]
    text: str


@dataclass(frozen=True, eq=False)
class Screening:
    """One image judged by all models. ``image``: uint8 RGB (height, width, 3) as judged, upright.

    ``predictions``: by model key. ``milliseconds``: the whole of ``Screener.screen``.
    """

    image: np.ndarray
    predictions: dict[str, Prediction]
    findings: tuple[Finding, ...]
    milliseconds: float

    @property
    def teacher(self) -> Prediction:
        return self.predictions["teacher"]

    @property
    def student(self) -> Prediction:
        return self.predictions["student"]


class Screener:
    """All models of a weights folder, loaded, verified and warm.

    ``folder``: holds manifest.json and the models; None means ``default_weights()``. ``threads``:
    as in ``inference.Model``. Raises ManifestError or WeightsError. Threads may share it.
    """

    def __init__(self, folder: Path | None = None, threads: int | None = None) -> None:
        self.folder = default_weights() if folder is None else folder
        self.manifest: Manifest = load_manifest(self.folder)
        self.models = {
            key: Model(spec, verify_weights(spec, self.folder), threads)
            for key, spec in self.manifest.models.items()
        }

    def screen(self, rgb: np.ndarray) -> Screening:
        """Judge uint8 RGB (height, width, 3), as ``images.open_image`` gives it."""
        start = time.perf_counter()
        prepared: dict[Preprocessing, Prepared] = {}
        predictions = {}
        for key, model in self.models.items():
            preprocessing = model.spec.preprocessing
            if preprocessing not in prepared:
                prepared[preprocessing] = inference.prepare(rgb, preprocessing)
            predictions[key] = model.run(prepared[preprocessing])
        found = tuple(findings(rgb, self.manifest))
        return Screening(rgb, predictions, found, (time.perf_counter() - start) * 1000)


def default_weights() -> Path:
    """The folder named by the environment variable MEL_WEIGHTS, else ``weights/`` beside mel_demo.

    Raises WeightsError when MEL_WEIGHTS names no folder.
    """
    named = os.environ.get("MEL_WEIGHTS")
    if not named:
        return Path(__file__).resolve().parents[1] / "weights"
    if not Path(named).is_dir():
        raise WeightsError(
            f"MEL_WEIGHTS={named} is not a folder. Unset it to use the weights of the repository, "
            "or name a folder that holds manifest.json and the models."
        )
    return Path(named)


def findings(rgb: np.ndarray, manifest: Manifest) -> Iterator[Finding]:
    """What the checks say of an image, in the order of CHECKS."""
    for check in CHECKS:
        finding = check(rgb, manifest)
        if finding is not None:
            yield finding


def _enlarged(rgb: np.ndarray, manifest: Manifest) -> Finding | None:
    height, width = rgb.shape[:2]
    size = max(spec.preprocessing.size for spec in manifest.models.values())
    if min(height, width) >= size:
        return None
    return Finding(
        "enlarged",
        "warning",
        f"The image is small ({width} x {height} pixels): it was enlarged to {size} x {size}, and "
        "details that the models look for may be missing. Use a larger picture if there is one.",
    )


def _elongated(rgb: np.ndarray, manifest: Manifest) -> Finding | None:
    height, width = rgb.shape[:2]
    ratio = min(spec.preprocessing.max_aspect_ratio for spec in manifest.models.values())
    left, top, right, bottom = crop_box(width, height, ratio)
    share = (right - left) * (bottom - top) / (width * height)
    if share >= _MOST_JUDGED_SHARE:
        return None
    return Finding(
        "elongated",
        "warning",
        f"The image is elongated ({width} x {height} pixels): only its centre was judged "
        f"({share:.0%} of it). Crop it so that the lesion is in the middle.",
    )


CHECKS: tuple[Callable[[np.ndarray, Manifest], Finding | None], ...] = (_enlarged, _elongated)
"""Add a check of the image here; the page and the command line show what it finds."""
