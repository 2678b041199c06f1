"""Options that several commands share: as types with their help, and as groups of them.

A command takes a group as one parameter, through ``with_groups``; what a group's options mean
together is a method of it. Knows no wing until a method is called.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from training.recipe import RECIPES, Recipe, load_recipe, parse_settings

if TYPE_CHECKING:
    from training.data.measurable import Measurable

TEACHER_RECIPE, STUDENT_RECIPE = RECIPES / "teacher.yaml", RECIPES / "student.yaml"

SEED = 20260723
TEACHER, STUDENT, WEIGHTS = Path("runs/teacher"), Path("runs/student"), Path("weights")

# Of the data and of training.
Table = Annotated[Path, typer.Option(help="CSV to write.")]
SplitSeed = Annotated[int, typer.Option("--seed", min=0, max=2**31, help="Seed of the division.")]
Splits = Annotated[Path, typer.Option(help="CSV written by `training splits`.")]
Isic2017 = Annotated[Path, typer.Option(help="Folder of ISIC 2017's training images.")]
KeptOut = Annotated[int, typer.Option(min=1, help="Images to keep out of training.")]
Archive = Annotated[
    Path | None,
    typer.Option(help="Folder of more melanomas of the ISIC archive: 60 and all nevi kept out."),
]
External = Annotated[
    Path | None, typer.Option(help="CSV of `training external`: images kept out of training.")
]
RecipeFile = Annotated[Path, typer.Option(help="Recipe file.")]
Output = Annotated[Path, typer.Option(help="Folder to write.")]
TutorRuns = Annotated[
    list[Path] | None,
    typer.Option(help="Run folder to distil from, where the recipe does; repeatable."),
]
TeacherRuns = Annotated[
    list[Path] | None,
    typer.Option(help="Run folder of the teacher [default: runs/teacher]; repeatable."),
]
Alone = Annotated[
    bool, typer.Option("--alone", help="Learn from the labels alone, whatever the recipe says.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]
Temperatures = Annotated[str, typer.Option(help="Values of T, with commas.")]
Alphas = Annotated[str, typer.Option(help="Shares of the teacher's loss, with commas.")]
Seeds = Annotated[int, typer.Option(help="Train each so many times, for a spread.")]

# Of measuring and releasing.
Averaged = Annotated[list[Path], typer.Option("--run", help="Run folder; two or more.")]
Run = Annotated[Path, typer.Option(help="Run folder.")]
MaybeRun = Annotated[Path | None, typer.Option(help="Run folder.")]
Weights = Annotated[Path, typer.Option(help="Folder with the released files.")]
MaybeWeights = Annotated[
    Path | None, typer.Option(help="Released files instead of runs [default: weights].")
]
Photographs = Annotated[
    Path | None,
    typer.Option(help="Folder of everyday photographs: half to learn, half to measure with."),
]
Holdout = Annotated[
    bool, typer.Option("--holdout", help="Look at holdout: once per released model.")
]
MaybeJson = Annotated[Path | None, typer.Option(help="JSON to write.")]
Masks = Annotated[
    Path | None, typer.Option(help="Folder of lesion masks [default: within the data].")
]
Measured = Annotated[int, typer.Option(min=2, help="Images to measure.")]
Road = Annotated[int, typer.Option(min=1, help="Of these for ROAD, which is slow.")]
CompareOnly = Annotated[
    bool,
    typer.Option(
        "--compare-only", help="Compare the methods on validation, write the record alone."
    ),
]
MapRecord = Annotated[
    Path | None,
    typer.Option(help="JSON to write [default: docs/faithfulness.json or docs/map_methods.json]."),
]
Figure = Annotated[Path, typer.Option(help="Figure to write; its numbers go beside it.")]
MaybeOutput = Annotated[
    Path | None, typer.Option(help="Folder to write; without it, that of --weights.")
]
SweepRecord = Annotated[Path, typer.Option(help="JSON with a row for every candidate.")]
SweepOnly = Annotated[
    bool, typer.Option("--sweep-only", help="Write the record alone, and leave holdout closed.")
]

# Of reporting and publishing.
Readme = Annotated[Path, typer.Option(help="File with the results marks.")]
CheckOnly = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit 1 when the table is stale.")
]
Thumbnails = Annotated[
    bool, typer.Option("--images", help="Thumbnails of the worst mistakes, for your own use.")
]
Worst = Annotated[int, typer.Option(help="Mistakes of each kind to show.")]
Page = Annotated[
    Path, typer.Option(help="Markdown to write; its figures go into a folder beside it.")
]
TeacherRepo = Annotated[str, typer.Option(metavar="USER/REPO", help="The teacher's repository.")]
StudentRepo = Annotated[
    str, typer.Option(metavar="USER/REPO", help="The student's, fp32 and INT8 together.")
]
PullRequest = Annotated[
    bool, typer.Option("--create-pr", help="Open pull requests instead of writing to main.")
]
Tag = Annotated[str | None, typer.Option(help="Name the pushed commits, such as v1.")]
AllowDirty = Annotated[
    bool, typer.Option("--allow-dirty", help="Publish with changes that are in no commit.")
]
Space = Annotated[str, typer.Argument(metavar="USER/SPACE")]
OnHub = Annotated[
    str | None,
    typer.Option(metavar="USER/REPO@REVISION", help="Model on the Hub, left there."),
]
Hardware = Annotated[str | None, typer.Option(help="Such as cpu-basic, cpu-upgrade or zero-a10g.")]
Static = Annotated[
    bool, typer.Option("--static", help="Only the page that screens on the phone: no server.")
]
Phone = Annotated[
    bool, typer.Option(help="Beside the page on the server, that on the phone (needs npm).")
]


@dataclass(frozen=True)
class Ham10000:
    """Where the data set lies."""

    data: Annotated[
        Path | None,
        typer.Option(help="Folder of HAM10000 in its original layout; without it, from the Hub."),
    ] = None
    cache: Annotated[Path, typer.Option(help="Folder for decoded images and downloads.")] = Path(
        "cache"
    )

    def folder(self, recipe: Path = TEACHER_RECIPE) -> Path:
        """The folder given, or that of the recipe's data set, fetched into the cache."""
        if self.data is not None:
            return self.data
        from training.data.download import download

        return download(load_recipe(recipe).source, self.cache)


