"""The results table of README.md, generated from weights/manifest.json.

Stands between two HTML comments, so that a stale table can be found and replaced; the rest of the
file is not touched. Knows no model and measures nothing.
"""

from pathlib import Path

from mel_demo.manifest import Manifest, ModelSpec, load_manifest
from training.errors import TrainingError
from training.files import write_text
from training.words import megabytes, show

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
COMMAND = "python -m training results"
_ELSEWHERE = {"external": "other clinics", "archive": "archive"}
"""Splits of images from elsewhere, and the column of each."""


def write_results(weights: Path, readme: Path, check: bool = False) -> bool:
    """Put the table of ``weights`` into ``readme``; True when it already stood there.

    With ``check`` nothing is written. Raises TrainingError when the file is missing or does not
    have both marks once and in order, ManifestError when the manifest does not fit.
    """
    table = results_table(load_manifest(weights))
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{readme} cannot be read: {error.strerror}.") from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise TrainingError(
            f"{readme} must hold {BEGIN} once and {END} once below it: the results table stands "
            "between them."
        )
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    wanted = f"{before}{BEGIN}\n{table}{END}{after}"
    if text != wanted and not check:
        write_text(readme, wanted)
    return text == wanted


def results_table(manifest: Manifest) -> str:
    """Markdown: one row a model, measured on holdout, with 95 % intervals; ends with a newline."""
    lines = [
        f"<!-- from the manifest, by `{COMMAND}`: do not edit -->",
        f"| model | ROC-AUC | {' | '.join(_ELSEWHERE.values())} "
        "| sensitivity | specificity | ECE | size | one image |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(spec) for spec in manifest.models.values()),
        "",
        _explained(manifest),
    ]
    return "\n".join(lines) + "\n"


def _row(spec: ModelSpec) -> str:
    found = spec.metrics["holdout"]
    cells = [
        f"{spec.key.replace('_', ' ')}, {spec.architecture}",
        show(found["roc_auc"]),
        *(
            show(spec.metrics[split]["roc_auc"]) if split in spec.metrics else "not measured"
            for split in _ELSEWHERE
        ),
        show(found["sensitivity_at_95"], percent=True),
        show(found["specificity_at_95"], percent=True),
        show(found["ece"]),
        f"{megabytes(spec.bytes)} MB",
        f"{spec.latency.milliseconds:.1f} ms",
    ]
    return f"| {' | '.join(cells)} |"


def _explained(manifest: Manifest) -> str:
    spec = next(iter(manifest.models.values()))
    table = spec.operating_table
    counts, lesions = table.rows[0].holdout, table.holdout_lesions
    agreed = manifest.agreement.get("holdout", {}).get("same_decision_at_95")
    agreement = (
        f" Teacher and student decide alike for {show(agreed, percent=True)} of the images."
        if agreed
        else ""
    )
    elsewhere = "".join(_elsewhere(manifest, split) for split in _ELSEWHERE)
    return (
        f"Melanoma against the rest on the holdout split of {spec.data.name}: {counts.images} "
        f"images ({counts.melanomas} melanomas) of {lesions.melanoma + lesions.other} lesions that "
        "no training saw. Sensitivity and specificity at the 95 % setting, the largest threshold "
        "that catches at least 95 % of the validation melanomas; in brackets 95 % intervals by "
        f"bootstrap over lesions.{elsewhere}{agreement} Milliseconds: {spec.latency.note}."
    )


def _elsewhere(manifest: Manifest, split: str) -> str:
    """What a column of ROC-AUC was measured on, and how many alarms the 95 % setting gives there:
    a threshold does not carry over."""
    measured = {key: spec for key, spec in manifest.models.items() if split in spec.metrics}
    if not measured:
        return ""
    aside = getattr(next(iter(measured.values())).data, split)
    alarms = ", ".join(
        f"{key.replace('_', ' ')} {show(spec.metrics[split]['specificity_at_95'], percent=True)}"
        for key, spec in measured.items()
    )
    return (
        f" {_ELSEWHERE[split].capitalize()}: ROC-AUC on {aside.images} images of {aside.name} "
        f"({aside.melanomas} melanomas), which no training saw either; specificity there at the "
        f"same thresholds: {alarms}."
    )
