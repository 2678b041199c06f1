"""The released models and the manifest that holds them: the outer layout of manifest.json."""

import functools
import hashlib
from collections.abc import Collection
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from mel_demo.errors import ManifestError, SettingError
from mel_demo.manifest.checks import (
    CONFIG,
    Count,
    NotNegative,
    Number,
    Positive,
    Sha256,
    Text,
    absent,
    digits,
    optional,
    refuse,
    refused_as,
    say,
)
from mel_demo.manifest.evidence import Evidence, MapOverlap, OutOfDistribution
from mel_demo.manifest.operating import Metrics, OperatingTable

FORMAT = 1
CLASS_NAMES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
MELANOMA = CLASS_NAMES.index("mel")
TARGETS = {
    "melanoma": (MELANOMA,),
    "skin_cancer": tuple(CLASS_NAMES.index(name) for name in ("akiec", "bcc", "mel")),
}
"""The classes that count as positive, by the question that is asked."""
MODEL_KEYS = ("teacher", "student", "student_int8")
REQUIRED_MODELS = ("teacher", "student")
METRIC_NAMES = (
    "roc_auc",
    "average_precision",
    "ece",
    "brier",
    "sensitivity_at_95",
    "specificity_at_95",
)


def _three(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise refuse("a list of 3")
    return value


# Not strict of the tuple: behind a validator of our own pydantic holds JSON's list.
Triple = Annotated[tuple[Number, Number, Number], Field(strict=False), BeforeValidator(_three)]


@dataclass(frozen=True, config=CONFIG)
class Preprocessing:
    """How an image becomes a model's input: see ``images.prepare`` and ``images.normalise``.

    ``size``: side of the square input in pixels. ``max_aspect_ratio``: longer to shorter side of
    the centre crop, at least 1. ``mean``, ``std``: per RGB channel, of values scaled to 0..1.
    """

    size: Positive
    max_aspect_ratio: Annotated[
        float, Field(ge=1, allow_inf_nan=False), refused_as("a finite number from 1")
    ]
    mean: Triple
    std: Triple
    resample: Annotated[
        Literal["bilinear"], refused_as("'bilinear', the only resampling this version knows")
    ] = "bilinear"

    @model_validator(mode="before")
    @classmethod
    def _says_how(cls, values: Any) -> Any:
        if isinstance(values, dict) and "resample" not in values:  # in a file, not in a call
            raise absent("resample")
        return values

    @field_validator("std")
    @classmethod
    def _divides(cls, std: tuple[float, ...]) -> tuple[float, ...]:
        if min(std) <= 0:
            raise refuse("three numbers greater than 0")
        return std


@dataclass(frozen=True, config=CONFIG)
class SplitSizes:
    """A number of each split of the data learned from."""

    train: Positive
    validation: Positive
    holdout: Positive


@dataclass(frozen=True, config=CONFIG)
class Elsewhere:
    """The images of other clinics that were measured; ``sha256`` of the file that lists them."""

    name: Text
    images: Positive
    melanomas: Positive
    licence: Text | None = optional()
    sha256: Sha256 | None = optional()


@dataclass(frozen=True, config=CONFIG)
class Data:
    """What a model learned from and was measured on; counts of images but for ``lesions``.

    ``more``: further images learned from, by data set. ``external``, ``archive``: those of other
    clinics, of ISIC 2017 and of a selection of the ISIC archive.
    """

    name: Text
    licence: Text
    doi: Text
    images: SplitSizes
    melanomas: SplitSizes
    splits_sha256: Sha256
    lesions: SplitSizes | None = optional()
    more: dict[str, Positive] = Field(default_factory=dict)
    external: Elsewhere | None = optional()
    archive: Elsewhere | None = optional()


@dataclass(frozen=True, config=CONFIG)
class Training:
    """How a model was trained. ``init``: where its starting weights came from, in words;
    ``teacher``: the runs it was distilled from."""

    epochs: Count
    seed: int
    hours: NotNegative
    hardware: Text
    init: Text
    best_epoch: Count | None = optional()
    teacher: Text | None = None


@dataclass(frozen=True, config=CONFIG)
class Latency:
    """Milliseconds for one image from pixels to probabilities; ``note``: of what and on what."""

    milliseconds: NotNegative
    note: Text


@dataclass(frozen=True, config=CONFIG)
class Origin:
    """The command that wrote something, and the commit of the source it ran from."""

    command: Text
    git_commit: Text


@dataclass(frozen=True, config=CONFIG)
class Quantisation(Origin):
    """How an INT8 file was made, and from which.

    ``map_correlation``: of its melanoma maps with those of the other file, mean on validation.
    """

    from_sha256: Sha256
    settings: Text
    onnxruntime: Text
    written: Text
    map_correlation: Annotated[Number, digits(3)] | None = optional()


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Target:
    """What one model was measured to do on one question, such as melanoma or any skin cancer.

    ``metrics``: for the splits validation and holdout, ``external`` and ``archive`` where images of
    other clinics were measured. ``evidence``: what the page's figures show, where it was measured.
    """

    metrics: Metrics
    operating_table: OperatingTable
    evidence: Evidence | None = optional()

    @model_validator(mode="after")
    def _complete(self) -> "Target":
        for split in ("validation", "holdout"):
            for name in METRIC_NAMES:
                if name not in self.metrics.get(split, {}):
                    raise absent("metrics", split, *([name] if split in self.metrics else []))
        return self


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class ModelSpec(Target):
    """One released model. The file's own measurements are of melanoma; ``skin_cancer``: of any
    skin cancer, where that was measured. ``ood``: where the file also says how far an image is
    from those it learned from, what that distance means."""

    key: str = Field(default="", exclude=True)
    file: Annotated[
        # The name is joined to a folder: a path in it could lead out of that folder.
        str, Field(pattern=r"^\.?[^./\\][^/\\]*$"), refused_as("a plain file name")
    ]
    sha256: Sha256
    bytes: Positive
    architecture: Text
    parameters: Positive
    recipe: Text
    source_commit: Text
    data: Data
    class_names: tuple[str, ...]
    temperature: Number
    preprocessing: Preprocessing
    training: Training
    latency: Latency
    ood: OutOfDistribution | None = optional()
    quantisation: Quantisation | None = optional()
    skin_cancer: Target | None = optional()

    @field_validator("class_names")
    @classmethod
    def _in_order(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names != CLASS_NAMES:
            wanted = f"the classes {', '.join(CLASS_NAMES)} in this order"
            raise refuse(wanted)
        return names

    @field_validator("temperature")
    @classmethod
    def _positive(cls, value: float) -> float:
        if value <= 0:
            raise refuse("greater than 0")
        return value

    @model_validator(mode="after")
    def _one_set_of_images(self) -> "ModelSpec":
        """The page names the data: its sizes must be those of what was measured."""
        first = self.operating_table.rows[0]
        elsewhere = "external" in self.metrics or first.external is not None
        if elsewhere and self.data.external is None:
            raise absent("data", "external")
        if "archive" in self.metrics and self.data.archive is None:
            raise absent("data", "archive")
        for split in ("validation", "holdout", "external"):
            counts = getattr(first, split)
            for name in ("images", "melanomas") if counts is not None else ():
                at = ("data", split, name) if split == "external" else ("data", name, split)
                if functools.reduce(getattr, at, self) != getattr(counts, name):
                    number = f"{getattr(counts, name)}, the number in operating_table.rows[0]"
                    raise refuse(f"{number}.{split}", *at)
        return self

    def target(self, name: str) -> Target:
        """The measurements of one of TARGETS; ManifestError where it was not measured."""
        found = self if name == "melanoma" else self.skin_cancer
        if found is None:
            raise ManifestError(
                f"models.{self.key}.{name} is not in the manifest: it was not measured. Export "
                "again (`python -m training export`), or ask for melanoma."
            )
        return found


def _known_format(value: int) -> int:
    if value > FORMAT:
        raise say(
            f"{value} is newer than {FORMAT}, the newest this version reads. Update mel_demo, or "
            "use weights exported by this version."
        )
    return value


def _known_model(key: str) -> str:
    if key not in MODEL_KEYS:
        raise say(f"unknown model; known are {', '.join(MODEL_KEYS)}.")
    return key


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Manifest:
    """All released models by key, and how far they agree: ``agreement[split][name]``.

    ``map_overlap``: how far the maps of teacher and student do, where that was measured.
    """

    format: Annotated[Positive, AfterValidator(_known_format)]
    created: Text
    exported_by: Origin | None = optional()
    agreement: Metrics
    models: dict[Annotated[str, AfterValidator(_known_model)], ModelSpec]
    map_overlap: MapOverlap | None = optional()

    @field_validator("models")
    @classmethod
    def _in_one_order(cls, models: dict[str, ModelSpec]) -> dict[str, ModelSpec]:
        """One order everywhere, whatever the file's: the page and the table show it."""
        for key in REQUIRED_MODELS:
            if key not in models:
                raise absent(key)
        return {key: replace(models[key], key=key) for key in MODEL_KEYS if key in models}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def version(self) -> str:
        """Short name of these weights, "2026-11-23-1f3a9c07": their day, and digits of the SHA-256
        of their files' SHA-256."""
        digests = "".join(spec.sha256 for spec in self.models.values())
        return f"{self.created[:10]}-{hashlib.sha256(digests.encode()).hexdigest()[:8]}"

    def chosen(self, keys: Collection[str]) -> dict[str, ModelSpec]:
        """The models named, in the manifest's order; all where none is.

        SettingError where one is not released, or where none of them refuses other pictures though
        another would.
        """
        for key in keys:
            if key not in self.models:
                raise SettingError(
                    f"There is no model {key!r} in these weights. They hold "
                    f"{', '.join(self.models)}."
                )
        found = {key: spec for key, spec in self.models.items() if key in keys or not keys}
        refusing = [key for key, spec in self.models.items() if spec.ood is not None]
        if refusing and found.keys().isdisjoint(refusing):
            raise SettingError(
                f"{', '.join(found)} would judge whatever picture as if it were a dermoscopy "
                f"image. Name {' or '.join(refusing)} as well, which tells."
            )
        return found
