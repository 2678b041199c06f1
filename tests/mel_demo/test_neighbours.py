"""Images that scored alike: the nearest in log-odds, counted, with their interval."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from mel_demo.decision.neighbours import NEIGHBOURS, neighbours
from mel_demo.manifest import Scores


def scores(positive: list[float], negative: list[float]) -> Scores:
    return Scores(tuple(sorted(positive)), tuple(sorted(negative)))


def test_it_counts_the_positives_among_the_nearest() -> None:
    near = scores([0.050 + 0.0001 * n for n in range(7)], [0.05] * (NEIGHBOURS - 7))
    far = scores([*near.positive, *[0.9] * 50], [*near.negative, *[0.001] * 500])
    found = neighbours(far, 0.05)
    assert (found.images, found.positives, found.beyond) == (130, 7, None)
    # By SciPy: binomtest(7, 130).proportion_ci(method="wilson").
    assert (found.low, found.high) == pytest.approx((0.026325, 0.106978), abs=1e-6)


def test_near_is_near_in_log_odds() -> None:
    # 0.02 lies nearer to 0.01 by difference; by odds 0.035 is the nearer one.
    found = neighbours(scores([0.035], [0.01]), 0.02, count=1)
    assert found.positives == 1


def test_of_images_as_far_away_none_is_left_out() -> None:
    found = neighbours(scores([0.6, 0.4], [0.4, 0.6, 0.9]), 0.5, count=1)
    assert (found.images, found.positives) == (4, 2)


@pytest.mark.parametrize(
    ("probability", "beyond"),
    [
        (0.0, "lowest"),
        (0.009, "lowest"),
        (0.01, None),
        (0.8, None),
        (0.81, "highest"),
        (1, "highest"),
    ],
)
def test_it_says_when_nothing_measured_scored_so_low_or_so_high(probability, beyond) -> None:
    assert neighbours(scores([0.8, 0.3], [0.01]), probability).beyond == beyond


def test_an_interval_reaches_its_end_where_all_are_alike_and_no_further() -> None:
    none = neighbours(scores([0.99], [0.5] * 20), 0.5, count=20)
    every = neighbours(scores([0.5] * 20, [0.01]), 0.5, count=20)
    assert (none.low, every.high) == (0, 1)
    assert none.high == pytest.approx(0.1611, abs=1e-3)
    assert every.low == pytest.approx(1 - none.high)


def test_without_scores_nothing_is_said() -> None:
    assert neighbours(None, 0.5) is None


@pytest.mark.parametrize(("probability", "count"), [(-0.1, 1), (float("nan"), 1), (0.5, 0)])
def test_what_cannot_be_is_refused(probability, count) -> None:
    with pytest.raises(ValueError, match=r"probability|at least 1"):
        neighbours(scores([0.5], [0.5]), probability, count)


def cases() -> list[dict]:
    """Scores with five digits as a manifest has them, ties and both ends included."""
    draw = random.Random(0)

    def spread(images: int, middle: float) -> list[float]:
        return sorted(round(1 / (1 + 9 ** draw.gauss(-middle, 1.5)), 5) for _ in range(images))

    measured = [(spread(166, 1), spread(1353, -3)), ([0.2, 0.4], [0.0, 0.2, 1.0]), ([0.3], [0.5])]
    return [
        {"positive": positive, "negative": negative, "count": count, "probability": probability}
        for positive, negative in measured
        for count in (1, 2, NEIGHBOURS)
        for probability in (0.0, 1e-7, 0.00012, 0.0123, 0.2, 0.31, 0.5, 0.87654, 0.99999, 1.0)
    ]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_phone_counts_the_same(tmp_path: Path) -> None:
    # Node takes a file for a module by its name.
    shutil.copy(Path(__file__).parents[2] / "mel_demo/phone/static/decide.js", tmp_path / "d.mjs")
    (tmp_path / "run.mjs").write_text(
        "import { neighbours } from './d.mjs';\n"
        "import { readFileSync } from 'node:fs';\n"
        "const cases = JSON.parse(readFileSync(0));\n"
        "console.log(JSON.stringify(cases.map((one) => neighbours(one, one.probability))));\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        ["node", "run.mjs"],
        cwd=tmp_path,
        input=json.dumps(cases()),
        capture_output=True,
        text=True,
        check=True,
    )
    for case, there in zip(cases(), json.loads(done.stdout), strict=True):
        measured = Scores(tuple(case["positive"]), tuple(case["negative"]))
        here = neighbours(measured, case["probability"], case["count"])
        assert (here.images, here.positives) == (there["images"], there["positives"]), case
        assert (here.low, here.high) == pytest.approx((there["low"], there["high"])), case
