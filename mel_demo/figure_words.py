"""The words and numbers of all figures, in a language that the caller chooses. Pure.

A figure takes its words as a mapping with the keys of ENGLISH, and writes numbers as they say.
"""

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    # Decimal and thousands separator, as Plotly writes them.
    "separators": ".,",
    # A share in percent, {} being the number; {} further down is such a share.
    "percent": "{} %",
    "under": "under {}",
    # Axis titles, up to about 40 letters (<br> breaks a line). Hovers take Plotly's %{...}: x and y
    # are the axes' values, customdata as said.
    "roc_x": "False alarms (other lesions referred)",
    "roc_y": "Melanomas caught",
    "roc_hover": "caught %{y:.1%}, false alarms %{x:.1%}",
    "roc_chosen": "at this setting",
    "reliability_x": "Melanoma probability by the model",
    "reliability_y": "Share that was melanoma",
    "reliability_ideal": "ideal",
    # customdata: images, then low and high of the interval.
    "reliability_hover": "model %{x:.1%}, melanoma %{y:.1%} "
    "(%{customdata[1]:.1%} to %{customdata[2]:.1%}) of %{customdata[0]} images",
    "decision_x": "Refer from this melanoma probability on",
    "decision_y": "Net melanomas found in 1,000 images",
    "decision_hover": "%{y:.0f} in 1,000 when referring from %{x:.0%}",
    "decision_all": "refer everyone",
    "decision_none": "refer no one",
    "scores_x": "Melanoma probability",
    # Beside half the figure's height: up to about 16 letters.
    "scores_melanoma": "Melanomas",
    "scores_other": "Other lesions",
    "scores_threshold": "threshold {}",
    "scores_band": "uncertain",
    "scores_image": "this image: {}",
    # customdata: images, then the bin's two edges.
    "scores_hover": "%{customdata[0]} images from %{customdata[1]:.2%} to %{customdata[2]:.2%}",
    # {}: how many people.
    "people_title": "Of {} people with a lesion",
    "people_found": "melanomas referred",
    "people_missed": "melanomas not referred",
    "people_false_alarms": "other lesions referred",
    "people_cleared": "other lesions not referred",
}
"""The words of all figures, which are also the keys that a translation needs."""


def percent(share: float, text: Mapping[str, str]) -> str:
    """A share (0..1) in percent, more digits where it is small: "37 %", "4.1 %", "0.03 %"."""
    if 0 < share < 0.0001:
        return text["under"].format(_percent(0.01, 2, text))
    # 0.9996 must not read as certain.
    shown = 100 if share == 1 else min(100 * share, 99.9)
    digits = 2 if shown < 1 else 1 if shown < 10 or 99 < shown < 100 else 0
    return _percent(shown, digits, text)


def short_percent(share: float, text: Mapping[str, str]) -> str:
    """A round share (0..1) in percent without needless zeros, as on an axis: "0.1 %", "50 %"."""
    return text["percent"].format(f"{100 * share:.6g}".replace(".", text["separators"][0]))


def whole(number: int, text: Mapping[str, str]) -> str:
    """A whole number with thousands set apart: "1,000"."""
    return f"{number:,}".replace(",", text["separators"][1])


def _percent(number: float, digits: int, text: Mapping[str, str]) -> str:
    return text["percent"].format(f"{number:.{digits}f}".replace(".", text["separators"][0]))
