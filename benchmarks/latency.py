"""One upload to two verdicts and two overlays: as served, and through torch and pytorch-grad-cam.

    python -m benchmarks.latency --images FOLDER

Both ways take the same bytes, decode and crop them with the same code and draw with the same code;
what differs is ONNX Runtime with the closed-form evidence map against torch with a backward pass.
They take turns image by image, so that other work on the machine hits both. Prints a table and
writes latency.json beside this file. Needs the training packages; does not measure the network or
Gradio.
"""

import io
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from pytorch_grad_cam.base_cam import BaseCAM
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mel_demo.errors import MelDemoError
from mel_demo.images import SUFFIXES, crop_box, normalise, open_image, prepare
from mel_demo.inference import prepare as prepare_tensor
from mel_demo.manifest import MELANOMA, ModelSpec
from mel_demo.pictures.overlay import evidence_strength, overlay
from mel_demo.screening import Screener
from training import provenance
from training.errors import TrainingError
from training.files import write_json
from training.learn.cam import head_of
from training.learn.networks import build
from training.learn.run_folder import load_run
from training.measure.maps import REFERENCE, LogOddsTarget
from training.provenance import command, git_commit, now

HERE = Path(__file__).parent
SERVED, ALONE = "served", "networks alone"
ONE_PASS, TWO_PASSES = "torch, one pass", "torch, two passes"
EXPLAINED = {
    SERVED: "mel_demo: ONNX Runtime, evidence map in the graph, the teacher on a second core",
    ALONE: "the two networks, one after the other, without decoding, checks and drawing",
    ONE_PASS: "torch, pytorch-grad-cam; probabilities from its own forward pass",
    TWO_PASSES: "torch, then pytorch-grad-cam, which runs the model again (its documented use)",
}


@dataclass
class Served:
    """Bytes to overlays through mel_demo, each model run once; the pair's models and no others.

    As for a visitor who is alone: the teacher runs on a core of its own.
    """

    screener: Screener

    def __call__(self, data: bytes) -> list[Image.Image]:
        rgb = open_image(data)
        screening = self.screener.screen(rgb, on_two=True)
        specs = self.screener.manifest.models
        return [
            _draw(rgb, specs[key], found.melanoma_evidence, found.melanoma_probability)
            for key, found in screening.predictions.items()
        ]


class Alone:
    """The networks on what was prepared before: what no better serving could go below."""

    def __init__(self, screener: Screener, uploads: list[bytes]) -> None:
        self.prepared = {
            data: [
                (model, prepare_tensor(open_image(data), model.spec.preprocessing))
                for model in screener.models.values()
            ]
            for data in uploads
        }

    def __call__(self, data: bytes) -> None:
        for model, prepared in self.prepared[data]:
            model.run(prepared)


@dataclass
class Torch:
    """The same through torch. Hooks are set once, for all images: its best case."""

    models: list[tuple[ModelSpec, torch.nn.Module, BaseCAM]]
    predict_first: bool

    def __call__(self, data: bytes) -> list[Image.Image]:
        rgb = open_image(data)
        pictures = []
        for spec, network, cam in self.models:
            pre = spec.preprocessing
            image = torch.from_numpy(normalise(prepare(rgb, pre), pre))
            if self.predict_first:
                with torch.inference_mode():
                    logits = network(image)
                found = cam(image, [LogOddsTarget(MELANOMA)])
            else:
                found = cam(image, [LogOddsTarget(MELANOMA)])
                logits = cam.outputs
            p = float((logits[0].detach() / spec.temperature).softmax(0)[MELANOMA])
            pictures.append(_draw(rgb, spec, found[0], p))
        return pictures


def _draw(rgb: np.ndarray, spec: ModelSpec, evidence: np.ndarray, p: float) -> Image.Image:
    height, width = rgb.shape[:2]
    box = crop_box(width, height, spec.preprocessing.max_aspect_ratio)
    return overlay(rgb, evidence, box, evidence_strength(p))


