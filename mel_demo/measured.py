"""What was measured of a model beyond its operating table, as frozen data read from the manifest.

Holdout measurements for the page to draw, validation quantiles for the uncertain band, and the
threshold from which on an image is no dermoscopy image. Knows neither how they were measured
(``training.measure.profile``, ``training.release.distance``) nor how they are drawn (``figures``).
"""

import math
from dataclasses import dataclass

from mel_demo.checked_json import Node


@dataclass(frozen=True)
class Interval:
    """A measured number and its 95 % interval; all three None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Distribution:
    """How many holdout images got which melanoma probability.

    ``edges``: n + 1 probabilities in ascending order, from 0 to 1; a bin holds its lower edge, the
    last one its upper edge too. ``melanoma``, ``other``: images in each of the n bins.
    """

    edges: tuple[float, ...]
    melanoma: tuple[int, ...]
    other: tuple[int, ...]


@dataclass(frozen=True)
class ReliabilityBin:
    """Holdout images whose melanoma probability lies between ``low`` and ``high``.

    ``predicted``: their mean probability. ``observed``: the share of them that are melanomas.
    """

    low: float
    high: float
    images: int
    predicted: float
    observed: Interval


@dataclass(frozen=True)
class NetBenefit:
    """One point of a decision curve on holdout.

    From Vickers and Elkin 2006 (doi 10.1177/0272989X06295361).

    ``threshold``: the probability from which on a person would refer. ``model``: net benefit of
    referring by the model, ``refer_all``: of referring everyone; referring no one is 0. Unit: true
    positives for each image, false positives already taken off.
    """

    threshold: float
    model: Interval
    refer_all: float


@dataclass(frozen=True)
class Subgroup:
    """Holdout images of one group, at the 95 % setting where a threshold is needed.

    ``small``: too few melanomas or others to conclude anything.
    """

    name: str
    images: int
    lesions: int
    melanomas: int
    roc_auc: Interval
    sensitivity: Interval
    specificity: Interval
    small: bool


@dataclass(frozen=True)
class Conformal:
    """Validation probabilities for a split conformal band (Vovk 2012, arXiv 1209.2673).

    ``melanoma``: for each melanoma lesion its lowest melanoma probability, ascending.
    ``other_alpha``: the share of other lesions that may lie above ``other_upper``, the conformal
    quantile of ``other_lesions`` lesions' highest melanoma probabilities.
    """

    melanoma: tuple[float, ...]
    other_alpha: float
    other_upper: float
    other_lesions: int


@dataclass(frozen=True)
class Faithfulness:
    """How far evidence maps of holdout images can be believed, by method and measure.

    ``methods[method][measure]``, e.g. methods["LayerCAM"]["energy_in_lesion"]; the methods
    "random" and "centre" know nothing of the image. ``served``: the method of the maps on the page.
    """

    images: int
    served: str
    methods: dict[str, dict[str, Interval]]


@dataclass(frozen=True)
class MapOverlap:
    """Overlaps (0..1) of teacher's and student's melanoma maps on validation images.

    ``usual``: the median of one image's two maps. ``chance``: what 95 % of pairs of maps of two
    different images stay below. ``images``: how many were measured.
    """

    usual: float
    chance: float
    images: int


@dataclass(frozen=True)
class Evidence:
    """All of the above for one model."""

    distribution: Distribution
    reliability: tuple[ReliabilityBin, ...]
    net_benefit: tuple[NetBenefit, ...]
    subgroups: dict[str, tuple[Subgroup, ...]]
    conformal: Conformal
    faithfulness: Faithfulness | None = None


@dataclass(frozen=True)
class Refused:
    """How many of some images were taken for no dermoscopy images; ``rate`` with its interval."""

    refused: int
    images: int
    rate: Interval


@dataclass(frozen=True)
class OutOfDistribution:
    """From which distance on an image is no dermoscopy image, and how often that was right.

    The distance is the model file's output ``distance``: 1 is typical of the images learned from.
    ``threshold``: images above it are refused. ``method``, ``rule``: in words, how the distance is
    computed and how the threshold was chosen. ``reference``: images learned from, by data set.
    ``dermoscopy``: false alarms, by split (holdout, validation, external where measured).
    ``others``: pictures that are no dermoscopy images, by kind.
    """

    method: str
    rule: str
    threshold: float
    reference: dict[str, int]
    dermoscopy: dict[str, Refused]
    others: dict[str, Refused]


def read_interval(node: Node, low: float = -math.inf, high: float = math.inf) -> Interval:
    """An interval whose numbers lie in low..high; ManifestError naming the key otherwise."""
    parts = [node[key] for key in ("value", "low", "high")]
    numbers = [None if part.value is None else part.number(low, high) for part in parts]
    if (numbers[1] is None) != (numbers[2] is None):
        raise node.refuse("an interval: low and high are both given or both null")
    if numbers[0] is None and numbers[1] is not None:
        raise node.refuse("an interval: an undefined value has no low and high")
    # The value itself may lie outside: the bootstrap of an error such as ECE is biased upwards.
    if numbers[1] is not None and numbers[1] > numbers[2]:
        raise node.refuse("an interval: low is above high")
    return Interval(*numbers)


def read_evidence(node: Node) -> Evidence:
    """The manifest's ``models.<key>.evidence``; ManifestError naming the key that does not fit."""
    faithfulness = None
    if "faithfulness" in node.mapping():
        faithfulness = _faithfulness(node["faithfulness"])
    return Evidence(
        distribution=_distribution(node["distribution"]),
        reliability=tuple(_reliability_bin(item) for item in node["reliability"].elements()),
        net_benefit=tuple(_net_benefit(item) for item in node["net_benefit"].elements()),
        subgroups={
            name: tuple(_subgroup(item) for item in group.elements())
            for name, group in node["subgroups"].items()
        },
        conformal=_conformal(node["conformal"]),
        faithfulness=faithfulness,
    )


