"""The small score plot: its heaps, its axis, its marks and its words."""

import re
from xml.etree import ElementTree

import pytest

from mel_demo.manifest import Distribution, ScoresByTruth
from mel_demo.pictures.score_plot import TICKS, PlotWords, place, score_plot_svg
from tests.support import plausible

SVG = "{http://www.w3.org/2000/svg}"
WORDS = PlotWords("this image: 23 %", "Melanomas", "Others", lambda p: f"{100 * p:g} %")
BASE = 42
SCORES = ScoresByTruth((0.4, 0.5, 0.6), (0.004, 0.005, 0.006, 0.3))
DISTRIBUTION = plausible.evidence("teacher").distribution


def drawn(scores=SCORES, threshold=0.1, probability=None, words=WORDS, **more):
    return ElementTree.fromstring(score_plot_svg(scores, threshold, probability, words, **more))


def outline(root, name):
    """All points of a heap, pale part and full part."""
    paths = [path.get("d") for path in root.iter(f"{SVG}path") if path.get("class") == name]
    assert len(paths) == 2
    return [
        (float(x), float(y)) for path in paths for x, y in re.findall(r"L([\d.]+) ([\d.]+)", path)
    ]


def test_positives_rise_where_they_scored_and_others_hang_where_they_did():
    root = drawn()
    x, y = min(outline(root, "positive"), key=lambda point: point[1])
    assert x == pytest.approx(place(0.5), abs=12)
    assert y < BASE - 10
    x, y = max(outline(root, "negative"), key=lambda point: point[1])
    assert x == pytest.approx(place(0.005), abs=12)
    assert y > BASE + 10


def test_what_the_threshold_refers_is_full_and_the_rest_is_pale():
    root = drawn(threshold=0.2)
    pale, full = (path for path in root.iter(f"{SVG}path") if path.get("class") == "positive")
    assert float(pale.get("fill-opacity")) < float(full.get("fill-opacity"))
    xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", full.get("d"))]
    assert min(xs) == place(0.2)
    (line,) = (path for path in root.iter(f"{SVG}path") if path.get("class") == "threshold")
    assert line.get("d").startswith(f"M{place(0.2)} ")


@pytest.mark.parametrize("probability", [0, 1e-9, 0.23, 1])
def test_the_image_has_its_mark_on_the_axis(probability):
    (mark,) = (
        item for item in drawn(probability=probability).iter() if item.get("class") == "image"
    )
    assert mark.get("transform") == f"translate({place(probability)} 0)"
    assert 0 < place(probability) < 320
    assert not [item for item in drawn().iter() if item.get("class") == "image"]


def test_ticks_are_evenly_spaced_in_log_odds():
    assert [item.text for item in drawn().iter(f"{SVG}text")][2:] == [WORDS.tick(p) for p in TICKS]
    assert place(0.99) - place(0.5) == pytest.approx(place(0.5) - place(0.01), abs=0.2)
    assert [place(p) for p in TICKS] == sorted(place(p) for p in TICKS)


def test_a_distribution_gives_the_same_picture_where_no_scores_are_kept():
    root = drawn(DISTRIBUTION)
    top = min(outline(root, "positive"), key=lambda point: point[1])
    bins = DISTRIBUTION.melanoma
    most = bins.index(max(bins))
    low, high = DISTRIBUTION.edges[most : most + 2]
    assert place(low) - 15 < top[0] < place(high) + 15


@pytest.mark.parametrize("counts", [((0, 0, 0), (3, 0, 0)), ((0, 0, 0), (0, 0, 0))])
def test_an_empty_heap_is_flat(counts):
    root = drawn(Distribution((0, 0.1, 0.9, 1), *counts), 0.5, 0.5)
    assert {y for _, y in outline(root, "positive")} == {BASE}


def test_words_and_colours_are_escaped_and_it_is_small():
    words = PlotWords('a < "b"', "<b>", "&", lambda p: "<i>")
    root = drawn(DISTRIBUTION, 0.05, 0.23, words, colour='red"><script>')
    assert root.get("aria-label") == root.findtext(f"{SVG}title") == 'a < "b"'
    assert root.get("role") == "img"
    assert root.find(f".//{SVG}script") is None
    assert len(score_plot_svg(DISTRIBUTION, 0.05, 0.23, WORDS)) < 6_000


def test_no_colour_is_fixed_so_that_both_themes_fit():
    assert not re.search(r"#[0-9a-f]{3}|rgb|white|black", score_plot_svg(SCORES, 0.1, 0.2, WORDS))
