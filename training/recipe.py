"""Recipes: every hyper-parameter of a run as frozen, validated data.

A recipe is a YAML file; the ones of the released models lie in ``training/recipes/``. Options, and
``--set KEY=VALUE`` for any key, replace single values. Nothing here knows torch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from training.errors import RecipeError

RECIPES = Path(__file__).parent / "recipes"

Positive = Annotated[float, Field(gt=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(_Frozen):
    """The Hub data set in HAM10000's original layout that ``training data`` downloads."""

    repository: str = "USER/HAM10000"
    revision: str = "main"


class HardLoss(_Frozen):
    """The loss on the labels; see training.learn.losses for the formulas."""

    name: Literal["focal", "cross_entropy"] = "focal"
    focal_gamma: float = Field(2.0, ge=0)
    source_adjustment: float = Field(
        0.0,
        ge=0,
        description="how much of a source's own share of melanomas the network is told while it "
        "learns, so that it need not read the camera (training.learn.sources); 0 is off, 1 all",
    )


class Distillation(_Frozen):
    """alpha * T^2 * KL(teacher_T || student_T) + (1 - alpha) * hard loss (arXiv 1503.02531)."""

    temperature: float = Field(1.0, gt=0)
    alpha: float = Field(0.5, ge=0, le=1)
    rounds: int = Field(
        0,
        ge=0,
        description="the teacher judges the views of so many epochs once, and the student sees "
        "them again and again; 0: new views every epoch, and the teacher judges each",
    )
    orientations: Literal[1, 2, 4, 8] = Field(
        1, description="of each view, over which the teacher's probabilities are averaged"
    )
    turns: bool = Field(
        False,
        description="kept views are shown in any of their eight orientations, for one answer",
    )


class Augmentation(_Frozen):
    """Ranges of the random views; see training.learn.augment."""

    rotation: float = Field(180.0, ge=0, le=180, description="degrees, either way")
    flips: bool = True
    scale: tuple[Positive, Positive] = Field(
        (0.65, 1.1), description="share of the serving crop seen, from and to"
    )
    stretch: float = Field(0.2, ge=0, description="log aspect ratio, either way")
    shift: float = Field(0.08, ge=0, description="share of the crop, either way")
    brightness: float = Field(0.2, ge=0)
    contrast: float = Field(0.2, ge=0)
    saturation: float = Field(0.2, ge=0)
    white_balance: float = Field(0.08, ge=0, description="gain of each colour channel")
    gamma: float = Field(0.2, ge=0, description="log gamma, either way")
    hue: float = Field(0.0, ge=0, description="turn about the grey axis, radians, either way")
    vignette: float = Field(0.0, ge=0, le=1, description="light lost in the corners, at most")
    border: float = Field(0.0, ge=0, le=1, description="probability of a dermatoscope's black rim")
    ruler: float = Field(0.0, ge=0, le=1, description="probability of ruler marks along a side")
    blur: float = Field(0.0, ge=0, le=1, description="share of a 3x3 mean in the view, at most")
    erasing: float = Field(0.25, ge=0, le=1, description="probability of one erased rectangle")
    mixup: float = Field(
        0.0, ge=0, description="views are mixed in pairs, share from Beta(a, a); 0 is off"
    )

    @field_validator("scale")
    @classmethod
    def _rising(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the smaller share comes first")
        return value


class Recipe(_Frozen):
    """Everything that decides a training run, apart from data, splits and starting weights."""

    role: Literal["teacher", "student"]
    architecture: str
    pretrained: bool = True
    source: Source = Source()

    size: int = Field(160, ge=32, description="pixels, side of the square input")
    start_size: int | None = Field(
        None,
        ge=32,
        description="the first epochs see smaller views, which grow to `size` by two thirds of the "
        "epochs (progressive learning, arXiv 2104.00298); validation is always at `size`",
    )
    max_aspect_ratio: float = Field(1.2, ge=1)
    mean: tuple[float, float, float] = Field(
        (0.485, 0.456, 0.406), description="of ImageNet; teacher and student must share it"
    )
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    cache_height: int = Field(192, ge=32, description="pixels; smaller images stay as they are")

    epochs: int = Field(12, ge=1)
    batch_size: int = Field(32, ge=2, description="over all processes together")
    learning_rate: float = Field(6e-4, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup_epochs: float = Field(1.0, ge=0)
    gradient_clip: float = Field(1.0, gt=0)
    drop_rate: float = Field(0.2, ge=0, lt=1)
    drop_path_rate: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="how often the last block is left out (stochastic depth, arXiv 1603.09382), "
        "earlier ones less; 0 is off",
    )
    ema_decay: float = Field(0.998, ge=0, lt=1)
    patience: int = Field(8, ge=1, description="epochs without a better validation ROC-AUC")
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    checkpoint_steps: int = Field(100, ge=1, description="and after every epoch")
    seed: int = Field(20260723, ge=0, lt=10**8)

    loss: HardLoss = HardLoss()
    lesion_weight: float = Field(
        0.0,
        ge=0,
        description="times the share of the melanoma map that lies beside the lesion, added to the "
        "loss where there is a mask (training.learn.lesion); 0 is off",
    )
    distillation: Distillation | None = None
    augmentation: Augmentation = Augmentation()

    @field_validator("mixed_precision", mode="before")
    @classmethod
    def _no(cls, value: object) -> object:
        return "no" if value is False else value  # which is how YAML reads a bare no

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.start_size is not None and self.start_size > self.size:
            raise ValueError(f"start_size ({self.start_size}) must not exceed size ({self.size})")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be fewer than epochs ({self.epochs})"
            )
        return self

    def size_at(self, epoch: int) -> int:
        """Side of the training views in ``epoch`` (from 0), pixels: a multiple of 16, or `size`."""
        share = min(1.0, 1.5 * epoch / self.epochs)
        if self.start_size is None or share == 1.0:
            return self.size
        return min(
            self.size, round((self.start_size + share * (self.size - self.start_size)) / 16) * 16
        )


def load_recipe(path: Path, **replacements: object) -> Recipe:
    """Read a recipe and replace single values, their keys dotted where they are nested.

    Raises RecipeError with every bad key, its value and what was expected.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(str(file.name) for file in RECIPES.glob("*.yaml")))
        raise RecipeError(f"There is no recipe {path}. Known ones in {RECIPES}: {known}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} must hold keys and values, not {type(values).__name__}.")
    for key, value in replacements.items():
        _replace(values, key.split("."), value)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in item['loc']) or 'recipe'}: {item['msg']}"
            f" (got {item['input']!r})"
            for item in error.errors()
        ]
        raise RecipeError(f"{path} cannot be used:\n" + "\n".join(lines)) from error


def parse_settings(
    settings: Sequence[str], options: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Replacements for ``load_recipe`` from "KEY=VALUE" texts, whose values are YAML.

    ``options``: values that have options of their own, None where they were not given. RecipeError
    for a text that is no setting, and for a key that is given twice.
    """
    found: dict[str, Any] = {k: v for k, v in (options or {}).items() if v is not None}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not key or not equals:
            raise RecipeError(f"--set takes KEY=VALUE, such as loss.name=focal: not {setting!r}.")
        if key in found:
            raise RecipeError(f"{key} is given twice, {found[key]!r} and {text!r}: give it once.")
        try:
            found[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise RecipeError(f"--set {key}: {text!r} is no YAML value ({reason}).") from error
    return found


def _replace(values: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[keys[-1]] = value
