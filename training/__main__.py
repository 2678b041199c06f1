"""python -m training: check the data, split it, train teacher and student, evaluate, release.

Heavy packages are imported by the command that needs them, so that --help answers at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from mel_demo.errors import MelDemoError
from training.errors import RecipeError, TrainingError
from training.recipe import RECIPES, load_recipe

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
console = Console()

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
More = Annotated[
    list[Path] | None,
    typer.Option("--more", help="Folder of ISIC 2017, 2019 or 2020 to learn from too; repeatable."),
]
External = Annotated[
    Path | None, typer.Option(help="CSV of `training external`: images kept out of training.")
]
Isic2017 = Annotated[
    Path | None, typer.Option(help="Folder of ISIC 2017, to measure on images of other clinics.")
]
StartSize = Annotated[int | None, typer.Option(help="Side of the first epochs' views, pixels.")]
Rounds = Annotated[
    int | None, typer.Option(help="Epochs of views the teacher judges once; 0: every view.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of weights, order and views.")]
Precision = Annotated[Literal["no", "bf16", "fp16"] | None, typer.Option(help="Mixed precision.")]
AllowDirty = Annotated[
    bool, typer.Option("--allow-dirty", help="Publish with changes that are in no commit.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Write what would be uploaded, and upload nothing.")
]
Tracker = Annotated[
    Literal["trackio", "wandb"] | None, typer.Option(help="Log each epoch there too.")
]


def _folder(data: Path | None, cache: Path, recipe_path: Path) -> Path:
    if data is not None:
        return data
    from training.data.ham10000 import download

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
    from training.data.frames import cached_frames
    from training.data.ham10000 import check

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

    from training.data.ham10000 import read_metadata
    from training.data.splits import SPLITS, make_splits, melanoma_share, write_splits
    from training.provenance import sha256

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
def external(
    isic2017: Annotated[Path, typer.Option(help="Folder of ISIC 2017's training images.")],
    output: Annotated[Path, typer.Option(help="CSV to write.")] = Path("external.csv"),
    count: Annotated[int, typer.Option(help="Images to keep out of training.")] = 400,
    archive: Annotated[
        Path | None,
        typer.Option(
            help="Folder of more melanomas of the ISIC archive: 60 and all nevi kept out."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the division.")] = 20260723,
) -> None:
    """Keep images of other clinics out of training, to measure models on what they do not know."""
    from collections import Counter

    from training.data.isic import (
        divide,
        divide_more,
        part_near_copies,
        read_extra,
        write_external,
    )
    from training.provenance import sha256

    extras = read_extra(isic2017)
    split = divide(extras, count, seed)
    if archive is not None:
        more = read_extra(archive, split)
        extras += more
        split = part_near_copies(extras, split | divide_more(more, seed=seed))
    write_external(extras, split, output)
    table = Table("split", "images", "melanomas", title=str(output))
    for name, images in Counter(split.values()).most_common():
        melanomas = sum(split[x.image_id] == name and x.dx == "mel" for x in extras)
        table.add_row(name, str(images), str(melanomas))
    console.print(table)
    console.print(f"sha256 {sha256(output)}", highlight=False)


@app.command()
def takeover(
    weights: Annotated[Path, typer.Option(help="Safetensors file of timm's efficientnet_lite1.")],
    data: Annotated[Path, typer.Option(help="Folder of HAM10000, for its batch norms.")],
    splits: Splits = Path("splits.csv"),
    output: Annotated[Path, typer.Option(help="File to write, for --init.")] = Path(
        "efficientnet_b1_from_lite1.safetensors"
    ),
    lite: Annotated[str, typer.Option(help="What the weights are of.")] = "efficientnet_lite1",
    arch: Annotated[str, typer.Option(help="Its sibling.")] = "efficientnet_b1",
    size: Annotated[int, typer.Option(help="Side of the square input, pixels.")] = 192,
) -> None:
    """Starting weights for EfficientNet-B1 from its sibling Lite1, where timm's cannot be had."""
    import numpy as np
    import torch

    from mel_demo.images import normalise
    from mel_demo.manifest import Preprocessing
    from training.data.frames import prepare_images
    from training.data.ham10000 import read_split
    from training.learn.takeover import save_start, take_over

    seen = Preprocessing(size, 1.2, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    images = read_split(data, splits, "train")
    some = images.at(np.random.default_rng(0).permutation(len(images))[:256])
    pixels = torch.from_numpy(normalise(prepare_images(some, seen), seen))
    save_start(take_over(arch, lite, weights, pixels), output)
    console.print(f"{output}: {arch} from {lite}, calibrated on {len(some)} images")


@app.command()
def teacher(
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    output: Output = Path("runs/teacher"),
    recipe: Annotated[Path, typer.Option(help="Recipe file.")] = RECIPES / "teacher.yaml",
    tutor: Annotated[
        list[Path] | None,
        typer.Option(help="Run folder to distil from, where the recipe does; repeatable."),
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Learn from the labels alone, whatever the recipe says.")
    ] = False,
    arch: Arch = None,
    pretrained: Pretrained = None,
    init: Init = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    size: Size = None,
    start_size: StartSize = None,
    more: More = None,
    external: External = None,
    loss: Loss = None,
    class_weight_power: ClassWeightPower = None,
    logit_adjustment: LogitAdjustment = None,
    mixed_precision: Precision = None,
    seed: Seed = None,
    cache: Cache = Path("cache"),
    tracker: Tracker = None,
    resume: Resume = False,
) -> None:
    """Train a teacher: any architecture of timm with seven outputs."""
    if not (alone or tutor) and load_recipe(recipe).distillation is not None:
        raise RecipeError(
            f"{recipe.name} distils from a tutor: give its run folder with --tutor (train it with "
            "--recipe training/recipes/tutor.yaml), or learn from the labels with --alone."
        )
    _train(
        recipe, data, splits, output, cache, init, resume, [] if alone else tutor or [],
        more or [], external, tracker,
        architecture=arch, pretrained=pretrained, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, size=size, start_size=start_size,
        mixed_precision=mixed_precision, seed=seed,
        **{
            "loss.name": loss,
            "loss.class_weight_power": class_weight_power,
            "loss.logit_adjustment": logit_adjustment,
        },
    )  # fmt: skip


@app.command()
def student(
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Run folder of the teacher [default: runs/teacher]; repeatable."),
    ] = None,
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
    start_size: StartSize = None,
    more: More = None,
    external: External = None,
    loss: Loss = None,
    class_weight_power: ClassWeightPower = None,
    logit_adjustment: LogitAdjustment = None,
    temperature: Annotated[float | None, typer.Option(help="T of the distillation.")] = None,
    rounds: Rounds = None,
    alpha: Annotated[float | None, typer.Option(help="Share of the teacher's loss.")] = None,
    mixed_precision: Precision = None,
    seed: Seed = None,
    cache: Cache = Path("cache"),
    tracker: Tracker = None,
    resume: Resume = False,
) -> None:
    """Distil a student from a teacher; both see the very same views."""
    _train(
        recipe, data, splits, output, cache, init, resume,
        [] if alone else teacher or [Path("runs/teacher")], more or [], external, tracker,
        architecture=arch, pretrained=pretrained, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, size=size, start_size=start_size,
        mixed_precision=mixed_precision, seed=seed,
        **{
            "loss.name": loss,
            "loss.class_weight_power": class_weight_power,
            "loss.logit_adjustment": logit_adjustment,
            "distillation.temperature": temperature,
            "distillation.alpha": alpha,
            "distillation.rounds": rounds,
        },
    )  # fmt: skip


