"""The thousand people: as many marks as numbers, in shapes and colours that everyone can tell."""

import re
from xml.etree import ElementTree

import pytest

from mel_demo.decision.prevalence import Frequencies, natural_frequencies
from mel_demo.pictures.people import COLOURS, COLUMNS, people_svg
from mel_demo.texts import Texts

GROUPS = ("found", "missed", "false_alarms", "cleared")
SVG = "{http://www.w3.org/2000/svg}"


def marks(svg: str) -> dict[str, list[tuple[float, float]]]:
    """Where each group's marks stand, without those of the legend."""
    root = ElementTree.fromstring(svg)
    return {
        path.get("class"): [
            (float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)", path.get("d"))
        ]
        for path in root.findall(f"{SVG}path")
    }


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of "#rrggbb"."""
    values = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    "frequencies",
    [
        natural_frequencies(0.95, 0.6, 0.02),
        natural_frequencies(0.99, 0.3, 0.5),
        natural_frequencies(0.5, 0.5, 0.001),
        Frequencies(0, 0, 0, 1000, 0.0),
        Frequencies(0, 0, 1000, 0, 0.0),
        Frequencies(1, 2, 3, 4, 2.0),
    ],
)
def test_there_is_one_mark_a_person_in_a_cell_of_its_own(frequencies):
    svg = people_svg(frequencies, Texts(), "melanoma")
    found = marks(svg)
    for group in GROUPS:
        assert len(found.get(group, [])) == getattr(frequencies, group)
    places = [place for group in found.values() for place in group]
    assert len(set(places)) == len(places) == frequencies.people
    # In rows from the top, in the order of the legend.
    assert places == sorted(places, key=lambda place: (place[1], place[0]))
    assert len({x for x, _ in places}) == min(COLUMNS, frequencies.people)
    assert len(svg) < 60_000


@pytest.mark.parametrize(
    ("target", "ill"), [("melanoma", "melanoma"), ("skin_cancer", "skin cancer")]
)
def test_its_name_and_its_legend_say_all_four_numbers(target, ill):
    frequencies = natural_frequencies(0.95, 0.6, 0.02)
    root = ElementTree.fromstring(people_svg(frequencies, Texts(), target))
    legend = ["".join(item.itertext()) for item in root.iter(f"{SVG}text")]
    assert legend == [
        f"19 {ill}, referred",
        f"1 {ill}, not referred",
        f"392 no {ill}, referred",
        f"588 no {ill}, not referred",
    ]
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"Of 1,000 people with a lesion: {'; '.join(legend)}"


def test_the_groups_differ_in_shape_as_well_as_in_colour():
    frequencies = natural_frequencies(0.9, 0.5, 0.1)
    root = ElementTree.fromstring(people_svg(frequencies, Texts(), "melanoma"))
    paths = root.findall(f"{SVG}path")
    shapes = {
        (re.match(r"M[\d.]+ [\d.]+([^M]*)", path.get("d"))[1], path.get("stroke-width"))
        for path in paths
    }
    assert len(shapes) == len({path.get("style") for path in paths}) == len(GROUPS)


@pytest.mark.parametrize("ground", ["#ffffff", "#171d2b"], ids=["light", "dark"])
@pytest.mark.parametrize("group", COLOURS)
def test_marks_stand_out_from_the_page(group, ground):
    low, high = sorted((luminance(COLOURS[group]), luminance(ground)))
    assert (high + 0.05) / (low + 0.05) >= 3


@pytest.mark.parametrize("prevalence", [0.001, 0.0015, 0.0125, 0.02, 0.11, 0.5])
@pytest.mark.parametrize("rates", [(0.97, 0.577), (0.95, 0.6), (0.996, 0.123), (0.5, 0.5), (1, 0)])
def test_the_crowd_is_a_thousand_and_agrees_with_the_rates(prevalence, rates):
    sensitivity, specificity = rates
    found = natural_frequencies(sensitivity, specificity, prevalence)
    assert found.people == 1000
    for number, exact in (
        (found.found, sensitivity * prevalence),
        (found.missed, (1 - sensitivity) * prevalence),
        (found.false_alarms, (1 - specificity) * (1 - prevalence)),
        (found.cleared, specificity * (1 - prevalence)),
    ):
        assert abs(number - 1000 * exact) < 1
