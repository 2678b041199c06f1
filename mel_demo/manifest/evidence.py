"""What was measured of a model beyond its operating table.

Measurements for the page to draw, validation quantiles for the uncertain band, and the threshold
from which on an image is no dermoscopy image. Knows neither how they were measured
(``training.measure.profile``, ``training.release.distance``) nor how they are drawn.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from mel_demo.manifest.checks import (
    CONFIG,
    Ascending,
    Count,
    NotNegative,
    Positive,
    Probability,
    Share,
    Text,
    absent,
    ascending,
    digits,
    optional,
    refuse,
    refused_as,
)
from mel_demo.manifest.operating import Interval, Metrics, ShareMeasure, interval


@dataclass(frozen=True, config=CONFIG)
class Distribution:
    """How many holdout images got which melanoma probability.

    ``edges``: n + 1 probabilities in ascending order, from 0 to 1; a bin holds its lower edge, the
    last one its upper edge too. ``melanoma``, ``other``: images in each of the n bins.
    """

    edges: Annotated[tuple[Share, ...], AfterValidator(ascending)]
    melanoma: tuple[Count, ...]
    other: tuple[Count, ...]

    @model_validator(mode="after")
    def _binned(self) -> "Distribution":
        if len(self.edges) < 2 or (self.edges[0], self.edges[-1]) != (0, 1):
            raise refuse("probabilities from 0 to 1", "edges")
        for name in ("melanoma", "other"):
            if len(getattr(self, name)) != len(self.edges) - 1:
                wanted = f"a list of {len(self.edges) - 1}"
                raise refuse(wanted, name)
        return self


@dataclass(frozen=True, config=CONFIG)
class ReliabilityBin:
    """Holdout images whose melanoma probability lies between ``low`` and ``high``.

    ``predicted``: their mean probability. ``observed``: the share of them that are melanomas.
    """

    low: Share
    high: Share
    images: Positive
    predicted: Share
    observed: ShareMeasure


@dataclass(frozen=True, config=CONFIG)
class NetBenefit:
    """One point of a decision curve on holdout.

    From Vickers and Elkin 2006 (doi 10.1177/0272989X06295361).

    ``threshold``: the probability from which on a person would refer. ``model``: net benefit of
    referring by the model, ``refer_all``: of referring everyone; referring no one is 0. Unit: true
    positives for each image, false positives already taken off.
    """

    threshold: Share
    model: Annotated[Interval, interval(high=1, words="a finite number to 1")]
    refer_all: Annotated[
        float, Field(le=1, allow_inf_nan=False), refused_as("a finite number to 1"), digits(6)
    ]


@dataclass(frozen=True, config=CONFIG)
class Subgroup:
    """Holdout images of one group, at the 95 % setting where a threshold is needed.

    ``small``: too few melanomas or others to conclude anything.
    """

    name: Text
    images: Positive
    lesions: Positive
    melanomas: Count
    roc_auc: ShareMeasure
    sensitivity: ShareMeasure
    specificity: ShareMeasure
    small: bool


@dataclass(frozen=True, config=CONFIG)
class Conformal:
    """Validation probabilities for a split conformal band (Vovk 2012, arXiv 1209.2673).

    ``melanoma``: for each melanoma lesion its lowest melanoma probability, ascending.
    ``other_alpha``: the share of other lesions that may lie above ``other_upper``, the conformal
    quantile of ``other_lesions`` lesions' highest melanoma probabilities.
    """

    melanoma: Ascending
    other_alpha: Share
    other_upper: Probability
    other_lesions: Positive


@dataclass(frozen=True, config=CONFIG)
class Faithfulness:
    """How far evidence maps of holdout images can be believed, by method and measure.

    ``methods[method][measure]``, e.g. methods["LayerCAM"]["energy_in_lesion"]; the methods
    "random" and "centre" know nothing of the image. ``served``: the method of the maps on the page.
    Of an INT8 file there is that method alone, without "road".
    """

    images: Positive
    served: Text
    methods: Metrics

    @model_validator(mode="after")
    def _measured(self) -> "Faithfulness":
        if self.served not in self.methods:
            wanted = f"one of the methods measured, {', '.join(self.methods)}"
            raise refuse(wanted, "served")
        return self


@dataclass(frozen=True, config=CONFIG)
class MapOverlap:
    """Overlaps (0..1) of teacher's and student's melanoma maps on validation images.

    ``usual``: the median of one image's two maps. ``chance``: what 95 % of pairs of maps of two
    different images stay below. ``images``: how many were measured.
    """

    usual: Share
    chance: Share
    images: Positive


@dataclass(frozen=True, config=CONFIG)
class Scores:
    """The probabilities of a split's images by truth, one an image, ascending."""

    positive: Annotated[tuple[Annotated[Probability, digits(5)], ...], AfterValidator(ascending)]
    negative: Annotated[tuple[Annotated[Probability, digits(5)], ...], AfterValidator(ascending)]


@dataclass(frozen=True, config=CONFIG)
class Evidence:
    """What the page's figures show of one target.

    ``subgroups``: of holdout, by division. ``scores``: by split, holdout and external.
    ``external_sources``: the images of other clinics by the data set they come from.
    """

    distribution: Distribution
    reliability: tuple[ReliabilityBin, ...]
    net_benefit: tuple[NetBenefit, ...]
    subgroups: dict[str, tuple[Subgroup, ...]]
    conformal: Conformal
    faithfulness: Faithfulness | None = optional()
    scores: dict[str, Scores] | None = optional()
    external_sources: tuple[Subgroup, ...] | None = optional()


@dataclass(frozen=True, config=CONFIG)
class Refused:
    """How many of some images were taken for no dermoscopy images; ``rate`` with its interval."""

    refused: Count
    images: Positive
    rate: ShareMeasure

    @model_validator(mode="after")
    def _among(self) -> "Refused":
        if self.refused > self.images:
            wanted = f"at most {self.images}, the number of images"
            raise refuse(wanted, "refused")
        return self


@dataclass(frozen=True, config=CONFIG)
class OutOfDistribution:
    """From which distance on an image is no dermoscopy image, and how often that was right.

    The distance is the model file's output ``distance``: 1 is typical of the images learned from.
    ``threshold``: images above it are refused. ``method``, ``rule``: in words, how the distance is
    computed and how the threshold was chosen. ``reference``: images learned from, by data set.
    ``dermoscopy``: false alarms, by split (holdout, validation, and other clinics' where measured).
    ``others``: pictures that are no dermoscopy images, by kind.
    """

    method: Text
    rule: Text
    threshold: NotNegative
    reference: dict[str, Positive]
    dermoscopy: dict[str, Refused]
    others: dict[str, Refused]

    @model_validator(mode="after")
    def _on_holdout(self) -> "OutOfDistribution":
        if "holdout" not in self.dermoscopy:
            raise absent("dermoscopy", "holdout")
        return self