@app.command()
def ablate(
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Run folder of the teacher [default: runs/teacher]; repeatable."),
    ] = None,
    temperatures: Annotated[str, typer.Option(help="Values of T, with commas.")] = "1,2",
    alphas: Annotated[str, typer.Option(help="Shares of the teacher's loss.")] = "0.5,0.9",
    seeds: Annotated[int, typer.Option(help="Train each so many times, for a spread.")] = 1,
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    output: Annotated[Path, typer.Option(help="Folder of the grid.")] = Path("runs/ablate"),
    recipe: Annotated[Path, typer.Option(help="Recipe file.")] = RECIPES / "student.yaml",
    arch: Arch = None,
    pretrained: Pretrained = None,
    init: Init = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    size: Size = None,
    start_size: StartSize = None,
    more: More = None,
    external: External = None,
    rounds: Rounds = None,
    mixed_precision: Precision = None,
    seed: Seed = None,
    cache: Cache = Path("cache"),
    tracker: Tracker = None,
) -> None:
    """Train students of every T and alpha, and one without a teacher; compare on validation.

    The same command again finishes what was interrupted.
    """
    from training.learn.ablate import ablate, grid, numbers

    cells = grid(
        recipe, numbers(temperatures, "--temperatures"), numbers(alphas, "--alphas"), seeds,
        architecture=arch, pretrained=pretrained, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, size=size, start_size=start_size,
        mixed_precision=mixed_precision, seed=seed,
        **{"distillation.rounds": rounds},
    )  # fmt: skip
    ablate(
        cells,
        recipe_name=recipe.name,
        data=_folder(data, cache, recipe),
        splits=splits,
        output=output,
        cache=cache,
        init=init,
        teachers=teacher or [Path("runs/teacher")],
        more=more or [],
        external=external,
        tracker=tracker,
    )


