"""The tab "About": what is known of the models, all from the manifest.

Knows no figures and no Gradio.
"""

from markupsafe import Markup

from mel_demo.manifest import Data, Manifest
from mel_demo.pictures.markup import render
from mel_demo.texts import Texts, architecture

HAM10000_CITATION = (
    "Tschandl, Rosendahl and Kittler, The HAM10000 dataset, Scientific Data 5, 180161 (2018)"
)


def about(t: Texts, manifest: Manifest) -> Markup:
    """Models, data, limits, privacy, licence and citation."""
    return render(
        "about.html",
        t,
        models=manifest.models,
        architecture=architecture,
        points=_points(t, manifest),
    )


def _points(t: Texts, manifest: Manifest) -> list[tuple[str, str]]:
    spec = manifest.models["teacher"]
    data, images = spec.data, spec.data.images
    share = data.melanomas.holdout / images.holdout
    return [
        (
            t("about_data"),
            t(
                "about_data_more",
                name=data.name,
                doi=data.doi,
                licence=data.licence,
                train=t.count(images.train),
                validation=t.count(images.validation),
                holdout=t.count(images.holdout),
            )
            + _more_data(t, data),
        ),
        (t("about_elsewhere"), _elsewhere(t, manifest)),
        (t("about_rare"), t("about_rare_more", share=t.percent(share))),
        (t("about_probabilities"), _calibration(t, manifest)),
        (t("about_privacy"), t("about_privacy_more")),
        (
            t("about_start"),
            "; ".join(
                f"{t(f'role_{key}')}: {_start(t, model.training.init)}"
                for key, model in manifest.models.items()
            ),
        ),
        (
            t("about_licence"),
            t(
                "about_licence_more",
                created=manifest.created[:10],
                commit=spec.source_commit[:12],
            ),
        ),
        (t("about_citation"), HAM10000_CITATION if data.name == "HAM10000" else ""),
    ]


def _start(t: Texts, init: str) -> str:
    """What a model started from. Of a mean (`training average`) how many runs are in it, each of
    which the record names with its SHA-256: their names say nothing outside."""
    if "the mean of the weights of" not in init:
        return init
    return t("start_mean", count=init.count("(SHA-256"))


def _more_data(t: Texts, data: Data) -> str:
    """What else was learned from, as a sentence."""
    parts = [
        t("about_images_of", count=t.count(count), name=name) for name, count in data.more.items()
    ]
    return " " + t("about_more_data", parts=", ".join(parts)) if parts else ""


def _elsewhere(t: Texts, manifest: Manifest) -> str:
    """What images of other clinics say, a sentence a data set that was measured."""
    sentences = []
    for split in ("external", "archive"):
        found = {key: spec for key, spec in manifest.models.items() if split in spec.metrics}
        if not found:
            continue
        aside = getattr(next(iter(found.values())).data, split)
        sentences.append(
            t(
                "about_elsewhere_more",
                images=t.count(aside.images),
                name=aside.name,
                melanomas=t.count(aside.melanomas),
                measured="; ".join(
                    f"{t(f'role_{key}')} {t.measure(spec.metrics[split]['roc_auc'])}"
                    for key, spec in found.items()
                ),
            )
        )
    return " ".join(sentences)


def _calibration(t: Texts, manifest: Manifest) -> str:
    if all(spec.temperature == 1 for spec in manifest.models.values()):
        return t("about_uncalibrated")
    errors = "; ".join(
        f"{t(f'role_{key}')} {t.share(spec.metrics['holdout']['ece'])}"
        for key, spec in manifest.models.items()
    )
    return t("about_calibrated", errors=errors)
