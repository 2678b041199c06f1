"""The report's figures show scikit-learn's curves, and as SVG they are text that stands alone."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from mel_demo.manifest import CLASS_NAMES, Counts, Interval
from training.data.splits import SPLITS
from training.measure.metrics import Judged
from training.report import plots, svg
from training.report.sections import worst


@pytest.fixture(scope="module")
def judged():
    """Two models on the same 60 images, with ties, a sure 0 and a sure 1."""
    rng = np.random.default_rng(3)
    melanoma = np.arange(60) % 5 == 0
    found = {}
    for key, skill in (("teacher", 0.4), ("student", 0.2)):
        probability = np.clip(rng.random(60).round(2) * 0.6 + skill * melanoma, 0, 1)
        probability[:2] = 1, 0
        found[key] = Judged(melanoma, probability, np.arange(60))
    return found


def line(figure, label):
    """The points of the line in the legend under this label."""
    (found,) = (x for x in figure.axes[0].get_lines() if x.get_label() == label)
    return found.get_xydata().T


def test_roc_is_scikit_learns_with_the_operating_points_whiskers(judged):
    point = Interval(0.9, 0.8, 0.95), Interval(0.6, 0.5, 0.7)
    figure = plots.roc(judged, dict.fromkeys(judged, point), dict.fromkeys(judged, 0.75))
    for key, found in judged.items():
        false_alarms, caught, _ = roc_curve(found.melanoma, found.probability)
        np.testing.assert_allclose(
            line(figure, f"{key}, area 0.750"), [100 * false_alarms, 100 * caught]
        )
    across, up = (bars.get_segments()[0] for bars in figure.axes[0].containers[0].lines[2])
    np.testing.assert_allclose(across, [[30, 90], [50, 90]])
    np.testing.assert_allclose(up, [[40, 80], [40, 95]])


def test_precision_and_recall_are_scikit_learns(judged):
    nothing_referred = Counts(tp=0, fp=0, fn=12, tn=48)
    figure = plots.precision_recall(
        judged, {"teacher": nothing_referred}, dict.fromkeys(judged, 0.5)
    )
    for key, found in judged.items():
        precision, recall, _ = precision_recall_curve(found.melanoma, found.probability)
        drawn = line(figure, f"{key}, average 0.500")
        np.testing.assert_allclose(drawn, [100 * recall, 100 * precision])


def test_reliability_counts_every_image_and_shows_what_was_before(judged):
    figure = plots.reliability_diagram(judged, {"student": judged["teacher"]})
    edges = np.linspace(0, 1, 16)
    for key, label in (("teacher", "teacher"), ("teacher", "student, before")):
        found = judged[key]
        of_bin = np.searchsorted(edges[1:-1], found.probability)
        rows = [of_bin == number for number in np.unique(of_bin)]
        mean = [100 * found.probability[row].mean() for row in rows]
        share = [100 * found.melanoma[row].mean() for row in rows]
        np.testing.assert_allclose(line(figure, label), [mean, share])
    sizes = figure.axes[0].collections[0].get_sizes()
    assert sum((sizes - 18) / 200) == pytest.approx(1), "areas add up to all images"


def test_each_truth_of_a_histogram_adds_up_to_all_its_images(judged):
    figure = plots.histogram(judged["teacher"], 0.3, "teacher")
    filled = [patch for patch in figure.axes[0].patches if patch.get_fill()]
    assert len(filled) == 2
    for patch in filled:
        heights = patch.get_xy()[:, 1]
        bins = heights[: len(heights) // 2]  # there and back along the ground
        assert np.isfinite(patch.get_xy()).all(), "sure probabilities stand at the edge"
        assert bins[1::2].sum() == pytest.approx(100)


def test_a_confusion_matrix_is_counts_and_shares_of_each_row():
    matrix = np.zeros((7, 7), int)
    matrix[4] = [1, 0, 0, 0, 2, 997, 0]
    said = [text.get_text() for text in plots.confusion(matrix, "student").axes[0].texts]
    assert said == ["1", "<1 %", "2", "<1 %", "997", "100 %"]


def test_bars_of_the_splits_end_at_the_whole_class():
    counts = {split: dict.fromkeys(CLASS_NAMES, 2 + number) for number, split in enumerate(SPLITS)}
    axes = plots.classes(counts, "lesions").axes[0]
    assert [text.get_text() for text in axes.texts] == ["9"] * 7
    ends = {bar.get_x() + bar.get_width() for bar in axes.patches}
    assert ends == {2, 5, 9}


def test_a_run_of_one_epoch_can_be_seen():
    figure = plots.epochs({"teacher": [0.5]}, "training loss")
    assert figure.axes[0].get_lines()[0].get_marker() not in ("None", None)


def test_a_scatter_keeps_every_image(judged):
    figure = plots.scatter(judged, {"teacher": 0.3, "student": 0.2})
    drawn = [line(figure, label) for label in ("others", "melanomas")]
    assert [points.shape[1] for points in drawn] == [48, 12]
    teacher = judged["teacher"]
    inside = teacher.melanoma & (teacher.probability < 1)
    np.testing.assert_allclose(
        1 / (1 + np.exp(-drawn[1][0][inside[teacher.melanoma]])), teacher.probability[inside]
    )


def test_svg_says_what_it_shows_and_keeps_its_text(judged):
    points = dict.fromkeys(judged, (Interval(0.9, 0.8, 0.95), Interval(0.6, 0.5, 0.7)))
    text, again = (
        svg.standalone(
            plots.roc(judged, points, dict.fromkeys(judged, 0.8766)), "roc", 'Areas: "a" & <b>'
        )
        for _ in range(2)
    )
    assert text == again, "the same numbers, the same text"
    root = ElementTree.fromstring(text.encode())
    assert root.get("aria-label") == 'Areas: "a" & <b>'
    said = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"melanomas caught, %", "teacher, area 0.877", "100"} <= said, "rounded by us alone"
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(ids)


def test_figures_do_not_share_ids(judged):
    """Two on one page: a marker of one must not be drawn with the other's shape."""
    thresholds = {"teacher": 0.3, "student": 0.2}
    ids = [
        set(
            re.findall(
                r'\bid="([^"]+)"', svg.standalone(plots.scatter(judged, thresholds), name, "")
            )
        )
        for name in ("first", "second")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_the_worst_come_first_and_equals_in_order():
    melanoma = np.array([True, False, True, False, True, False, False])
    probability = np.array([0.9, 0.2, 0.1, 0.7, 0.1, 0.7, 0.95])
    found = worst(Judged(melanoma, probability, np.arange(7)), 3)
    assert found.missed == (2, 4, 0)
    assert found.alarmed == (6, 3, 5)
    assert worst(Judged(melanoma, probability, np.arange(7)), 1).missed == (2,)