@dataclass(frozen=True)
class Images(Ham10000):
    """The images models are measured on."""

    splits: Splits = Path("splits.csv")

    def measurable(self) -> "Measurable":
        """These images."""
        from training.data.measurable import Measurable

        return Measurable(self.folder(), self.splits)


@dataclass(frozen=True)
class ImagesElsewhere(Images):
    """The same, and images of other clinics."""

    isic2017: Annotated[
        Path | None,
        typer.Option(help="Folder of ISIC 2017, to measure on images of other clinics."),
    ] = None
    external: External = None
    archive: Annotated[
        Path | None,
        typer.Option(help="Folder of more images of the ISIC archive, to measure on those too."),
    ] = None

    @property
    def split(self) -> str | None:
        """The images of other clinics that are meant, where one split is measured."""
        return "archive" if self.archive else "external" if self.external else None

    def measurable(self) -> "Measurable":
        """These images."""
        from training.data.measurable import Measurable

        return Measurable(self.folder(), self.splits, self.isic2017, self.external, self.archive)


@dataclass(frozen=True)
class Training(Ham10000):
    """What a run learns from and how."""

    splits: Splits = Path("splits.csv")
    arch: Annotated[str | None, typer.Option(help="Any architecture of timm.")] = None
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None
    size: Annotated[int | None, typer.Option(help="Side of the square input, pixels.")] = None
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and views.")] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any value of the recipe, such as learning_rate=3e-4, loss.name=focal or "
            "augmentation.scale=[0.7,1.0]; repeatable.",
        ),
    ] = None
    pretrained: Annotated[
        bool | None,
        typer.Option("--pretrained/--no-pretrained", help="timm's weights from the Hub."),
    ] = None
    init: Annotated[
        Path | None, typer.Option(help="Local safetensors file with starting weights instead.")
    ] = None
    more: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of ISIC 2017, 2019 or 2020 to learn from too; repeatable."),
    ] = None
    external: External = None
    tracker: Annotated[
        Literal["trackio", "wandb"] | None, typer.Option(help="Log each epoch there too.")
    ] = None

    def replacements(self) -> dict[str, Any]:
        """What replaces values of the recipe."""
        own = {
            "architecture": self.arch,
            "epochs": self.epochs,
            "size": self.size,
            "seed": self.seed,
            "pretrained": self.pretrained,
        }
        return parse_settings(self.settings or (), own)

    def load(self, recipe: Path) -> Recipe:
        """The recipe, its values replaced."""
        return load_recipe(recipe, **self.replacements())

    def inputs(self, recipe: Path) -> dict[str, Any]:
        """What ``train_session`` and ``ablate`` take beside recipe, teachers and output."""
        return {
            "recipe_name": recipe.name,
            "data": self.folder(recipe),
            "splits": self.splits,
            "cache": self.cache,
            "init": self.init,
            "more": self.more or [],
            "external": self.external,
            "tracker": self.tracker,
        }


