"""python -m training: check the data, split it, train teacher and student, evaluate, release.

Heavy packages are imported by the command that needs them, so that --help answers at once.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console

from mel_demo.errors import MelDemoError
from training import options as opt
from training.errors import TrainingError, in_words
from training.recipe import load_recipe

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # which takes [default: ...] for markup and leaves it out
    help=__doc__,
)
console = Console(highlight=False)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A command of this program, named like the function."""
    return app.command()(opt.with_groups(function))


@command
def data(ham: opt.Ham10000, recipe: opt.RecipeFile = opt.TEACHER_RECIPE) -> None:
    """Check a HAM10000 folder, report its classes and lesions, and decode it once for training."""
    from training.data.frames import cached_frames
    from training.data.ham10000 import check, print_check

    folder = ham.folder(recipe)
    checked = check(folder)
    print_check(checked, folder, console)
    frames = cached_frames(folder, list(checked.paths), ham.cache, load_recipe(recipe).cache_height)
    count, height, width, _ = frames.pixels.shape
    console.print(f"{count} images decoded to {width}x{height} in {ham.cache}")


@command
def splits(
    ham: opt.Ham10000, output: opt.Table = Path("splits.csv"), seed: opt.SplitSeed = opt.SEED
) -> None:
    """Divide the lesions 70/15/15, stratified by the seven classes."""
    from training.data.ham10000 import read_metadata
    from training.data.splits import make_splits, print_splits, write_splits

    rows = make_splits(read_metadata(ham.folder()), seed)
    write_splits(rows, output)
    print_splits(rows, output, console)


@command
def external(
    isic2017: opt.Isic2017,
    output: opt.Table = Path("external.csv"),
    count: opt.KeptOut = 400,
    archive: opt.Archive = None,
    seed: opt.SplitSeed = opt.SEED,
) -> None:
    """Keep images of other clinics out of training, to measure models on what they do not know."""
    from training.data.external import divide_all, print_external, write_external

    extras, split = divide_all(isic2017, archive, count, seed)
    write_external(extras, split, output)
    print_external(extras, split, output, console)


@command
def takeover(start: opt.Takeover) -> None:
    """Starting weights for EfficientNet-B1 from its sibling Lite1, where timm's cannot be had."""
    from training.learn.takeover import write_start

    write_start(**vars(start))


@command
def restore(released: opt.Released) -> None:
    """A run folder from a released file: to train on, distil from, explain or publish it."""
    from training.release.restore import restore

    restore(**vars(released))


@command
def average(runs: opt.Averaged, where: opt.ImagesElsewhere, output: opt.Output) -> None:
    """The mean of the weights of runs that went on from one another, as a run of its own.

    Say what each is worth on validation, and the mean.
    """
    from training.release.average import average

    average(runs, where.measurable(), output)


@command
def teacher(
    options: opt.Training,
    tutor: opt.TutorRuns = None,
    alone: opt.Alone = False,
    output: opt.Output = opt.TEACHER,
    recipe: opt.RecipeFile = opt.TEACHER_RECIPE,
    resume: opt.Resume = False,
) -> None:
    """Train a teacher: any architecture of timm with seven outputs."""
    from training.learn.session import train_session

    teachers = [] if alone else tutor
    train_session(options.load(recipe), output, teachers, resume, **options.inputs(recipe))


@command
def student(
    options: opt.Training,
    teacher: opt.TeacherRuns = None,
    alone: opt.Alone = False,
    output: opt.Output = opt.STUDENT,
    recipe: opt.RecipeFile = opt.STUDENT_RECIPE,
    resume: opt.Resume = False,
) -> None:
    """Distil a student from a teacher; both see the very same views."""
    from training.learn.session import train_session

    teachers = [] if alone else teacher or [opt.TEACHER]
    train_session(options.load(recipe), output, teachers, resume, **options.inputs(recipe))


@command
def ablate(
    options: opt.Training,
    teacher: opt.TeacherRuns = None,
    temperatures: opt.Temperatures = "1,2",
    alphas: opt.Alphas = "0.5,0.9",
    seeds: opt.Seeds = 1,
    output: opt.Output = Path("runs/ablate"),
    recipe: opt.RecipeFile = opt.STUDENT_RECIPE,
) -> None:
    """Train students of every T and alpha, and one without a teacher; compare on validation.

    The same command again finishes what was interrupted.
    """
    from training.learn.ablate import ablate, ablation_cells, parse_numbers
    from training.report.ablation import write_comparison

    values = parse_numbers(temperatures, "--temperatures"), parse_numbers(alphas, "--alphas")
    cells = ablation_cells(recipe, *values, seeds, **options.replacements())
    teachers = teacher or [opt.TEACHER]
    if ablate(cells, output, teachers, **options.inputs(recipe)):
        write_comparison(cells, output, teachers, console)


@command
def evaluate(
    where: opt.ImagesElsewhere,
    run: opt.MaybeRun = None,
    weights: opt.Weights = opt.WEIGHTS,
    holdout: opt.Holdout = False,
    output: opt.MaybeJson = None,
) -> None:
    """Measure a run, or the released files, on validation; on holdout only when asked.

    With --external on the images of ISIC 2017 that it keeps out of training, with --archive beside
    it on those of the archive: like holdout, once per released model. Exit status 1 where released
    files do not give the figures of their manifest again.
    """
    from training.measure.evaluate import evaluate_run, evaluate_weights

    split = where.split or ("holdout" if holdout else "validation")
    if run is not None:
        evaluate_run(run, where.measurable(), split, output)
    else:
        evaluate_weights(weights, where.measurable(), split, output)


