"""Templates of the page, its figures and its report: one Jinja environment with autoescape."""

from functools import cache, partial
from typing import Any

import jinja2
from markupsafe import Markup

from mel_demo.texts import Texts


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("mel_demo", "ui/templates"),
                jinja2.PackageLoader("mel_demo", "pictures/templates"),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,  # it would look for changed files at every part of every answer
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, t: Texts, **values: Any) -> Markup:
    """A template filled in. ``t(key)`` is escaped; ``say(key)`` keeps a text's own tags and
    escapes what fills its places."""
    return Markup(_environment().get_template(template).render(t=t, say=partial(_say, t), **values))


def _say(t: Texts, key: str, **values: Any) -> Markup:
    return Markup(t.raw(key)).format(**values)
