"""Model cards: what a released model is and is not, in Markdown, from the manifest alone."""

from pathlib import Path

from mel_demo.decision.operating_point import choose
from mel_demo.manifest import CLASS_NAMES, TARGETS, ModelSpec
from training.words import CLASS_METRICS, METRICS, PERCENT, SETTINGS, megabytes, show

PURPOSE = f"""A classifier of dermoscopic images into seven diagnoses ({", ".join(CLASS_NAMES)}),
used to screen for melanoma. **For research and demonstration only: not a medical device, and no
basis for a decision about a patient.**
"""
_DERMOSCOPY = {
    "validation": "dermoscopy: validation (chosen on)",
    "holdout": "dermoscopy: holdout",
    "external": "dermoscopy: other clinics",
    "archive": "dermoscopy: other clinics, archive",
}
# Starting weights whose name would mislead.
_STARTS = {
    "efficientnet_b1_grown": "This file is not a published ImageNet EfficientNet: it was grown, in "
    "the manner of Net2Net, from timm's mobilenetv2_100 (ImageNet weights, Apache-2.0).",
}


def model_card(spec: ModelSpec) -> str:
    """The card of one model; every number in it is the manifest's."""
    return f"""---
license: cc-by-nc-4.0
library_name: onnxruntime
pipeline_tag: image-classification
tags: [dermoscopy, melanoma, research]
---

# mel_demo {spec.key}: {spec.architecture}

{PURPOSE}
{measured(spec)}{_quantisation(spec)}"""


def measured(spec: ModelSpec) -> str:
    """What the file is, its data, what was measured, and its limits: Markdown without a title."""
    data, training = spec.data, spec.training
    holdout = spec.operating_table.holdout_lesions
    more = "".join(
        f" Also learned from: {count} images of {name}." for name, count in data.more.items()
    )
    share = 100 * data.melanomas.holdout / data.images.holdout
    rows = "\n".join(
        f"| {words} | {show(spec.metrics['holdout'][name], name in PERCENT)} "
        f"| {show(spec.metrics['validation'][name], name in PERCENT)} |"
        for name, words in METRICS.items()
    )
    return f"""
- File: `{spec.file}`, {megabytes(spec.bytes)} MB, {spec.parameters / 1e6:.2f} million parameters,
  SHA-256 `{spec.sha256}`.
- Input `image`: RGB, {spec.preprocessing.size} x {spec.preprocessing.size}, the image's centre
  (longer side at most {spec.preprocessing.max_aspect_ratio:g} times the shorter), bilinear.
  Outputs: `logits`, and `cam`, the LayerCAM map of each class's log-odds{_distance_output(spec)}.
- Recipe `{spec.recipe}` at commit `{spec.source_commit}`, seed
  {training.seed}, {training.epochs} epochs (the best by validation ROC-AUC is kept),
  {training.hours:.2f} hours on {training.hardware}.
- Starting weights: {_start(training.init)}
{_teachers(training.teacher)}
## Data

{data.name} (doi {data.doi}), licence {data.licence}: the weights are released for
non-commercial research under the same terms. Split by lesion: {data.images.train} images for
training, {data.images.validation} for validation (epochs and thresholds are chosen there),
{data.images.holdout} for holdout. Splits file SHA-256 `{data.splits_sha256}`.{more}

## Measured

Holdout: {data.images.holdout} images of {holdout.melanoma} melanomas and {holdout.other}
other lesions. In brackets 95 % intervals by bootstrap over lesions. The 95 % setting is the largest
threshold that catches at least 95 % of the melanoma images of validation.

| | holdout | validation |
| --- | --- | --- |
{rows}
{_elsewhere(spec)}{_skin_cancer(spec)}{_classes(spec)}{_refusals(spec)}{_groups(spec)}{_maps(spec)}
## Limits

- Trained on public collections, mostly of light skin, taken with dermatoscopes in few countries;
  phone photographs and other skin were not measured.
- {share:.0f} % of the holdout images are melanomas. Where melanoma is rarer, even more of the
  referrals are false alarms: predictive values do not carry over.
- Probabilities are calibrated by one temperature ({spec.temperature:.3f}), fitted on validation:
  they hold for images and a share of melanomas like those of validation.
- The evidence map shows what the network weighed, not where disease is.
"""