@command
def export(
    where: opt.ImagesElsewhere,
    pair: opt.Pair,
    photographs: opt.Photographs = None,
    output: opt.Output = opt.WEIGHTS,
) -> None:
    """Write both models as ONNX, checked against torch, with manifest and model cards.

    Opens the holdout split, and images of other clinics where they are given: do this once per
    released model.
    """
    from training.release.export import export

    export(pair.teacher, pair.student, where.measurable(), output, photographs)


@command
def explain(
    where: opt.Images,
    pair: opt.Pair,
    weights: opt.Weights = opt.WEIGHTS,
    masks: opt.Masks = None,
    images: opt.Measured = 400,
    road: opt.Road = 40,
    compare_only: opt.CompareOnly = False,
    output: opt.MapRecord = None,
) -> None:
    """Measure how far the released models' evidence maps can be believed.

    On holdout, with the lesion masks; manifest and model cards are completed.
    """
    from training.release.explain import Amount, explain

    record = output or Path("docs", "map_methods.json" if compare_only else "faithfulness.json")
    amount = Amount(images, road)
    explain(weights, pair.runs, where.measurable(), record, masks, amount, compare_only)


@command
def calibrate(
    where: opt.Images, scored: opt.Scored, output: opt.Figure = Path("docs/calibration.svg")
) -> None:
    """Fit each model's temperature on validation and draw its reliability before and after.

    `export` fits the same temperature and releases it.
    """
    from training.report.calibration import write_calibration

    write_calibration(where.measurable(), output, scored.released, scored.runs)


@command
def quantize(
    where: opt.ImagesElsewhere,
    weights: opt.Weights = opt.WEIGHTS,
    output: opt.MaybeOutput = None,
    record: opt.SweepRecord = Path("docs/quantization.json"),
    sweep_only: opt.SweepOnly = False,
) -> None:
    """Make the student's INT8 file: try many settings, keep the best that passes the gate.

    Opens the holdout split for the chosen file: do this once per released model.
    """
    from training.release.quantize import quantize

    quantize(weights, where.measurable(), output or weights, record, sweep_only)


@command
def latency(where: opt.Images, weights: opt.Weights = opt.WEIGHTS) -> None:
    """Time the released files again, on a quiet machine; opens validation alone."""
    from training.release.timing import time_again

    time_again(weights, where.measurable())


@command
def results(
    weights: opt.Weights = opt.WEIGHTS,
    readme: opt.Readme = Path("README.md"),
    check: opt.CheckOnly = False,
) -> None:
    """Put the results table of the manifest into README.md."""
    from training.report.results import write_results

    if not write_results(weights, readme, check=check) and check:
        console.print(f"The results of {readme} are stale: run `python -m training results`.")
        raise typer.Exit(1)


@command
def report(
    where: opt.Images,
    scored: opt.Scored,
    holdout: opt.Holdout = False,
    images: opt.Thumbnails = False,
    worst: opt.Worst = 6,
    output: opt.Page = Path("runs/report.md"),
) -> None:
    """Write a page with figures about a run, a pair of runs or the released files."""
    from training.report.page import write_report

    split, given = "holdout" if holdout else "validation", where.measurable()
    write_report(output, given, scored.runs, scored.released, split, images, worst)


@command
def push(
    teacher: opt.TeacherRepo,
    student: opt.StudentRepo,
    upload: opt.Upload,
    teacher_run: opt.Run = opt.TEACHER,
    student_run: opt.Run = opt.STUDENT,
    create_pr: opt.PullRequest = False,
    tag: opt.Tag = None,
    allow_dirty: opt.AllowDirty = False,
) -> None:
    """Publish teacher and student on the Hub: ONNX, safetensors for timm, manifest, model card."""
    from training.publish.push import publish

    repos = {"teacher": teacher, "student": student}
    runs = {"teacher": teacher_run, "student": student_run}
    given = allow_dirty, upload.private, create_pr, tag, upload.dry(Path("runs/push"))
    for line in publish(repos, upload.weights, runs, *given):
        typer.echo(line)


@command
def push_space(
    space: opt.Space,
    upload: opt.Upload,
    teacher: opt.OnHub = None,
    student: opt.OnHub = None,
    hardware: opt.Hardware = None,
    static: opt.Static = False,
    phone: opt.Phone = True,
) -> None:
    """Deploy the page as a Space: its code, and its models copied or by reference to the Hub."""
    from training.publish.space import deploy

    pair = None if teacher is student is None else (teacher, student)
    dry = upload.dry(Path("runs/space"))
    typer.echo(deploy(space, upload.weights, pair, upload.private, hardware, dry, static, phone))


def main() -> None:
    """Run a command; what the user can mend is one message and exit status 1."""
    try:
        app(standalone_mode=True)
    except (TrainingError, MelDemoError, OSError) as error:
        typer.secho(f"Error: {in_words(error)}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
