"""How far an image is from those a network learned from, and from where on it is refused.

Learned from dermoscopy images and from pictures that are none (outlier exposure, Hendrycks et al.
2019, arXiv 1812.04606) in the network's own features, and baked into the released file as a third
output. ``training.data.not_dermoscopy`` has such pictures: one half to learn from, the other to
measure with. What was compared to arrive here stands in docs/experiments.md. Knows nothing of
manifests or ONNX's graph.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import softplus

from mel_demo.findings import COLOURLESS, colour_spread
from mel_demo.images import normalise, prepare
from mel_demo.manifest import Interval, OutOfDistribution, Preprocessing, Refused
from training.data.measurable import Pixels
from training.data.not_dermoscopy import Other
from training.learn.cam import inner_means
from training.measure.intervals import clopper_pearson
from training.measure.scores import open_session
from training.release.onnx_file import DISTANCE

METHOD = (
    "1 + log(1 + odds) of a logistic regression against pictures that are no dermoscopy images, on "
    "the spatial means of stem and stages before the last, standardised, sign(y) log(1 + |y|), and "
    "on the logarithm of their Mahalanobis distance (arXiv 1807.03888, Ledoit-Wolf covariance); "
    "images without colours are refused as well"
)
VALIDATION_QUANTILE, MORE_QUANTILE = 0.995, 0.985
LOG_SCALE = 10.0  # of the logarithm of the Mahalanobis distance: the larger, the less it is shrunk
PENALTY, OUTLIER_WEIGHT = 0.01, 10.0  # C of the regression; an outlier counts as so many images
FOLDS = 5
_BATCH = 64


class Mahalanobis(nn.Module):
    """Distance of means (N, D) from a reference, float32 (N,); on the reference about 1.

    With x standardised by the reference's mean and deviation, y = sign(x) log(1 + |x|) draws in the
    long tails of activations, and the distance is sqrt((y - m)' P (y - m) / D), with m the mean and
    P the inverse covariance (Ledoit and Wolf 2004) of the reference's y.
    """

    mean: Tensor
    scale: Tensor
    centre: Tensor
    root: Tensor

    def __init__(self, reference: np.ndarray):
        """``reference``: means (M, D) of the images learned from."""
        super().__init__()
        reference = np.asarray(reference, np.float64)
        mean, deviation = reference.mean(0), reference.std(0)
        # A channel that is silent on the reference would otherwise count without limit.
        deviation = np.maximum(deviation, 1e-3 * np.median(deviation))
        drawn_in = _drawn_in(torch.from_numpy((reference - mean) / deviation)).numpy()
        covariance = LedoitWolf().fit(drawn_in)
        root = np.linalg.cholesky(covariance.precision_) / np.sqrt(reference.shape[1])
        for name, values in (
            ("mean", mean),
            ("scale", 1 / deviation),
            ("centre", covariance.location_),
            ("root", root),
        ):
            self.register_buffer(name, torch.from_numpy(values).float())

    def forward(self, means: Tensor) -> Tensor:
        return self.away(means)[1]

    def away(self, means: Tensor) -> tuple[Tensor, Tensor]:
        """y (N, D) and the distances (N,)."""
        y = _drawn_in((means - self.mean) * self.scale)
        return y, ((y - self.centre) @ self.root).square().sum(1).sqrt()


class Distance(nn.Module):
    """How little means (N, D) are those of a dermoscopy image, float32 (N,): from 1 upwards.

    1 + log(1 + exp(score)), with the score of a logistic regression on y and on the logarithm of
    the distance of ``Mahalanobis``. The first tells what was seen of either kind apart, the second
    knows as well what is unlike both.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, reference: np.ndarray, outliers: np.ndarray):
        """Means (M, D) of the images learned from, and (K, D) of pictures that are none."""
        super().__init__()
        self.mahalanobis = Mahalanobis(reference)
        rows = torch.from_numpy(np.concatenate([reference, outliers]).astype(np.float32))
        with torch.inference_mode():
            features = self._features(rows).double().numpy()
        outside = np.arange(len(rows)) >= len(reference)
        weights = np.where(outside, OUTLIER_WEIGHT, 1.0)
        learned = LogisticRegression(C=PENALTY, max_iter=1000).fit(features, outside, weights)
        self.register_buffer("weight", torch.from_numpy(learned.coef_[0]).float())
        self.register_buffer("bias", torch.from_numpy(learned.intercept_).float())

    def _features(self, means: Tensor) -> Tensor:
        y, distance = self.mahalanobis.away(means)
        return torch.cat([y, LOG_SCALE * distance.clamp(min=1e-6).log().unsqueeze(1)], 1)

    def forward(self, means: Tensor) -> Tensor:
        return 1 + softplus(self._features(means) @ self.weight + self.bias)


def _drawn_in(values: Tensor) -> Tensor:
    return values.sign() * values.abs().log1p()