def _groups(spec: ModelSpec) -> str:
    """For whom it works, where that was measured."""
    if spec.evidence is None:
        return ""
    rows = "".join(
        f"| {division}: {group.name}{' (few)' if group.small else ''} | {group.images} "
        f"({group.melanomas}) | {show(group.roc_auc)} | {show(group.sensitivity, True)} "
        f"| {show(group.specificity, True)} |\n"
        for division, groups in spec.evidence.subgroups.items()
        for group in groups
    )
    band = spec.evidence.conformal
    return f"""
## For whom

Holdout by group, at the 95 % setting. "few": less than 20 lesions of either kind, too few to
conclude anything. HAM10000 does not say whose skin is dark.

| group | images (melanomas) | ROC-AUC | sensitivity | specificity |
| --- | --- | --- | --- | --- |
{rows}
Between "refer" and "no referral" lies a band where a human is needed, by split conformal prediction
on {len(band.melanoma)} melanomas and {band.other_lesions} other lesions of validation
(arXiv 1209.2673); `mel_demo.decision.conformal` says what it promises.
"""


def _maps(spec: ModelSpec) -> str:
    """How far its evidence maps can be believed, where that was measured."""
    found = spec.evidence and spec.evidence.faithfulness
    if not found:
        return ""
    compared = "road" in found.methods[found.served]
    rows = "".join(
        f"| {name}{' (served)' if name == found.served else ''} | "
        f"{show(measures['energy_in_lesion'], True)} | {show(measures['pointing_game'], True)} "
        f"| {show(measures['road']) if compared else 'not measured'} |\n"
        for name, measures in found.methods.items()
    )
    more = (
        'and ROAD in log-odds (arXiv 2202.00449, on fewer images). "random" is noise, "centre" a '
        "blob in\nthe middle."
        if compared
        else "of the maps that this file gives; ROAD and other methods were not measured on it."
    )
    return f"""
## Evidence maps

On {found.images} holdout images with lesion masks, half of them melanomas where there are enough:
share of the map inside the lesion (arXiv 1910.01279), strongest point inside it (arXiv 1608.00507),
{more}

| maps | inside the lesion | pointing game | ROAD |
| --- | --- | --- | --- |
{rows}"""


def _teachers(folders: str | None) -> str:
    """Which runs it was distilled from, by the names of their folders."""
    if not folders:
        return ""
    names = ", ".join(Path(folder.strip()).name for folder in folders.split(","))
    return f"- Distilled from {names} (arXiv 1503.02531), beside the labels.\n"


def _elsewhere(spec: ModelSpec) -> str:
    """What other clinics' images say, where they were measured."""
    found, data = spec.metrics.get("external"), spec.data.external
    if found is None or data is None:
        return ""
    return f"""
Other clinics and cameras: on {data.images} images of {data.name} ({data.melanomas}
melanomas), kept out of training, ROC-AUC {show(found["roc_auc"])}. At the same threshold
sensitivity is {show(found["sensitivity_at_95"], True)} and specificity
{show(found["specificity_at_95"], True)}: a threshold does not carry over to other cameras.
{_sources(spec)}"""


def _sources(spec: ModelSpec) -> str:
    """Each data set of other clinics for itself, where there are several."""
    found = (spec.evidence and spec.evidence.external_sources) or ()
    if len(found) < 2:
        return ""
    rows = "".join(
        f"| {group.name}{' (few)' if group.small else ''} | {group.images} ({group.melanomas}) "
        f"| {show(group.roc_auc)} | {show(group.sensitivity, True)} "
        f"| {show(group.specificity, True)} |\n"
        for group in found
    )
    return f"""
| data set | images (melanomas) | ROC-AUC | sensitivity | specificity |
| --- | --- | --- | --- | --- |
{rows}"""


