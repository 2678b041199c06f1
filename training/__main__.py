"""python -m training: check the data, split it, train teacher and student, evaluate, export.

Heavy packages are imported by the command that needs them, so that --help answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from mel_demo.errors import MelDemoError
from training.errors import TrainingError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
console = Console()

RECIPES = Path(__file__).parent / "recipes"
WEIGHTS = Path("weights")
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of HAM10000 in its original layout; without it, from the Hub."),
]
Splits = Annotated[Path, typer.Option(help="CSV written by `training splits`.")]
Cache = Annotated[Path, typer.Option(help="Folder for decoded images and downloads.")]
Output = Annotated[Path, typer.Option(help="Folder of the run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training images.")]
BatchSize = Annotated[int | None, typer.Option(help="Images a step, over all processes.")]
LearningRate = Annotated[float | None, typer.Option(help="Peak of the warm-up.")]
Size = Annotated[int | None, typer.Option(help="Side of the square input, pixels.")]
Arch = Annotated[str | None, typer.Option(help="Any architecture of timm.")]
Pretrained = Annotated[
    bool | None, typer.Option("--pretrained/--no-pretrained", help="timm's weights from the Hub.")
]
Init = Annotated[
    Path | None, typer.Option(help="Local safetensors file with starting weights instead.")
]
Loss = Annotated[Literal["focal", "cross_entropy"] | None, typer.Option(help="Loss on the labels.")]
ClassWeightPower = Annotated[
    float | None, typer.Option(help="Class weight = frequency ** -power; 0 is off.")
]
LogitAdjustment = Annotated[float | None, typer.Option(help="tau of arXiv 2007.07314; 0 is off.")]
Seed = Annotated[int | None, typer.Option(help="Seed of weights, order and views.")]
Precision = Annotated[Literal["no", "bf16", "fp16"] | None, typer.Option(help="Mixed precision.")]


def _folder(data: Path | None, cache: Path, recipe_path: Path) -> Path:
    if data is not None:
        return data
    from training.config import load_recipe
    from training.download import download

    return download(load_recipe(recipe_path).source, cache)


@app.command()
def data(
    data: Data = None,
    cache: Cache = Path("cache"),
    recipe: Annotated[Path, typer.Option(help="Names the Hub data set.")] = (
        RECIPES / "teacher.yaml"
    ),
) -> None:
    """Check a HAM10000 folder, report its classes and lesions, and decode it once for training."""
    from training.config import load_recipe
    from training.data import cached_frames, check

    folder = _folder(data, cache, recipe)
    found = check(folder)
    table = Table("class", "images", "lesions", title=str(folder))
    for dx, (images, lesions) in found.counts().items():
        table.add_row(dx, str(images), str(lesions))
    total = len({row.lesion_id for row in found.rows})
    table.add_row("all", str(len(found.rows)), str(total), style="bold")
    console.print(table)
    sizes = ", ".join(f"{w}x{h} ({n})" for (w, h), n in found.sizes.most_common(4))
    console.print(f"Image sizes: {sizes}")
    for image_id in found.missing[:20]:
        console.print(f"missing: {image_id}.jpg", style="red", highlight=False)
    for image_id, reason in list(found.unreadable.items())[:20]:
        console.print(f"unreadable: {image_id}: {reason}", style="red", highlight=False)
    if found.missing or found.unreadable:
        console.print(
            f"{len(found.missing)} images are missing and {len(found.unreadable)} unreadable. "
            "Fetch them again, or remove their rows from the metadata.",
            style="red",
        )
        raise typer.Exit(1)
    frames = cached_frames(folder, found.paths, cache, load_recipe(recipe).cache_height)
    count, height, width, _ = frames.pixels.shape
    console.print(f"{count} images decoded to {width}x{height} in {cache}", highlight=False)


@app.command()
def splits(
    data: Data = None,
    output: Annotated[Path, typer.Option(help="CSV to write.")] = Path("splits.csv"),
    seed: Annotated[int, typer.Option(help="Seed of the division.")] = 20260723,
    cache: Cache = Path("cache"),
) -> None:
    """Divide the lesions 70/15/15, stratified by the seven classes."""
    from collections import Counter

    from training.data import read_metadata
    from training.files import sha256
    from training.splits import SPLITS, make_splits, melanoma_share, write_splits

    rows = make_splits(read_metadata(_folder(data, cache, RECIPES / "teacher.yaml")), seed)
    write_splits(rows, output)
    table = Table("split", "images", "lesions", "melanoma", title=str(output))
    images, share = Counter(row.split for row in rows), melanoma_share(rows)
    for split in SPLITS:
        lesions = len({row.lesion_id for row in rows if row.split == split})
        table.add_row(split, str(images[split]), str(lesions), f"{share[split]:.1%}")
    console.print(table)
    console.print(f"sha256 {sha256(output)}", highlight=False)


@app.command()
def teacher(
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    output: Output = Path("runs/teacher"),
    recipe: Annotated[Path, typer.Option(help="Recipe file.")] = RECIPES / "teacher.yaml",
    arch: Arch = None,
    pretrained: Pretrained = None,
    init: Init = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    size: Size = None,
    loss: Loss = None,
    class_weight_power: ClassWeightPower = None,
    logit_adjustment: LogitAdjustment = None,
    mixed_precision: Precision = None,
    seed: Seed = None,
    cache: Cache = Path("cache"),
    resume: Resume = False,
) -> None:
    """Train a teacher: any architecture of timm with seven outputs."""
    _train(
        recipe, data, splits, output, cache, init, resume, None,
        architecture=arch, pretrained=pretrained, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, size=size, mixed_precision=mixed_precision, seed=seed,
        **{
            "loss.name": loss,
            "loss.class_weight_power": class_weight_power,
            "loss.logit_adjustment": logit_adjustment,
        },
    )  # fmt: skip


@app.command()
def student(
    teacher: Annotated[
        Path | None, typer.Option(help="Run folder of the teacher; without it, no distillation.")
    ] = Path("runs/teacher"),
    alone: Annotated[
        bool, typer.Option("--alone", help="Train without a teacher, to compare.")
    ] = False,
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    output: Output = Path("runs/student"),
    recipe: Annotated[Path, typer.Option(help="Recipe file.")] = RECIPES / "student.yaml",
    arch: Arch = None,
    pretrained: Pretrained = None,
    init: Init = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    size: Size = None,
    loss: Loss = None,
    class_weight_power: ClassWeightPower = None,
    logit_adjustment: LogitAdjustment = None,
    temperature: Annotated[float | None, typer.Option(help="T of the distillation.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Share of the teacher's loss.")] = None,
    mixed_precision: Precision = None,
    seed: Seed = None,
    cache: Cache = Path("cache"),
    resume: Resume = False,
) -> None:
    """Distil a student from a teacher; both see the very same views."""
    _train(
        recipe, data, splits, output, cache, init, resume, None if alone else teacher,
        architecture=arch, pretrained=pretrained, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, size=size, mixed_precision=mixed_precision, seed=seed,
        **{
            "loss.name": loss,
            "loss.class_weight_power": class_weight_power,
            "loss.logit_adjustment": logit_adjustment,
            "distillation.temperature": temperature,
            "distillation.alpha": alpha,
        },
    )  # fmt: skip


@app.command()
def evaluate(
    run: Annotated[Path | None, typer.Option(help="Run folder to measure.")] = None,
    weights: Annotated[Path, typer.Option(help="Or the released files to measure.")] = WEIGHTS,
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Look at holdout: once per released model.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="JSON to write.")] = None,
    cache: Cache = Path("cache"),
) -> None:
    """Measure a run, or the released pair, on validation; on holdout only when asked."""
    from training.evaluate import evaluate_run, evaluate_weights

    folder = _folder(data, cache, RECIPES / "teacher.yaml")
    split = "holdout" if holdout else "validation"
    if run is not None:
        evaluate_run(run, folder, splits, split, output)
    else:
        evaluate_weights(weights, folder, splits, split, output)


@app.command()
def export(
    teacher: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/teacher"),
    student: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/student"),
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    output: Annotated[Path, typer.Option(help="Folder to write.")] = WEIGHTS,
    cache: Cache = Path("cache"),
) -> None:
    """Write both models as ONNX, checked against torch, with manifest and model cards.

    Opens the holdout split: do this once per released model.
    """
    from training.export import export

    export(teacher, student, _folder(data, cache, RECIPES / "teacher.yaml"), splits, output)


@app.command()
def results(
    weights: Annotated[Path, typer.Option(help="Released files.")] = WEIGHTS,
    readme: Annotated[Path, typer.Option(help="File with the results marks.")] = Path("README.md"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when the table is stale.")
    ] = False,
) -> None:
    """Put the results table of the manifest into README.md."""
    from training.results import write_results

    current = write_results(weights, readme, check=check)
    if check and not current:
        console.print(f"The results of {readme} are stale: run `python -m training results`.")
        raise typer.Exit(1)


@app.command()
def report(
    teacher: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    student: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Released files to score instead of the runs [default: weights, without runs]."
        ),
    ] = None,
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Look at holdout: once per released model.")
    ] = False,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Thumbnails of the worst mistakes.")
    ] = True,
    worst: Annotated[int, typer.Option(help="Mistakes of each kind to show.")] = 6,
    output: Annotated[
        Path, typer.Option(help="Page to write: .html, or .md to publish (never with images).")
    ] = Path("runs/report.html"),
    cache: Cache = Path("cache"),
) -> None:
    """Write a page with figures about a run, a pair of runs or the released files."""
    from training.report import write_report

    runs = {"teacher": teacher, "student": student}
    runs = {role: folder for role, folder in runs.items() if folder is not None}
    write_report(
        output,
        _folder(data, cache, RECIPES / "teacher.yaml"),
        splits,
        runs,
        weights or (None if runs else WEIGHTS),
        "holdout" if holdout else "validation",
        images,
        worst,
    )


def _train(recipe_path, data, splits, output, cache, init, resume, teacher, **options) -> None:
    from training.config import load_recipe
    from training.session import train_session

    record = train_session(
        load_recipe(recipe_path, **options),
        recipe_name=recipe_path.name,
        data=_folder(data, cache, recipe_path),
        splits=splits,
        output=output,
        cache=cache,
        init=init,
        teacher=teacher,
        resume=resume,
    )
    console.print(
        f"{record.role} {record.architecture}: best validation ROC-AUC {record.best_roc_auc:.4f} "
        f"in epoch {record.best_epoch} of {record.epochs}, {record.hours:.2f} h, {output}"
    )


def main() -> None:
    """Run a command; what the user can mend is one message and exit status 1."""
    try:
        app(standalone_mode=True)
    except (TrainingError, MelDemoError) as error:
        Console(stderr=True).print(f"Error: {error}", style="red", highlight=False, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