@dataclass(frozen=True)
class Takeover:
    """What starting weights are made of."""

    weights: Annotated[Path, typer.Option(help="Safetensors file of timm's efficientnet_lite1.")]
    data: Annotated[Path, typer.Option(help="Folder of HAM10000, for its batch norms.")]
    splits: Splits = Path("splits.csv")
    output: Annotated[Path, typer.Option(help="File to write, for --init.")] = Path(
        "efficientnet_b1_from_lite1.safetensors"
    )
    lite: Annotated[str, typer.Option(help="What the weights are of.")] = "efficientnet_lite1"
    arch: Annotated[str, typer.Option(help="Its sibling.")] = "efficientnet_b1"
    size: Annotated[int, typer.Option(help="Side of the square input, pixels.")] = 192


@dataclass(frozen=True)
class Released:
    """A released model, and the run folder to make of it."""

    data: Annotated[Path, typer.Option(help="Folder of HAM10000, for the batch norms.")]
    output: Output
    model: Annotated[str, typer.Option(help="teacher or student.")] = "teacher"
    recipe: Annotated[
        Path | None, typer.Option(help="Recipe file [default: this project's of that name].")
    ] = None
    weights: Weights = WEIGHTS
    splits: Splits = Path("splits.csv")


@dataclass(frozen=True)
class Upload:
    """What is published, and whether it is."""

    weights: Weights = WEIGHTS
    private: Annotated[bool, typer.Option("--private", help="Make what is new private.")] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write what would be uploaded, and upload nothing.")
    ] = False
    output: Annotated[
        Path | None, typer.Option(help="Where --dry-run writes [default: within runs].")
    ] = None

    def dry(self, usual: Path) -> Path | None:
        """The folder to write instead of uploading, if so."""
        return (self.output or usual) if self.dry_run else None


@dataclass(frozen=True)
class Pair:
    """The runs of a released pair."""

    teacher: Run = TEACHER
    student: Run = STUDENT

    @property
    def runs(self) -> dict[str, Path]:
        """By role."""
        return {"teacher": self.teacher, "student": self.student}


@dataclass(frozen=True)
class Scored:
    """Runs, or released files: of runs and weights both, weights are scored."""

    teacher: MaybeRun = None
    student: MaybeRun = None
    weights: MaybeWeights = None

    @property
    def runs(self) -> dict[str, Path]:
        """Those that were given, by role."""
        pair = {"teacher": self.teacher, "student": self.student}
        return {role: folder for role, folder in pair.items() if folder is not None}

    @property
    def released(self) -> Path | None:
        """Folder of the released files, where they are scored."""
        return self.weights or (None if self.runs else WEIGHTS)


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every parameter that is a group replaced by the group's options."""
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if not is_dataclass(parameter.annotation):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[name] = parameter.annotation
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
                annotation=field.type,
            )
            for field in fields(parameter.annotation)
        ]

    @wraps(command)
    def grouped(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**made, **given)

    grouped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    grouped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del grouped.__wrapped__
    return grouped