@app.command()
def evaluate(
    run: Annotated[Path | None, typer.Option(help="Run folder to measure.")] = None,
    weights: Annotated[Path, typer.Option(help="Or the released files to measure.")] = WEIGHTS,
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Look at holdout: once per released model.")
    ] = False,
    isic2017: Isic2017 = None,
    external: Annotated[
        Path | None,
        typer.Option(help="Look at the images it keeps out of training: once per released model."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="JSON to write.")] = None,
    cache: Cache = Path("cache"),
) -> None:
    """Measure a run, or the released pair, on validation; on holdout only when asked."""
    from training.data.measurable import Measurable
    from training.measure.evaluate import evaluate_run, evaluate_weights

    folder = _folder(data, cache, RECIPES / "teacher.yaml")
    given = Measurable(folder, splits, isic2017, external)
    split = "external" if external else "holdout" if holdout else "validation"
    if run is not None:
        evaluate_run(run, given, split, output)
    else:
        evaluate_weights(weights, given, split, output)


@app.command()
def export(
    teacher: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/teacher"),
    student: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/student"),
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    isic2017: Isic2017 = None,
    external: External = None,
    photographs: Annotated[
        Path | None,
        typer.Option(help="Folder of everyday photographs: half to learn, half to measure with."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder to write.")] = WEIGHTS,
    cache: Cache = Path("cache"),
) -> None:
    """Write both models as ONNX, checked against torch, with manifest and model cards.

    Opens the holdout split, and the external images where they are given: do this once per
    released model.
    """
    from training.data.measurable import Measurable
    from training.release.export import export

    folder = _folder(data, cache, RECIPES / "teacher.yaml")
    given = Measurable(folder, splits, isic2017, external)
    export(teacher, student, given, output, photographs)


@app.command()
def explain(
    teacher: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/teacher"),
    student: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/student"),
    weights: Annotated[Path, typer.Option(help="Folder with the models.")] = WEIGHTS,
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    masks: Annotated[
        Path | None, typer.Option(help="Folder of lesion masks.  [default: within the data]")
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="Images to measure.")] = 400,
    road: Annotated[int, typer.Option(min=1, help="Of these for ROAD, which is slow.")] = 40,
    compare_only: Annotated[
        bool,
        typer.Option(
            "--compare-only",
            help="Compare the methods on validation, write the record alone, leave holdout closed.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="JSON to write.  [default: docs/faithfulness.json or map_methods.json]"),
    ] = None,
    cache: Cache = Path("cache"),
) -> None:
    """Measure how far the released models' evidence maps can be believed.

    On holdout, with the lesion masks; manifest and model cards are completed.
    """
    from training.data.measurable import Measurable
    from training.release.explain import Amount, explain

    given = Measurable(_folder(data, cache, RECIPES / "teacher.yaml"), splits)
    runs = {"teacher": teacher, "student": student}
    name = "map_methods.json" if compare_only else "faithfulness.json"
    record = output or Path("docs") / name
    explain(weights, runs, given, record, masks, Amount(images, road), compare_only)


@app.command()
def calibrate(
    teacher: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    student: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    weights: Annotated[Path, typer.Option(help="Without runs: the released files.")] = WEIGHTS,
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    output: Annotated[Path, typer.Option(help="Figure to write; its numbers go beside it.")] = (
        Path("docs/calibration.svg")
    ),
    cache: Cache = Path("cache"),
) -> None:
    """Fit each model's temperature on validation and draw its reliability before and after.

    `export` fits the same temperature and releases it.
    """
    from training.data.measurable import Measurable
    from training.report.calibration import write_calibration

    runs = {"teacher": teacher, "student": student}
    runs = {role: folder for role, folder in runs.items() if folder is not None}
    given = Measurable(_folder(data, cache, RECIPES / "teacher.yaml"), splits)
    write_calibration(given, output, None if runs else weights, runs)


@app.command()
def quantize(
    weights: Annotated[Path, typer.Option(help="Released files, with the student.")] = WEIGHTS,
    data: Data = None,
    splits: Splits = Path("splits.csv"),
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; without it, that of --weights.")
    ] = None,
    record: Annotated[Path, typer.Option(help="JSON with a row for every candidate.")] = (
        Path("docs/quantization.json")
    ),
    sweep_only: Annotated[
        bool, typer.Option("--sweep-only", help="Write the record alone, and leave holdout closed.")
    ] = False,
    isic2017: Isic2017 = None,
    external: External = None,
    cache: Cache = Path("cache"),
) -> None:
    """Make the student's INT8 file: try many settings, keep the best that passes the gate.

    Opens the holdout split for the chosen file: do this once per released model.
    """
    from training.data.measurable import Measurable
    from training.release.quantize import quantize

    folder = _folder(data, cache, RECIPES / "teacher.yaml")
    given = Measurable(folder, splits, isic2017, external)
    quantize(weights, given, output or weights, record, sweep_only)


@app.command()
def results(
    weights: Annotated[Path, typer.Option(help="Released files.")] = WEIGHTS,
    readme: Annotated[Path, typer.Option(help="File with the results marks.")] = Path("README.md"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when the table is stale.")
    ] = False,
) -> None:
    """Put the results table of the manifest into README.md."""
    from training.report.results import write_results

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
    from training.data.measurable import Measurable
    from training.report.page import write_report

    runs = {"teacher": teacher, "student": student}
    runs = {role: folder for role, folder in runs.items() if folder is not None}
    write_report(
        output,
        Measurable(_folder(data, cache, RECIPES / "teacher.yaml"), splits),
        runs,
        weights or (None if runs else WEIGHTS),
        "holdout" if holdout else "validation",
        images,
        worst,
    )


@app.command()
def push(
    teacher: Annotated[str, typer.Option(metavar="USER/REPO", help="The teacher's repository.")],
    student: Annotated[
        str, typer.Option(metavar="USER/REPO", help="The student's, fp32 and INT8 together.")
    ],
    weights: Annotated[Path, typer.Option(help="Folder with the models.")] = WEIGHTS,
    teacher_run: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/teacher"),
    student_run: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/student"),
    private: Annotated[bool, typer.Option("--private", help="Make new repositories private.")] = (
        False
    ),
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open pull requests instead of writing to main.")
    ] = False,
    tag: Annotated[str | None, typer.Option(help="Name the pushed commits, such as v1.")] = None,
    allow_dirty: AllowDirty = False,
    dry_run: DryRun = False,
    output: Annotated[Path, typer.Option(help="Where --dry-run writes.")] = Path("runs/push"),
) -> None:
    """Publish teacher and student on the Hub: ONNX, safetensors for timm, manifest, model card."""
    from training.publish.push import prepare, publish, source

    repos = {"teacher": teacher, "student": student}
    runs = {"teacher": teacher_run, "student": student_run}
    if dry_run:
        for role, folder in prepare(repos, weights, runs, output, allow_dirty).items():
            typer.echo(f"{repos[role]}: read {folder}")
        return
    with console.status("Checking, then uploading"):
        pushed = publish(
            repos,
            weights,
            runs,
            allow_dirty=allow_dirty,
            private=private,
            create_pr=create_pr,
            tag=tag,
        )
    for made in pushed.values():
        typer.echo(made.url)
    if not create_pr:
        typer.echo(f"MEL_WEIGHTS={source(pushed)}")