def means_of(network: nn.Module, pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """``inner_means`` of prepared uint8 (N, S, S, 3): float32 (N, D)."""
    starts = range(0, len(pixels), _BATCH)
    with torch.inference_mode():
        return np.concatenate(
            [
                inner_means(
                    network,
                    torch.from_numpy(normalise(pixels[start : start + _BATCH], preprocessing)),
                ).numpy()
                for start in track(starts, description="Reading features")
            ]
        )


@dataclass(frozen=True, eq=False)
class Fitted:
    """A distance with what it was fitted on: ``images`` by data set.

    ``left_out``: distances of the images of the data sets after the first, None without any, as
    ``left_out_distances`` gives them.
    """

    distance: Distance
    images: dict[str, int]
    left_out: np.ndarray | None


def fit(
    network: nn.Module,
    preprocessing: Preprocessing,
    learned: dict[str, Pixels],
    others: Iterable[Other],
) -> Fitted:
    """The distance from the images that ``network`` learned from, by data set, HAM10000 first.

    ``others``: pictures to learn from that are no dermoscopy images.
    """
    pictures = np.stack([prepare(other.rgb, preprocessing) for other in others])
    outliers = means_of(network, pictures, preprocessing)
    base, *more = (
        means_of(network, pixels.prepared(preprocessing), preprocessing)
        for pixels in learned.values()
    )
    return Fitted(
        distance=Distance(np.concatenate([base, *more]), outliers),
        images={name: len(pixels.images) for name, pixels in learned.items()},
        left_out=left_out_distances(base, np.concatenate(more), outliers) if more else None,
    )


def left_out_distances(base: np.ndarray, more: np.ndarray, outliers: np.ndarray) -> np.ndarray:
    """Distances of ``more`` (M, D), each fifth from ``base`` (N, D) and the other four fifths."""
    found = np.empty(len(more))
    fold = np.arange(len(more)) % FOLDS
    with torch.inference_mode():
        for index in range(FOLDS):
            distance = Distance(np.concatenate([base, more[fold != index]]), outliers)
            found[fold == index] = distance(torch.from_numpy(more[fold == index])).numpy()
    return found


def choose_threshold(validation: np.ndarray, fitted: Fitted) -> tuple[float, str]:
    """The threshold and the rule it follows, in words. ``validation``: its images' distances.

    Other cameras differ more: where other data sets were learned from, a threshold from HAM10000
    alone would refuse too many of their images.
    """
    threshold = float(np.quantile(validation, VALIDATION_QUANTILE))
    rule = f"the {VALIDATION_QUANTILE:.1%} quantile on validation"
    if fitted.left_out is None:
        return threshold, rule
    names = " and ".join(list(fitted.images)[1:])
    rule = (
        f"the larger of {rule} and the {MORE_QUANTILE:.1%} quantile on the training images of "
        f"{names}, each fifth left out of the reference"
    )
    return max(threshold, float(np.quantile(fitted.left_out, MORE_QUANTILE))), rule


def measure(
    path: Path,
    fitted: Fitted,
    splits: dict[str, Pixels],
    others: Iterable[Other],
    preprocessing: Preprocessing,
) -> OutOfDistribution:
    """Choose the threshold on the split validation and count what a released file refuses."""
    seen = {split: pixels.prepared(preprocessing) for split, pixels in splits.items()}
    found = {split: distances(path, pixels, preprocessing) for split, pixels in seen.items()}
    threshold, rule = choose_threshold(found["validation"], fitted)
    by_kind: dict[str, list[np.ndarray]] = {}
    for other in others:
        by_kind.setdefault(other.kind, []).append(prepare(other.rgb, preprocessing))
    return OutOfDistribution(
        method=METHOD,
        rule=rule,
        threshold=threshold,
        reference=fitted.images,
        dermoscopy={
            split: refused(found[split], pixels, threshold) for split, pixels in seen.items()
        },
        others={
            kind: refused(
                distances(path, np.stack(pictures), preprocessing), np.stack(pictures), threshold
            )
            for kind, pictures in by_kind.items()
        },
    )


def distances(path: Path, pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """What a released file says of prepared uint8 (N, S, S, 3), one at a time as served."""
    session = open_session(path)
    return np.array(
        [
            session.run([DISTANCE], {"image": normalise(image, preprocessing)})[0][0]
            for image in track(pixels, description=f"Distances by {path.name}")
        ],
        np.float64,
    )


def refused(found: np.ndarray, pixels: np.ndarray, threshold: float) -> Refused:
    """How many images the page refuses, with the interval of Clopper and Pearson.

    ``found``: distances (N,) of prepared uint8 ``pixels`` (N, S, S, 3). Refused is what is above
    ``threshold`` or has no colours.
    """
    grey = np.array([colour_spread(image) < COLOURLESS for image in pixels])
    count, images = int(((found > threshold) | grey).sum()), len(found)
    return Refused(count, images, Interval(count / images, *clopper_pearson(count, images)))
