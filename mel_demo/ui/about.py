"""What is known of the models, all from the manifest: data, measurements, limits, licence.

Knows HTML and the manifest; no figures and no Gradio.
"""

from html import escape

from mel_demo.manifest import Manifest, ModelSpec
from mel_demo.ui import words


def about(manifest: Manifest) -> str:
    """Data, models, limits and licence, all from the manifest."""
    spec = manifest.models["teacher"]
    data = spec.data
    images = data["images"]
    melanomas = data["melanomas"]["holdout"] / images["holdout"]
    rows = "".join(
        f'<tr><th scope="row">{words.ROLES[key]} <small>{escape(words.architecture(model))}</small>'
        f"</th><td>{_auc(model)}</td><td>{model.parameters / 1e6:.1f} M</td>"
        f"<td>{model.bytes / 1e6:.1f} MB</td></tr>"
        for key, model in manifest.models.items()
    )
    starts = "; ".join(
        f"{words.ROLES[key].lower()}: {escape(str(model.training.get('init', 'not recorded')))}"
        for key, model in manifest.models.items()
    )
    return f"""
<table class="models"><thead><tr><th scope="col">Model</th><th scope="col">ROC-AUC on holdout</th>
<th scope="col">Parameters</th><th scope="col">Size</th></tr></thead><tbody>{rows}</tbody></table>
<ul>
<li><b>Data.</b> {escape(data["name"])} (doi {escape(data["doi"])}, {escape(data["licence"])}),
split by lesion: {images["train"]:,} images for training, {images["validation"]:,} for choosing,
{images["holdout"]:,} kept aside for the numbers above.{_more_data(data)}</li>
{_elsewhere(manifest)}<li><b>Who it was not made for.</b>
The data show almost only light skin, through a dermatoscope, in few countries. A phone photograph,
darker skin or a diagnosis outside the seven classes is outside what was measured.</li>
<li><b>How rare melanoma is matters.</b> {words.percent(melanomas)} of these images show one.
In a general population it is far rarer, and far fewer referrals would turn out to be melanoma.</li>
<li><b>Probabilities</b> {_calibration(manifest)}</li>
<li><b>Evidence maps</b> (Grad-CAM) show what the network weighed, not where disease is.</li>
<li><b>Your image</b> is judged in memory; the copy the browser uploads is deleted from the server
within minutes. Nothing is recorded.</li>
<li><b>Starting weights.</b> {starts}.</li>
<li><b>Licence.</b> Code Apache-2.0; weights for non-commercial research, as the data. Weights of
{escape(manifest.created[:10])}, commit {escape(spec.source_commit[:12])}.</li>
</ul>"""


def _more_data(data: dict) -> str:
    """What else was learned from, as a sentence."""
    parts = [f"{count:,} images of {escape(name)}" for name, count in data.get("more", {}).items()]
    return f" Training also used {' and '.join(parts)}." if parts else ""


def _elsewhere(manifest: Manifest) -> str:
    """What images of other clinics say, where they were measured."""
    found = {key: spec for key, spec in manifest.models.items() if "external" in spec.metrics}
    if not found:
        return ""
    aside = next(iter(found.values())).data["external"]
    measured = "; ".join(
        f"{words.ROLES[key].lower()} {_auc(spec, 'external')}" for key, spec in found.items()
    )
    return (
        f"<li><b>Other clinics and cameras.</b> ROC-AUC on {aside['images']:,} images of "
        f"{escape(aside['name'])} ({aside['melanomas']} melanomas), kept out of training: "
        f"{measured}.</li>\n"
    )


def _calibration(manifest: Manifest) -> str:
    if all(spec.temperature == 1 for spec in manifest.models.values()):
        return (
            "are the models' own and not calibrated: read them against the threshold, not as odds."
        )
    errors = "; ".join(
        f"{words.ROLES[key].lower()} {words.share(spec.metrics['holdout']['ece'])}"
        for key, spec in manifest.models.items()
    )
    return (
        "are calibrated with one temperature a model. On holdout they are off by, on average "
        f"(ECE): {errors}. Where melanoma is rarer than in these images, they are too high."
    )


def _auc(spec: ModelSpec, split: str = "holdout") -> str:
    found = spec.metrics[split]["roc_auc"]
    return f"{found.value:.3f} ({found.low:.3f}–{found.high:.3f})"
