"""Command line: ``python -m mel_demo screen | serve | phone | doctor``.

Knows the terminal: options, progress, exit status (0 well, 1 something failed, 2 nothing was
done because the command or the weights do not fit). What is done stands in ``batch``, ``doctor``
and the page.
"""

import os
import re
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mel_demo import batch, doctor, hub, inference, outputs
from mel_demo.batch import LeftOut, Tally
from mel_demo.decision import operating_point
from mel_demo.errors import MelDemoError, SettingError
from mel_demo.images import SUFFIXES
from mel_demo.manifest import MODEL_KEYS, Manifest
from mel_demo.outputs import Finished, Format
from mel_demo.rows import Row, Sheet
from mel_demo.screening import Screener
from mel_demo.start import start


class _Group(typer.core.TyperGroup):
    """Shows our errors as one line on stderr and exits 2; everything else is a bug and traces."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # An empty path would be the current folder.
        for given in args:
            if given == "" or re.fullmatch("--[a-z-]+=", given):
                ctx.fail(
                    f"{given or 'An argument'} is empty: is a variable of the shell not set? The "
                    "current folder is called `.`."
                )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MelDemoError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(2) from error


app = typer.Typer(
    cls=_Group,
    help="Melanoma screening by a teacher and its student. A research demonstration, no medical "
    "device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="DIR",
        help="Folder with manifest.json and the models, or a revision on the Hub: "
        f"{hub.FORMS}.  [default: $MEL_WEIGHTS, else weights/]",
        show_default=False,
    ),
]


@app.command()
def screen(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Images, or folders searched for them; with --ray also addresses and archives.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Table to write; without it, CSV goes to stdout."),
    ] = None,
    table_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Parquet is a folder of parts.  [default: by the output's suffix, else csv]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a table that was stopped.")
    ] = False,
    retry: Annotated[
        bool,
        typer.Option(
            "--retry",
            help="As --resume, but take out the rows of files that could not be judged, and try "
            "these again.",
        ),
    ] = False,
    target_sensitivity: Annotated[
        float,
        typer.Option(
            help="Share of melanomas to catch, "
            f"{operating_point.MIN_TARGET:g} to {operating_point.MAX_TARGET:g}."
        ),
    ] = operating_point.DEFAULT_TARGET,
    weights: Weights = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help=f"One of {', '.join(MODEL_KEYS)}; may be given more than once.  [default: all]",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads, or actors of a cluster.  [default: one a core]",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Ray cluster to work on: HOST:PORT of its head, or auto on one of its machines.",
        ),
    ] = None,
) -> None:
    """Judge images with all models, or some: one row per image and model, written as they come.

    Exit status: 0 every image in the table was judged; 1 the table is complete, but some files
    could not be judged, in this run or before; 2 the command, the weights or the output does not
    fit, or another run is writing it; 130 or 143 stopped by Ctrl+C or SIGTERM, 141 by the reader of
    stdout. What was written stays, and --resume goes on with it.
    With --ray, images come in any order, from shared folders, s3://BUCKET/FOLDER or
    hf://datasets/USER/NAME, and .tar (WebDataset) and .parquet are archives of them.
    """
    operating_point.check_target(target_sensitivity)
    resume = resume or retry
    kind = table_format or _format_of(output)
    place = Path(output) if output else None
    if place:
        outputs.check(place, kind, [Path(path) for path in paths])
    elif resume:
        raise SettingError("--resume needs --output: what went to stdout cannot be read again.")
    if ray and not place:
        raise SettingError("--ray needs --output: Ray prints to stdout what befalls its nodes.")
    with _terminable(resumable=place is not None):
        models = model or []
        start_work = partial(_on_cluster, ray, place) if ray and place else _here
        work = start_work(paths, weights, models, workers)
        with work as todo, outputs.alone(place, kind):
            sheet = Sheet(todo.manifest, target_sensitivity, models)
            done = outputs.finished(place, kind, sheet, resume, retry) if place else Finished()
            tally = Tally(len(done), done.failed, left_out=todo.left_out)
            with outputs.opened(place, kind) as table, _progress(not output) as progress:
                total = None if progress.disable else todo.total()
                task = progress.add_task("Screening", total=total, completed=len(done))
                with closing(todo.judged(sheet, done)) as judged:
                    for rows in judged:
                        table.add(rows)
                        tally.add(rows)
                        progress.advance(task)
    for text in tally.remarks():
        typer.echo(text, err=True)
    if tally.failed or tally.failed_before:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Work:
    """What is to be screened, and how. ``total``: images, where it can be known, by a search of its
    own. ``judged``: the rows of every image that is not finished. ``left_out`` is filled by it."""

    manifest: Manifest
    total: Callable[[], int | None]
    judged: Callable[[Sheet, Finished], Generator[list[Row], None, None]]
    left_out: LeftOut


@contextmanager
def _here(
    paths: list[str], weights: str | None, models: list[str], workers: int | None
) -> Iterator[_Work]:
    """On the cores of this machine."""
    named, left_out = [Path(path) for path in paths], LeftOut()
    if next(batch.find_images(named, LeftOut()), None) is None:
        raise _nothing(paths, SUFFIXES)
    screener = Screener(weights, threads=1, models=models)

    def judged(sheet: Sheet, done: Finished) -> Generator[list[Row], None, None]:
        def judge(group: Sequence[Path]) -> list[list[Row]]:
            return batch.judge(screener, sheet, [(batch.name_of(file), file) for file in group])

        files = (
            file
            for file in batch.find_images(named, left_out)
            if not (len(done) and batch.name_of(file) in done)
        )
        return batch.in_order(judge, files, workers or inference.cores())

    def total() -> int:
        return sum(1 for _ in batch.find_images(named, LeftOut()))

    yield _Work(screener.manifest, total, judged, left_out)


@contextmanager
def _on_cluster(
    address: str,
    output: Path,
    paths: list[str],
    weights: str | None,
    models: list[str],
    workers: int | None,
) -> Iterator[_Work]:
    """On a Ray cluster. What was written to ``output`` is no archive of images."""
    from mel_demo import archive, cluster

    with cluster.joined(address, weights) as manifest:
        left_out = LeftOut()
        written = os.path.realpath(output)
        items = [
            item
            for item in archive.find(paths, left_out)
            if item.root or not Path(os.path.realpath(item.path)).is_relative_to(written)
        ]
        if not items:
            raise _nothing(paths, SUFFIXES | archive.SHARDS)

        def judged(sheet: Sheet, done: Finished) -> Generator[list[Row], None, None]:
            return cluster.judged(items, sheet.target, list(sheet.models), done, workers)

        total = None if any(item.is_shard for item in items) else len(items)
        yield _Work(manifest, lambda: total, judged, left_out)


def _nothing(paths: list[str], suffixes: Iterable[str]) -> SettingError:
    return SettingError(
        f"No image in {', '.join(paths)}. A folder is searched for files named "
        f"{' '.join(sorted(suffixes))}."
    )


@contextmanager
def _terminable(resumable: bool) -> Iterator[None]:
    """Ctrl+C, SIGTERM and a closed stdout end the work in order: whole rows, nothing unfinished."""

    def stop(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stopped:
        if resumable:
            typer.echo("Stopped. The same command with --resume goes on.", err=True)
        if isinstance(stopped, SystemExit):
            raise
        raise typer.Exit(128 + signal.SIGINT) from stopped
    except BrokenPipeError as error:
        raise typer.Exit(128 + 13) from error  # as of a process that SIGPIPE ended
    finally:
        signal.signal(signal.SIGTERM, before)


def _format_of(output: str | None) -> Format:
    suffix = Path(output or "").suffix.lower().removeprefix(".")
    return Format(suffix) if suffix in list(Format) else Format.CSV


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="0.0.0.0 or :: lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 7860,
    weights: Weights = None,
) -> None:
    """Start the page; ends with Ctrl+C or SIGTERM."""
    start(weights, host, port)


@app.command()
def phone(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write, for any host.")
    ],
    weights: Weights = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="student_int8 or student.  [default: the smallest that refuses other pictures]",
            show_default=False,
        ),
    ] = None,
    ort: Annotated[
        bool, typer.Option("--ort", help="Also write the model for ONNX Runtime Mobile.")
    ] = False,
) -> None:
    """Lay out the page that screens on the phone itself, offline. Needs npm."""
    from mel_demo.phone.build import lay_out

    built = lay_out(output, weights, model, ort)
    typer.echo(
        f"{output}: the page with {built.key} ({built.bytes / 1e6:.1f} MB). To try it: "
        f"python -m http.server --directory {output}"
    )
    if built.ood is None:
        typer.echo(
            f"{built.key} says no distance: what is no dermoscopy image is judged like any other. "
            "--model student may refuse it.",
            err=True,
        )


@app.command(name="doctor")
def doctor_command(weights: Weights = None) -> None:
    """Check Python, packages and weights, and run one drawn image through all models."""
    failed = 0
    for check in doctor.examine(weights):
        failed += not check.ok
        typer.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<16}  {check.text}")
    if failed:
        typer.echo(f"{failed} of the checks failed; what to do stands beside them.", err=True)
        raise typer.Exit(1)


def _progress(to_stdout: bool) -> Progress:
    """A bar on stderr, only where that is a terminal and the rows do not go to the same one."""
    console = Console(stderr=True)
    same = to_stdout and sys.stdout is not None and sys.stdout.isatty()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        disable=same or not console.is_terminal,
        redirect_stdout=False,  # rich would send the CSV on stdout to stderr
    )


class _Rate(ProgressColumn):
    """Images a second, of late."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "")
