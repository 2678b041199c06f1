"""What the page on the phone knows of the models and of words: compact JSON from the manifest.

Nothing here is measured or written for the phone alone: thresholds, counts and intervals come from
the manifest, limits and checks of the image from the modules that the server uses, words from the
same locale files.
"""

from dataclasses import asdict
from typing import Any

from mel_demo import __version__, findings, images
from mel_demo.decision import operating_point
from mel_demo.decision.neighbours import NEIGHBOURS
from mel_demo.manifest import Interval, Manifest, ModelSpec, OperatingRow
from mel_demo.texts import LANGUAGES, catalogue

_SHARED = ("phone_", "dx_", "refused", "under", "over")
"""Beginnings of the keys that the page takes of each language."""


def config(manifest: Manifest, spec: ModelSpec) -> dict[str, Any]:
    """What ``screen.js`` and the page read as config.json, of one model of ``manifest``."""
    table = spec.operating_table
    first = table.rows[0]
    return {
        "version": __version__,
        "created": manifest.created[:10],
        "commit": spec.source_commit,
        "model": {
            "key": spec.key,
            "file": spec.file,
            "architecture": spec.architecture,
            "bytes": spec.bytes,
            "sha256": spec.sha256,
        },
        "data": {name: getattr(spec.data, name) for name in ("name", "doi", "licence")},
        "classes": spec.class_names,
        "temperature": spec.temperature,
        "preprocessing": {
            "size": spec.preprocessing.size,
            "max_aspect_ratio": spec.preprocessing.max_aspect_ratio,
            "mean": spec.preprocessing.mean,
            "std": spec.preprocessing.std,
        },
        "limits": {"bytes": images.MAX_BYTES, "pixels": images.MAX_PIXELS},
        "targets": {
            "min": operating_point.MIN_TARGET,
            "max": operating_point.MAX_TARGET,
            "default": operating_point.DEFAULT_TARGET,
        },
        "neighbours": _neighbours(spec),
        "distribution": spec.evidence and asdict(spec.evidence.distribution),
        "table": {
            "validation": {"melanomas": first.validation.melanomas},
            "holdout": {
                "images": first.holdout.images,
                "melanomas": first.holdout.melanomas,
                "others": first.holdout.others,
                "lesions": table.holdout_lesions.melanoma + table.holdout_lesions.other,
            },
            "rows": [_row(row) for row in table.rows],
        },
        "ood": spec.ood and {"threshold": spec.ood.threshold},
        "findings": {
            "side": findings.WORKING_SIDE,
            "judged": findings.MOST_JUDGED_SHARE,
            # As on the server: only where some model's distance was measured.
            "colourless": findings.COLOURLESS
            if any(m.ood for m in manifest.models.values())
            else 0,
            "blurred": findings.BLURRED,
            "overexposed": findings.OVEREXPOSED,
            "underexposed": findings.UNDEREXPOSED,
            "inked": findings.INKED,
            "faint": findings.FAINT,
            "white": findings.WHITE,
            "bluer": findings.BLUER,
            "coarse": findings.COARSE,
        },
    }


def locales() -> dict[str, dict[str, str]]:
    """The page's words by language and key."""
    return {
        language: {
            key: text for key, text in catalogue(language).items() if key.startswith(_SHARED)
        }
        for language in LANGUAGES
    }


def _neighbours(spec: ModelSpec) -> dict[str, Any] | None:
    """All holdout scores, for "of N images that scored like this one": 5 kB when compressed."""
    scores = spec.evidence and spec.evidence.scores
    if not scores or "holdout" not in scores:
        return None
    found = scores["holdout"]
    return {"count": NEIGHBOURS, "positive": found.positive, "negative": found.negative}


def _row(row: OperatingRow) -> dict[str, Any]:
    rates = row.holdout_rates
    return {
        "threshold": row.threshold,
        "caught": row.validation.tp,
        "tp": row.holdout.tp,
        "fp": row.holdout.fp,
        "sensitivity": _bounds(rates.sensitivity),
        "specificity": _bounds(rates.specificity),
    }


def _bounds(interval: Interval) -> list[float | None]:
    return [interval.low, interval.high]
