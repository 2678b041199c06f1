"""How long a released file takes for an image, judged as the page judges it."""

import statistics
from dataclasses import replace
from pathlib import Path

from mel_demo.images import open_image
from mel_demo.inference import Model
from mel_demo.manifest import Latency, Manifest, ModelSpec, load_manifest, verify_weights
from training import provenance
from training.data.measurable import Measurable, Pixels
from training.errors import ExportError
from training.measure.scores import Scores
from training.release.described import NAME
from training.release.folder import Release

IMAGES = 50


def time_again(weights: Path, given: Measurable) -> Manifest:
    """Time the released files anew, on validation; all else of the release stays as it is."""
    manifest = load_manifest(weights)
    paths = given.pixels("validation").images.paths[:IMAGES]
    models = {}
    for key, spec in manifest.models.items():
        model = Model(spec, verify_weights(spec, weights))
        times = [model.predict(open_image(path)).milliseconds for path in paths]
        models[key] = replace(spec, latency=_latency(times, "training latency"))
    with Release(weights) as release:
        return release.publish(replace(manifest, models=models))


def serve(spec: ModelSpec, file: Path, pixels: Pixels, scores: Scores, by: str) -> Latency:
    """Judge images one by one as the page does, and time it; ``by``: the command that asks.

    ``scores``: of the images of ``pixels``. Raises ExportError when the file is not served with the
    probabilities that it was measured with.
    """
    model = Model(spec, file)
    measured = scores.judged().probability
    times = []
    for index, path in enumerate(pixels.images.paths[:IMAGES]):
        prediction = model.predict(open_image(path))
        if prediction.melanoma_probability != measured[index]:
            raise ExportError(
                f"The {spec.key} is served with a melanoma probability of "
                f"{prediction.melanoma_probability!r} for {path.name}, but was measured with "
                f"{measured[index]!r}: mel_demo.inference and training.measure.scores differ."
            )
        times.append(prediction.milliseconds)
    return _latency(times, by)


def _latency(times: list[float], by: str) -> Latency:
    return Latency(
        milliseconds=round(statistics.median(times), 1),
        note=f"median of {len(times)} images of {NAME}, one at a time, cropped, scaled and judged "
        f"by mel_demo.inference; {provenance.describe()}; by `{by}`",
    )
