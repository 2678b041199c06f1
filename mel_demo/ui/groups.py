"""For whom the models were measured, and for whom not, as HTML: everything from the manifest.

Knows no Gradio and no event.
"""

from collections.abc import Mapping
from html import escape

from mel_demo.manifest import Manifest, Subgroup
from mel_demo.texts import Texts

SHOWN = ("teacher", "student")


def groups(t: Texts, manifest: Manifest) -> str:
    """A table for each way of dividing the holdout images, groups down and models across."""
    measured = {
        key: manifest.models[key].evidence.subgroups
        for key in SHOWN
        if manifest.models[key].evidence is not None
    }
    plain = f'<ul class="plain">{"".join(f"<li>{t(key)}</li>" for key in _PLAIN)}</ul>'
    if not measured:
        return plain
    tables = "".join(_table(t, name, measured) for name in next(iter(measured.values())))
    return f'{plain}<p class="muted">{t("groups_note")}</p>{tables}'


_PLAIN = ("groups_skin", "groups_diagnoses", "groups_phone", "groups_rare")


def _table(t: Texts, name: str, measured: Mapping[str, dict[str, tuple[Subgroup, ...]]]) -> str:
    heads = "".join(
        f'<th scope="col">{t(f"role_{key}")}: {t(rate)}</th>'
        for rate in ("sensitivity_term", "specificity_term")
        for key in measured
    )
    rows = ""
    for place, group in enumerate(next(iter(measured.values()))[name]):
        cells = "".join(
            f'<td class="{key}" data-rate="{rate}" data-label="{t(f"role_{key}")}, '
            f'{t(f"{rate}_term")}">{t.share(getattr(found[name][place], rate))}</td>'
            for rate in ("sensitivity", "specificity")
            for key, found in measured.items()
        )
        counts = t(
            "groups_counts", images=t.count(group.images), melanomas=t.count(group.melanomas)
        )
        small = f' <em class="few">{t("groups_small")}</em>' if group.small else ""
        label = escape(t.get(f"group_{group.name}", group.name))
        rows += (
            f'<tr class="{"few-cases" if group.small else ""}" data-group="{escape(group.name)}">'
            f'<th scope="row">{label}{small}<small>{counts}</small></th>{cells}</tr>'
        )
    return (
        f'<h3>{escape(t.get(f"groups_{name}", name))}</h3><table class="groups" '
        f'data-by="{escape(name)}"><thead><tr><th scope="col">{t("group")}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