def _skin_cancer(spec: ModelSpec) -> str:
    """The same file asked for any skin cancer, where that was measured."""
    if spec.skin_cancer is None:
        return ""
    found, table = spec.skin_cancer.metrics["holdout"], spec.skin_cancer.operating_table
    counts, lesions = table.rows[0].holdout, table.holdout_lesions
    elsewhere = spec.skin_cancer.metrics.get("external")
    outside = f" ROC-AUC elsewhere: {show(elsewhere['roc_auc'])}." if elsewhere else ""
    return f"""
## Any skin cancer

Melanoma, basal cell carcinoma and actinic keratosis together, by the sum of their probabilities:
{counts.melanomas} of the {counts.images} holdout images, of {lesions.melanoma} lesions. ROC-AUC
{show(found["roc_auc"])}. At its own 95 % setting, chosen on validation, sensitivity is
{show(found["sensitivity_at_95"], True)} and specificity {show(found["specificity_at_95"], True)}.
{outside}

Settings, each the largest threshold that catches that share of validation, on holdout:

| setting | melanoma: sensitivity | specificity | any skin cancer: sensitivity | specificity |
| --- | --- | --- | --- | --- |
{"".join(_setting(spec, aim) for aim in SETTINGS)}"""


def _setting(spec: ModelSpec, aim: float) -> str:
    """A line of the operating tables of both targets."""
    points = [choose(spec.target(name).operating_table, aim).row.holdout for name in TARGETS]
    cells = [
        show(rate, True) for found in points for rate in (found.sensitivity, found.specificity)
    ]
    return f"| {100 * aim:g} % | {' | '.join(cells)} |\n"


def _classes(spec: ModelSpec) -> str:
    """The seven diagnoses, where they were measured."""
    found, chosen = spec.metrics["holdout"], spec.metrics["validation"]
    if "balanced_accuracy" not in found:
        return ""
    rows = "".join(
        f"| {words} | {show(found[name], name in PERCENT)} "
        f"| {show(chosen[name], name in PERCENT) if name in chosen else 'not measured'} |\n"
        for name, words in CLASS_METRICS.items()
    )
    return f"""
## Seven diagnoses

| | holdout | validation |
| --- | --- | --- |
{rows}"""


def _quantisation(spec: ModelSpec) -> str:
    """How an INT8 file was made."""
    made = spec.quantisation
    if made is None:
        return ""
    correlation = (
        ""
        if made.map_correlation is None
        else " On validation the melanoma evidence maps correlate with the student's by "
        f"{made.map_correlation:.3f} on average."
    )
    return f"""
## Quantisation

Made from the student of the same release by ONNX Runtime's static quantisation (QDQ), without
further training: {made.settings}. Chosen on validation among the candidates of
`training/release/int8.py`.{correlation}
"""


def _distance_output(spec: ModelSpec) -> str:
    return "" if spec.ood is None else "; `distance`, from the images learned from"


def _refusals(spec: ModelSpec) -> str:
    """What the file takes for no dermoscopy image, where that was measured."""
    if spec.ood is None:
        return ""
    found = spec.ood
    rows = "\n".join(
        f"| {words.get(name, name)} | {counts.refused} of {counts.images} "
        f"| {show(counts.rate, True)} |"
        for words, part in ((_DERMOSCOPY, found.dermoscopy), ({}, found.others))
        for name, counts in part.items()
    )
    reference = " and ".join(f"{count} images of {name}" for name, count in found.reference.items())
    return f"""
## Not a dermoscopy image

Where `distance` is above {found.threshold:.3f} the image is refused, and no verdict is given; so is
an image without colours.
Distance: {found.method}. Reference: {reference}. Threshold: {found.rule}. Refused, with exact
(Clopper-Pearson) 95 % intervals:

| images | refused | share |
| --- | --- | --- |
{rows}

These other pictures are the half `report` of `training/data/not_dermoscopy.py`: pictures that come
with scikit-image, scikit-learn, matplotlib and gradio, drawings, and everyday photographs where a
folder of them was given. The distance was learned from the other half; none of these was used to
choose anything. Close-up photographs of skin without a dermatoscope were not measured.
"""


def _start(init: str) -> str:
    if init.startswith("best.safetensors"):
        return f"the best of an earlier run, {init}; the head of the recipe names it."
    notes = [note for name, note in _STARTS.items() if name in init]
    return " ".join([f"{init}.", *notes])
