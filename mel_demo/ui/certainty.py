"""How sure the models can be, as HTML: the uncertain band and what it was measured to do.

Knows no Gradio, no event and no model.
"""

from collections.abc import Mapping

from mel_demo.decision import conformal
from mel_demo.decision.conformal import Band
from mel_demo.manifest import Manifest
from mel_demo.texts import Texts


def bands(t: Texts, manifest: Manifest, found: Mapping[str, Band]) -> str:
    """What the band of each model promises, and what it did on holdout."""
    if not found:
        return ""
    said = "".join(
        f'<p class="caption {key}" data-band="{key}">{_says(t, manifest, key, band)}</p>'
        for key, band in found.items()
    )
    first = next(iter(found.values()))
    promise = t(
        "band_help",
        missed=t.setting(first.alpha),
        alarms=t.setting(first.other_alpha),
        melanomas=t.count(first.melanomas),
        others=t.count(first.others),
    )
    return f'<div class="bands">{said}</div><p class="muted">{promise}</p>'


def _says(t: Texts, manifest: Manifest, key: str, band: Band) -> str:
    counts = conformal.measured(manifest.models[key].operating_table, band)
    edges = t(
        "band_edges" if band.low > 0 else "band_none",
        role=t(f"role_{key}"),
        low=t.percent(band.low),
        high=t.percent(band.high),
    )
    measured = t(
        "band_measured" if counts.exact else "band_measured_at_most",
        missed=t.count(counts.melanomas_cleared),
        melanomas=t.count(counts.melanomas),
        alarms=t.count(counts.others_referred),
        others=t.count(counts.others),
        uncertain=t.percent(counts.uncertain / counts.images),
    )
    return f"{edges} {measured}"
