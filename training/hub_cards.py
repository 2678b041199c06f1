"""The card of a repository on the Hub: a model's own card, how to use it, and metadata.

Words are in ``templates/hub_card.md``, every number is the manifest's. Knows no weights and no
network.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from mel_demo.manifest import ModelSpec
from training.cards import PURPOSE, measured
from training.errors import PublishError
from training.words import METRICS, PERCENT, megabytes, show

TEMPLATE = Path(__file__).parent / "templates" / "hub_card.md"
LICENCE = "cc-by-nc-4.0"
TAGS = ("timm", "onnx", "dermoscopy", "melanoma", "knowledge-distillation", "research")
_EVALUATED = ("roc_auc", "average_precision", "sensitivity_at_95", "specificity_at_95", "ece")


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
        str(TEMPLATE),
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
            f"it, or {TEMPLATE.name} lacks it. Export the models again, or complete the template."
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
            dataset_name=f"{spec.data['name']}, holdout by lesion",
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
        license=LICENCE,
        library_name="timm",
        pipeline_tag="image-classification",
        tags=list(TAGS),
        datasets=[dataset],
        base_model=repos["teacher"] if spec.key != "teacher" else None,
        model_name=repos[spec.key].split("/")[-1],
        eval_results=results,
    )