def random_network(spec: ModelSpec) -> torch.nn.Module:
    """Random weights, but activations of a trained network's size.

    Without the pass in training mode they fade from layer to layer into denormal floats, on which
    a processor is many times slower: that would flatter the served way.
    """
    network = build(spec.architecture).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network(torch.randn(8, 3, spec.preprocessing.size, spec.preprocessing.size))
    return network.eval()


def measure(
    ways: dict[str, Callable[[bytes], object]], uploads: list[bytes], repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of each way, one image after the other, the ways in turn; warmed up before."""
    for way in ways.values():
        for data in uploads[:2]:
            way(data)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in track(range(repeats), description="Measuring"):
        for data in uploads:
            for name, way in ways.items():
                start = time.perf_counter()
                way(data)
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def uploads_of(images: Path | None) -> list[bytes]:
    """Bytes of a file or of a folder's images; without either, one 512 x 512 JPEG of noise."""
    if images is None:
        noise = np.random.default_rng(0).integers(90, 200, (64, 64, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((512, 512), Image.Resampling.BICUBIC)
        picture.save(buffer := io.BytesIO(), "JPEG", quality=90)
        return [buffer.getvalue()]
    files = [images] if images.is_file() else sorted(images.glob("*"))
    found = [file.read_bytes() for file in files if file.suffix.lower() in SUFFIXES]
    if not found:
        raise typer.BadParameter(f"there is no image in {images}", param_hint="--images")
    return found


def main(
    weights: Annotated[Path, typer.Option(help="Folder with manifest.json.")] = Path("weights"),
    images: Annotated[
        Path | None, typer.Option(help="Image or folder of images to upload; default: noise.")
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="Folder with the runs teacher and student; default: random weights."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds over all images.")] = 10,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of torch; default: all cores.")
    ] = None,
    served_threads: Annotated[
        int, typer.Option(min=1, help="Threads of the served way; the server gives a visitor one.")
    ] = 1,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "latency.json",
) -> None:
    """Measure the served path beside torch and pytorch-grad-cam."""
    uploads = uploads_of(images)
    threads = threads or provenance.cores()
    torch.set_num_threads(threads)
    # Not the INT8 student, which torch has no counterpart of.
    screener = Screener(weights, served_threads, ("teacher", "student"))
    models = []
    for key, model in screener.models.items():
        spec = model.spec
        network = load_run(runs / key)[0] if runs else random_network(spec)
        models.append((spec, network, REFERENCE(network, [head_of(network).target_layer()])))
    ways = {
        SERVED: Served(screener),
        ALONE: Alone(screener, uploads),
        ONE_PASS: Torch(models, False),
        TWO_PASSES: Torch(models, True),
    }
    times = measure(ways, uploads, repeats)
    medians = {name: statistics.median(values) for name, values in times.items()}
    shape = open_image(uploads[0]).shape
    table = Table(
        "way", "median ms", "p90 ms", "times served", title="One upload, both models, both overlays"
    )
    results = {}
    for name, values in times.items():
        ratio = medians[name] / medians[SERVED]
        p90 = float(np.quantile(values, 0.9))
        table.add_row(EXPLAINED[name], f"{medians[name]:.0f}", f"{p90:.0f}", f"{ratio:.1f}")
        results[name] = {
            "what": EXPLAINED[name],
            "median_ms": round(medians[name], 1),
            "p90_ms": round(p90, 1),
            "times_served": round(ratio, 2),
        }
    console = Console()
    console.print(table)
    setting = {
        "machine": provenance.describe(),
        "threads": {"served": served_threads, "torch": threads},
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "images": len(uploads),
        "first_image_pixels": [shape[1], shape[0]],
        "runs_per_way": len(times[SERVED]),
        "networks": "from runs" if runs else "random weights of the same architectures",
    }
    console.print(", ".join(f"{key} {value}" for key, value in setting.items()), highlight=False)
    written = {"command": command(), "git_commit": git_commit(), "written": now()}
    write_json(output, written | setting | {"results": results})
    console.print(f"Written to {output}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except (MelDemoError, TrainingError) as error:
        sys.exit(f"Error: {error}")