@app.command()
def push_space(
    space: Annotated[str, typer.Argument(metavar="USER/SPACE")],
    teacher: Annotated[
        str | None,
        typer.Option(metavar="USER/REPO@REVISION", help="Models on the Hub, left there."),
    ] = None,
    student: Annotated[
        str | None, typer.Option(metavar="USER/REPO@REVISION", help="The student beside it.")
    ] = None,
    weights: Annotated[
        Path, typer.Option(help="Without the two above: folder with the models to copy.")
    ] = WEIGHTS,
    hardware: Annotated[
        str | None, typer.Option(help="Such as cpu-basic, cpu-upgrade or zero-a10g.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new Space private.")] = False,
    dry_run: DryRun = False,
    output: Annotated[Path, typer.Option(help="Where --dry-run writes.")] = Path("runs/space"),
) -> None:
    """Deploy the page as a Space: its code, and its models copied or by reference to the Hub."""
    import tempfile

    from training.publish.space import build, pin, push_space

    if (teacher is None) != (student is None):
        raise RecipeError("Give both --teacher and --student, or neither to copy the models.")
    pinned = pin(f"{teacher},{student}") if teacher else []
    if dry_run:
        typer.echo(f"{space}: read {build(space, output, weights, pinned)}")
        return
    with tempfile.TemporaryDirectory() as name, console.status(f"Deploying {space}"):
        folder = build(space, Path(name) / "space", weights, pinned)
        pushed = push_space(space, folder, private, hardware)
    typer.echo(pushed.url)


def _train(
    recipe_path, data, splits, output, cache, init, resume, teachers, more, external, tracker,
    **options,
) -> None:  # fmt: skip
    from training.learn.session import train_session

    record = train_session(
        load_recipe(recipe_path, **options),
        recipe_name=recipe_path.name,
        data=_folder(data, cache, recipe_path),
        splits=splits,
        output=output,
        cache=cache,
        init=init,
        teachers=teachers,
        resume=resume,
        more=more,
        external=external,
        tracker=tracker,
    )
    if int(os.environ.get("RANK", "0")):  # one process of several speaks
        return
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
