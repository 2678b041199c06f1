"""The exact folder that becomes a model's repository on the Hub, and the card that introduces it.

Card, manifest, ONNX files, safetensors with timm's configuration, recipe, figure. Knows no network.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from timm.models import save_for_hf
from torch import nn

from mel_demo.manifest import CLASS_NAMES, FILE_NAME, Manifest, ModelSpec, verify_weights
from training.errors import PublishError
from training.files import write_text
from training.learn.run_folder import RECIPE
from training.release.cards import PURPOSE, measured
from training.release.origin import released_run
from training.report import svg
from training.report.plots import measured_roc
from training.words import DIAGNOSES, METRICS, PERCENT, megabytes, show

CARD = "README.md"
LICENCE_ID = "cc-by-nc-4.0"
"""As the Hub names it."""
_TAGS = ("timm", "onnx", "dermoscopy", "melanoma", "knowledge-distillation", "research")
_TEMPLATE = Path(__file__).parent / "templates" / "hub_card.md"
_EVALUATED = ("roc_auc", "average_precision", "sensitivity_at_95", "specificity_at_95", "ece")
REPOSITORIES = {"teacher": ("teacher",), "student": ("student", "student_int8")}
"""The models of each repository, the one that timm loads first."""


def build_repository(
    role: str,
    manifest: Manifest,
    weights: Path,
    run: Path,
    repos: dict[str, str],
    output: Path,
    unclean: bool = False,
) -> Path:
    """Write the repository of ``role`` ("teacher" or "student") to ``output`` (see ``emptied``).

    ``run``: the training run that the released file was exported from. Raises PublishError where
    something that belongs there is missing or does not fit, RunError for another run than the
    released file's, and WeightsError for a changed file.
    """
    specs = [manifest.models[key] for key in REPOSITORIES[role] if key in manifest.models]
    for spec in specs:
        verify_weights(spec, weights)
    network, record = released_run(run, specs[0], weights, f"--{role}-run")
    card = hub_card(specs, repos, record.recipe["source"]["repository"], unclean)
    card.save(emptied(output) / CARD)
    _save(network, specs[0], output)
    for spec in specs:
        shutil.copyfile(weights / spec.file, output / spec.file)
    shutil.copyfile(weights / FILE_NAME, output / FILE_NAME)
    shutil.copyfile(run / RECIPE, output / RECIPE)
    figure = measured_roc({spec.key: spec.operating_table for spec in specs})
    write_text(output / "roc.svg", svg.standalone(figure, "roc", "ROC curve on holdout"))
    return output


def _save(network: nn.Module, spec: ModelSpec, output: Path) -> None:
    """model.safetensors and config.json as timm reads them; matrices in half precision.

    Nothing is lost: ``training.learn.networks.as_released`` has rounded them so already.
    """
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.half()
    pre = spec.preprocessing
    save_for_hf(
        network,
        str(output),
        model_config={
            "label_names": list(CLASS_NAMES),
            "label_descriptions": DIAGNOSES,
            # In place of those of timm's ImageNet weights.
            "pretrained_cfg": {"tag": "ham10000", "license": LICENCE_ID},
        },
        safe_serialization=True,
        data_config={
            "input_size": (3, pre.size, pre.size),
            "mean": pre.mean,
            "std": pre.std,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
        },
    )


def emptied(folder: Path) -> Path:
    """``folder``, made or emptied; a card must be the first file that is written into it.

    By the front matter of its card an earlier build is known: PublishError for any other content,
    such as a training run, which would be lost.
    """
    card = folder / CARD
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        if not card.is_file() or not card.read_bytes().startswith(b"---"):
            raise PublishError(
                f"{folder} holds something else, which would be lost. Name a new folder with "
                "--output."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hub_card(
    specs: Sequence[ModelSpec], repos: Mapping[str, str], dataset: str, unclean: bool = False
) -> ModelCard:
    """The card of a repository that holds ``specs``: teacher, or student and its INT8 if any.

    ``repos``: the repositories by role. ``dataset``: that of the Hub it learned from. ``unclean``:
    the source tree had changes that are in no commit. Raises PublishError for an empty section.
    """
    first, int8 = specs[0], specs[1] if len(specs) > 1 else None
    repo = repos[first.key]
    card = ModelCard.from_template(
        _metadata(first, repos, dataset),
        str(_TEMPLATE),
        spec=first,
        int8=int8,
        int8_size=megabytes(int8.bytes) if int8 else "",
        compared=_compared(first, int8) if int8 else [],
        pre=first.preprocessing,
        melanoma=first.class_names.index("mel"),
        measured=re.sub(r"^##", "###", measured(first), flags=re.MULTILINE),
        purpose=PURPOSE,
        repo=repo,
        repos=repos,
        unclean=unclean,
    )
    if empty := empty_sections(card.text):
        raise PublishError(
            f"The card of {repo} has nothing under {', '.join(empty)}: the manifest does not say "
            f"it, or {_TEMPLATE.name} lacks it. Export the models again, or complete the template."
        )
    return card


def empty_sections(card: str) -> list[str]:
    """Headings that nothing follows before the next one that is not below them."""
    text = re.sub(r"^```.*?^```", "code", card, flags=re.DOTALL | re.MULTILINE)
    headings = list(re.finditer(r"^(#{1,4}) (.+)$", text, re.MULTILINE))
    empty = []
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        between = text[heading.end() : following.start() if following else None].strip()
        deeper = following is not None and len(following[1]) > len(heading[1])
        if not between and not deeper:
            empty.append(heading[2])
    return empty


def _compared(spec: ModelSpec, int8: ModelSpec) -> list[tuple[str, str, str]]:
    one, other = spec.metrics["holdout"], int8.metrics["holdout"]
    return [
        (words, show(one[name], name in PERCENT), show(other[name], name in PERCENT))
        for name, words in METRICS.items()
    ]


def _metadata(spec: ModelSpec, repos: Mapping[str, str], dataset: str) -> ModelCardData:
    results = [
        EvalResult(
            task_type="image-classification",
            task_name="melanoma against the rest",
            dataset_type=dataset,
            dataset_name=f"{spec.data.name}, holdout by lesion",
            dataset_split="holdout",
            metric_type=name,
            metric_name=METRICS[name],
            metric_value=round(value, 4),
        )
        for name in _EVALUATED
        if (value := spec.metrics["holdout"][name].value) is not None
    ]
    return ModelCardData(
        language="en",
        license=LICENCE_ID,
        library_name="timm",
        pipeline_tag="image-classification",
        tags=list(_TAGS),
        datasets=[dataset],
        base_model=repos["teacher"] if spec.key != "teacher" else None,
        model_name=repos[spec.key].split("/")[-1],
        eval_results=results,
    )