def read_ood(node: Node) -> OutOfDistribution:
    """The manifest's ``models.<key>.ood``; ManifestError naming the key that does not fit."""
    node["dermoscopy"]["holdout"]  # refuses when it is missing
    return OutOfDistribution(
        method=node["method"].text(),
        rule=node["rule"].text(),
        threshold=node["threshold"].number(low=0),
        reference={name: item.integer(low=1) for name, item in node["reference"].items()},
        dermoscopy={split: _refused(item) for split, item in node["dermoscopy"].items()},
        others={kind: _refused(item) for kind, item in node["others"].items()},
    )


def _refused(node: Node) -> Refused:
    images = node["images"].integer(low=1)
    refused = node["refused"].integer()
    if refused > images:
        raise node["refused"].refuse(f"at most {images}, the number of images")
    return Refused(refused, images, read_interval(node["rate"], 0, 1))


def _distribution(node: Node) -> Distribution:
    edges = _ascending(node["edges"])
    if len(edges) < 2 or (edges[0], edges[-1]) != (0, 1):
        raise node["edges"].refuse("probabilities from 0 to 1")
    counts = {
        name: tuple(item.integer() for item in node[name].elements(len(edges) - 1))
        for name in ("melanoma", "other")
    }
    return Distribution(edges, **counts)


def _reliability_bin(node: Node) -> ReliabilityBin:
    return ReliabilityBin(
        low=node["low"].number(0, 1),
        high=node["high"].number(0, 1),
        images=node["images"].integer(low=1),
        predicted=node["predicted"].number(0, 1),
        observed=read_interval(node["observed"], 0, 1),
    )


def _net_benefit(node: Node) -> NetBenefit:
    return NetBenefit(
        threshold=node["threshold"].number(0, 1),
        model=read_interval(node["model"], high=1),
        refer_all=node["refer_all"].number(high=1),
    )


def _subgroup(node: Node) -> Subgroup:
    if not isinstance(node["small"].value, bool):
        raise node["small"].refuse("true or false")
    return Subgroup(
        name=node["name"].text(),
        images=node["images"].integer(low=1),
        lesions=node["lesions"].integer(low=1),
        melanomas=node["melanomas"].integer(),
        **{
            name: read_interval(node[name], 0, 1)
            for name in ("roc_auc", "sensitivity", "specificity")
        },
        small=node["small"].value,
    )


def _conformal(node: Node) -> Conformal:
    return Conformal(
        melanoma=_ascending(node["melanoma"]),
        other_alpha=node["other_alpha"].number(0, 1),
        other_upper=node["other_upper"].number(0, 1),
        other_lesions=node["other_lesions"].integer(low=1),
    )


def _faithfulness(node: Node) -> Faithfulness:
    methods = {
        method: {name: read_interval(item) for name, item in measures.items()}
        for method, measures in node["methods"].items()
    }
    served = node["served"].text()
    if served not in methods:
        raise node["served"].refuse(f"one of the methods measured, {', '.join(methods)}")
    return Faithfulness(node["images"].integer(low=1), served, methods)


def read_map_overlap(node: Node) -> MapOverlap:
    """The manifest's ``map_overlap``; ManifestError naming the key that does not fit."""
    return MapOverlap(
        usual=node["usual"].number(0, 1),
        chance=node["chance"].number(0, 1),
        images=node["images"].integer(low=1),
    )


def _ascending(node: Node) -> tuple[float, ...]:
    values = tuple(item.number(0, 1) for item in node.elements())
    if not values or list(values) != sorted(values):
        raise node.refuse("a list of numbers from 0 to 1 in ascending order")
    return values
