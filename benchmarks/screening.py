"""Many images: `mel-demo screen` on one core and on all, beside a plain torch and timm loop.

    python -m benchmarks.screening --images HAM10000

The command is timed as a user sees it, start-up included, by the clock and in a process of its own,
whose peak of memory is read as well (Linux only). The loop is what one would write without this
project: a DataLoader with one worker process a core, timm's transforms, batches of 32, torch's own
number of threads, networks of the teacher's and the student's architectures (random weights, which
cost the same). It gives probabilities only, where the command also looks for findings and, unless
told not to, runs the INT8 student; importing torch and building the networks is not counted. All
take turns over the same files. Prints a table, writes screening.json beside this file, and README's
sentence of what a large archive costs. Needs the training packages.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import timm
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from timm.data import create_transform
from torch.utils.data import DataLoader, Dataset

from benchmarks import archive_cost
from benchmarks.latency import random_network
from mel_demo.manifest import load_manifest
from training import provenance
from training.files import write_json
from training.provenance import command, git_commit, now

HERE = Path(__file__).parent
ONE, ALL, TORCH = "mel-demo, one core", "mel-demo, all cores", "torch and timm"
PAIR = "mel-demo, all cores, teacher and student"
STUDENT = "mel-demo, one core, student"
_BATCH = 32


def main(
    images: Annotated[Path, typer.Option(help="Folder with JPEGs, at any depth.")],
    weights: Annotated[Path, typer.Option(help="Folder with manifest.json.")] = Path("weights"),
    number: Annotated[int, typer.Option(min=100, help="Images of a timed run.")] = 1500,
    rounds: Annotated[int, typer.Option(min=1, help="Timed runs of each way.")] = 3,
    many: Annotated[int, typer.Option(min=100, help="Images of the run for memory.")] = 4000,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = HERE / "screening.json",
) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        timed, few, all_of_them = (
            _links(images, Path(name) / kind, count)
            for kind, count in (("timed", number), ("few", 100), ("many", many))
        )
        loop = _Loop(weights, sorted(timed.iterdir()))
        ways: dict[str, Callable[[], float]] = {
            ONE: lambda: _screen(timed, weights, 1)[0],
            STUDENT: lambda: _screen(timed, weights, 1, "student")[0],
            ALL: lambda: _screen(timed, weights, None)[0],
            PAIR: lambda: _screen(timed, weights, None, "teacher", "student")[0],
            TORCH: loop,
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                seconds[way].append(run())
        memory = {
            str(len(os.listdir(folder))): round(_screen(folder, weights, None)[1] / 1e6)
            for folder in (few, all_of_them)
        }
        with Image.open(next(timed.iterdir())) as first:
            size = first.size
    rate = {way: number / statistics.median(spent) for way, spent in seconds.items()}
    ratios = {
        "all cores to one": rate[ALL] / rate[ONE],
        "to torch": rate[ALL] / rate[TORCH],
        "to torch, of the same networks": rate[PAIR] / rate[TORCH],
    }
    hours, alone = (1e6 / rate[way] / 3600 for way in (ONE, STUDENT))
    console = Console()
    table = Table("way", "images/s", "of each run", title=f"{number} images, start-up included")
    for way, spent in seconds.items():
        table.add_row(way, f"{rate[way]:.1f}", " ".join(f"{number / s:.1f}" for s in spent))
    console.print(table)
    console.print({name: round(ratio, 2) for name, ratio in ratios.items()}, memory)
    write_json(
        output,
        {
            "command": command(),
            "git_commit": git_commit(),
            "written": now(),
            "machine": provenance.describe(),
            "versions": {"torch": torch.__version__, "timm": timm.__version__},
            "torch_threads": torch.get_num_threads(),
            "networks": "random weights of the same architectures",
            "images": number,
            "first_image_pixels": list(size),
            "images_per_second": {way: round(value, 1) for way, value in rate.items()},
            "images_per_second_of_each_run": {
                way: [round(number / one, 1) for one in spent] for way, spent in seconds.items()
            },
            "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
            "peak_megabytes_by_images": memory,
            "core_hours_of_a_million_images": round(hours, 1),
            "core_hours_of_a_million_images_by_the_student": round(alone, 1),
        },
    )
    console.print(f"Written to {output}")
    if output == HERE / "screening.json":
        archive_cost.main()


def _links(images: Path, folder: Path, number: int) -> Path:
    """A folder of ``number`` links to the images, each image read once so that none is cold."""
    folder.mkdir()
    found = sorted(images.rglob("*.jpg"))
    if not found:
        raise typer.BadParameter(f"there is no JPEG below {images}", param_hint="--images")
    for place, image in enumerate(islice(cycle(found), number)):
        image.read_bytes()
        (folder / f"{place:06}.jpg").symlink_to(image.resolve())
    return folder


def _screen(folder: Path, weights: Path, cores: int | None, *models: str) -> tuple[float, int]:
    """Seconds of the whole command on so many cores, or all, and its peak of memory in bytes."""
    with tempfile.TemporaryDirectory() as name:
        arguments = ["screen", str(folder), "--weights", str(weights)]
        arguments += [f"--model={key}" for key in models]
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "mel_demo", *arguments, "--output", f"{name}/scores.csv"],
            preexec_fn=lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores]),
        )
        # Not ru_maxrss: a child inherits the peak of this process, which holds torch.
        peak = 0
        while process.poll() is None:
            peak = max(peak, _peak(process.pid))
            time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"mel-demo screen ended with status {process.returncode}")
        return time.perf_counter() - start, peak


def _peak(process: int) -> int:
    """Most bytes that a running process has held since its program began; 0 once it has ended."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


class _Loop:
    """Seconds of one pass of the loop over ``files``."""

    def __init__(self, weights: Path, files: Sequence[Path]) -> None:
        specs = load_manifest(weights).models
        self.networks = [random_network(specs[key]) for key in ("teacher", "student")]
        sizes = [specs[key].preprocessing.size for key in ("teacher", "student")]
        self.files = _Files(files, sizes)

    def __call__(self) -> float:
        start = time.perf_counter()
        rows = list(self._rows())
        assert len(rows) == len(self.files)
        return time.perf_counter() - start

    def _rows(self) -> Iterator[tuple[list[float], ...]]:
        loader = DataLoader(self.files, batch_size=_BATCH, num_workers=provenance.cores())
        with torch.inference_mode():
            for views in loader:
                answers = [
                    network(view).softmax(1).tolist()
                    for network, view in zip(self.networks, views, strict=True)
                ]
                yield from zip(*answers, strict=True)


class _Files(Dataset[Any]):
    def __init__(self, files: Sequence[Path], sizes: Sequence[int]) -> None:
        self.files = files
        self.transforms = [
            create_transform((3, size, size), interpolation="bilinear", crop_pct=1.0)
            for size in sizes
        ]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> list[torch.Tensor]:
        image = Image.open(self.files[number]).convert("RGB")
        return [transform(image) for transform in self.transforms]


if __name__ == "__main__":
    typer.run(main)
