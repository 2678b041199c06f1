"""Command line: ``python -m mel_demo screen | serve | phone | doctor``.

Knows the terminal: options, progress, exit status (0 well, 1 something failed, 2 nothing was
done because the command or the weights do not fit). What is done stands in ``batch``, ``doctor``
and the page.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mel_demo import batch, doctor, hub
from mel_demo.decision import operating_point
from mel_demo.errors import MelDemoError, SettingError
from mel_demo.screening import Screener


class _Group(typer.core.TyperGroup):
    """Shows our errors as one line on stderr and exits 2; everything else is a bug and traces."""

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
        list[Path], typer.Argument(metavar="PATH", help="Images, or folders searched for them.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="CSV file to write; without it, CSV goes to stdout."),
    ] = None,
    target_sensitivity: Annotated[
        float,
        typer.Option(
            help="Share of melanomas to catch, "
            f"{operating_point.MIN_TARGET:g} to {operating_point.MAX_TARGET:g}."
        ),
    ] = operating_point.DEFAULT_TARGET,
    weights: Weights = None,
) -> None:
    """Judge images with all models: one CSV row per image and model.

    An unreadable file becomes a row with its error, the rest is done, and the exit status is 1.
    What is no dermoscopy image gets probabilities, but no decision.
    """
    operating_point.check_target(target_sensitivity)
    files = batch.find_images(paths)
    screener = Screener(weights)
    failed = refused = 0
    with batch.replacing(output) if output else nullcontext(sys.stdout) as file:
        table = batch.Table(file)
        with _progress(to_terminal=output is None and sys.stdout.isatty()) as progress:
            for path in progress.track(files, description="Screening"):
                rows = batch.screen_file(screener, path, target_sensitivity)
                failed += any(row["error"] for row in rows)
                refused += any(row["decision"] == batch.REFUSED for row in rows)
                table.add(rows)
    if refused:
        typer.echo(
            f"{refused} of {len(files)} files do not look like dermoscopy images: no decision.",
            err=True,
        )
    if failed:
        typer.echo(
            f"{failed} of {len(files)} files could not be judged: see the column 'error'.", err=True
        )
        raise typer.Exit(1)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 7860,
    weights: Weights = None,
) -> None:
    """Start the page; ends with Ctrl+C."""
    screener = Screener(weights)
    # Gradio takes seconds to import: not for --help, not where the weights do not fit.
    from mel_demo.ui.page import build, launch_options

    listening = {"server_name": host, "server_port": port}
    try:
        build(screener).launch(**launch_options() | listening)
    except OSError as error:
        raise SettingError(
            f"The page cannot listen on {host}:{port}: {error} Choose another --port or --host."
        ) from error


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


def _progress(to_terminal: bool) -> Progress:
    """A bar on stderr, only where that is a terminal and the rows do not go to the same one."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=to_terminal or not console.is_terminal,
        redirect_stdout=False,  # rich would send the CSV on stdout to stderr
    )
