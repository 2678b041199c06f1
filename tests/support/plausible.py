"""Made-up evidence shaped like the real one: as many images, lesions and melanomas as HAM10000 has.

Scores are drawn at random from two overlapping normal distributions of log-odds; operating table,
distribution, reliability, decision curve and conformal scores are then counted from them. Intervals
are binomial (normal approximation) and not the lesion bootstrap: nothing here measures a model.
"""

import math
from functools import cache

import numpy as np

from mel_demo.manifest import (
    CLASS_NAMES,
    FORMAT,
    METRIC_NAMES,
    Conformal,
    Counts,
    Data,
    Distribution,
    Evidence,
    Interval,
    Latency,
    Lesions,
    LesionsBySplit,
    Manifest,
    ModelSpec,
    NetBenefit,
    OperatingRow,
    OperatingTable,
    Preprocessing,
    Rates,
    ReliabilityBin,
    SplitSizes,
    Training,
    Yield,
)

VALIDATION, HOLDOUT = (167, 1336), (166, 1353)
LESIONS = Lesions(melanoma=92, other=1029)
_SEPARATION = {"teacher": 2.9, "student": 2.6}
_EDGES = (0.0, *(1 / (1 + np.exp(-np.arange(-6, 4.01, 0.5)))).round(6).tolist(), 1.0)


def share(part: int, whole: int) -> Interval:
    """part / whole with a binomial 95 % interval."""
    if not whole:
        return Interval(None, None, None)
    value = part / whole
    error = 1.96 * math.sqrt(value * (1 - value) / whole)
    return Interval(value, max(0.0, value - error), min(1.0, value + error))


def scores(key: str, sizes: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of melanomas and of others."""
    rng = np.random.default_rng([seed, len(key)])
    log_odds = [
        rng.normal(mean, 1.5, size)
        for mean, size in zip((_SEPARATION[key] - 3.4, -3.4), sizes, strict=True)
    ]
    return tuple(1 / (1 + np.exp(-values)) for values in log_odds)


def counted(melanoma: np.ndarray, other: np.ndarray, threshold: float) -> Counts:
    """Images by decision and truth."""
    tp, fp = int((melanoma >= threshold).sum()), int((other >= threshold).sum())
    return Counts(tp=tp, fp=fp, fn=len(melanoma) - tp, tn=len(other) - fp)


def rates(counts: Counts) -> Rates:
    """The four rates of some counts."""
    return Rates(
        sensitivity=share(counts.tp, counts.melanomas),
        specificity=share(counts.tn, counts.others),
        ppv=share(counts.tp, counts.tp + counts.fp),
        npv=share(counts.tn, counts.tn + counts.fn),
    )


def yields(counts: Counts) -> Yield:
    """Some counts with their rates."""
    return Yield(**vars(counts), **vars(rates(counts)))


@cache
def table(key: str = "teacher") -> OperatingTable:
    """One row for each validation melanoma's score."""
    validation, holdout = scores(key, VALIDATION, 1), scores(key, HOLDOUT, 2)
    rows = []
    for threshold in sorted(validation[0].tolist(), reverse=True):
        measured = counted(*holdout, threshold)
        row = OperatingRow(threshold, counted(*validation, threshold), yields(measured))
        rows.append(row)
    return OperatingTable("made up", LesionsBySplit(LESIONS, LESIONS), tuple(rows))


@cache
def evidence(key: str = "teacher") -> Evidence:
    """Evidence of one model, counted from its scores."""
    melanoma, other = scores(key, HOLDOUT, 2)
    return Evidence(
        distribution=Distribution(
            _EDGES, *(tuple(np.histogram(v, _EDGES)[0].tolist()) for v in (melanoma, other))
        ),
        reliability=_reliability(melanoma, other),
        net_benefit=_net_benefit(melanoma, other),
        subgroups={},
        conformal=_conformal(*scores(key, VALIDATION, 1)),
    )


def _reliability(melanoma: np.ndarray, other: np.ndarray) -> tuple[ReliabilityBin, ...]:
    bins = []
    for low, high in zip(np.linspace(0, 0.9, 10), np.linspace(0.1, 1, 10), strict=True):
        inside = [values[(values >= low) & (values < high)] for values in (melanoma, other)]
        pooled = np.concatenate(inside)
        if len(pooled):
            observed = share(len(inside[0]), len(pooled))
            bins.append(
                ReliabilityBin(float(low), float(high), len(pooled), float(pooled.mean()), observed)
            )
    return tuple(bins)


def _net_benefit(melanoma: np.ndarray, other: np.ndarray) -> tuple[NetBenefit, ...]:
    total, curve = len(melanoma) + len(other), []
    for threshold in np.arange(1, 51) / 100:
        counts, odds = counted(melanoma, other, threshold), threshold / (1 - threshold)
        value = (counts.tp - counts.fp * odds) / total
        error = 1.96 * math.sqrt((counts.tp + counts.fp * odds**2) / total**2)
        model = Interval(value, value - error, value + error)
        refer_all = (len(melanoma) - len(other) * odds) / total
        curve.append(NetBenefit(float(threshold), model, refer_all))
    return tuple(curve)


def _conformal(melanoma: np.ndarray, other: np.ndarray) -> Conformal:
    lowest = [min(part) for part in np.array_split(melanoma, LESIONS.melanoma)]
    highest = sorted(max(part) for part in np.array_split(other, LESIONS.other))
    rank = math.ceil((LESIONS.other + 1) * 0.9)
    return Conformal(
        tuple(sorted(map(float, lowest))), 0.1, float(highest[rank - 1]), LESIONS.other
    )


@cache
def manifest() -> Manifest:
    """Both models; only what figures and settings read is filled in."""
    models = {key: _spec(key) for key in _SEPARATION}
    return Manifest(format=FORMAT, created="2026-01-01T00:00:00+00:00", models=models, agreement={})


def _spec(key: str) -> ModelSpec:
    return ModelSpec(
        key=key,
        file=f"{key}.onnx",
        sha256="0" * 64,
        bytes=1,
        architecture="none",
        parameters=1,
        recipe="none",
        source_commit="0" * 40,
        class_names=CLASS_NAMES,
        temperature=1.0,
        preprocessing=Preprocessing(160, 1.2, (0.0,) * 3, (1.0,) * 3),
        metrics=dict.fromkeys(("validation", "holdout"), dict.fromkeys(METRIC_NAMES, share(1, 2))),
        operating_table=table(key),
        data=Data(
            name="made up",
            licence="none",
            doi="none",
            images=SplitSizes(1, sum(VALIDATION), sum(HOLDOUT)),
            melanomas=SplitSizes(1, VALIDATION[0], HOLDOUT[0]),
            splits_sha256="0" * 64,
        ),
        training=Training(epochs=1, seed=0, hours=0, hardware="none", init="none"),
        latency=Latency(milliseconds=0, note="not measured"),
        evidence=evidence(key),
    )
