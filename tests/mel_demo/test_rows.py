"""A row in both written forms, and what it says."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from mel_demo import rows
from mel_demo.decision.verdict import close_calls
from mel_demo.manifest import load_manifest
from mel_demo.rows import COLUMNS, Sheet
from mel_demo.screening import Screener
from tests.support.tiny_weights import write_tiny_weights


@pytest.fixture(scope="module")
def screener(tmp_path_factory: pytest.TempPathFactory) -> Screener:
    """Both models; the student refuses blue."""
    folder = tmp_path_factory.mktemp("weights")
    return Screener(write_tiny_weights(folder, refusing=True, evidence=True), threads=1)


def grey(level: int, blue: int = 60) -> np.ndarray:
    return np.full((200, 200, 3), (level, level, blue), np.uint8)


@pytest.mark.parametrize("target", [0.8, 0.95])
@pytest.mark.parametrize("level", [0, 80, 100, 128, 160, 255])
def test_a_row_refers_exactly_from_the_threshold_on(
    screener: Screener, target: float, level: int
) -> None:
    sheet = Sheet(screener.manifest, target)
    for row in sheet.judged("a.jpg", screener.screen(grey(level))):
        reaches = row["melanoma_probability"] >= row["threshold"]
        assert row["decision"] == (rows.REFER if reaches else rows.NO_REFERRAL)
        low, high = close_calls(row["threshold"])
        assert row["close_call"] is (low <= row["melanoma_probability"] <= high)
        assert row["leading_diagnosis"] == ("mel" if level < 120 else row["leading_diagnosis"])
        assert row["target_sensitivity"] == target


def test_a_refused_image_has_probabilities_and_no_decision(screener: Screener) -> None:
    for row in Sheet(screener.manifest, 0.95).judged("a.jpg", screener.screen(grey(60, 255))):
        assert row["refused"] is True
        assert row["decision"] is row["close_call"] is None
        assert row["melanoma_probability"] > 0
        assert "not_dermoscopy" in row["findings"].split()


@pytest.mark.parametrize(
    "name",
    [
        *("=cmd|' !A0'.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", "\tx.jpg", "\rx.jpg", "\nx.jpg"),
        *("＝1.jpg", "'quoted'.jpg", "''.jpg", 'a",b\n.jpg', "病变.jpg", "plain.jpg", "a=b.jpg"),
    ],
)
def test_a_cell_is_no_formula_and_comes_back_as_it_was(screener: Screener, name: str) -> None:
    sheet = Sheet(screener.manifest, 0.95)
    written = [*sheet.judged(name, screener.screen(grey(120))), *sheet.failed(name, "-2 + 3: odd")]
    for row in written:
        line = rows.to_csv(row)
        cells = next(csv.reader(io.StringIO(line.decode(), newline="")))
        for cell, kind in zip(cells, COLUMNS.values(), strict=True):
            assert kind is float or not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
            assert kind is not float or not cell or float(cell) >= 0  # numbers stay numbers
        assert rows.from_csv(line) == row
        assert rows.from_json(rows.to_json(row)) == row


@pytest.mark.parametrize("read", [rows.from_csv, rows.from_json])
@pytest.mark.parametrize("line", [b"", b"\xff\xd8\xff\xe0", b"a,b\n", b"[]\n", b'{"image": 1}\n'])
def test_what_is_no_row_is_a_value_error(read: object, line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read(line)


def test_other_weights_or_another_target_have_another_mark(
    screener: Screener, tmp_path: Path
) -> None:
    row = Sheet(screener.manifest, 0.95).failed("a.jpg", "no")[0]
    assert row["weights"].startswith("2025-01-01-")
    with pytest.raises(rows.SettingError, match=r"target_sensitivity 0.95, and not 0.8"):
        Sheet(screener.manifest, 0.8).check(row)


def test_other_thresholds_of_the_same_models_are_told_apart(screener: Screener) -> None:
    sheet = Sheet(screener.manifest, 0.95)
    row = sheet.judged("a.jpg", screener.screen(grey(100)))[0]
    sheet.check(row)
    with pytest.raises(rows.SettingError, match=r"threshold 0\.123, and not"):
        sheet.check(row | {"threshold": 0.123})


def test_what_refuses_nothing_is_not_chosen_alone(refusing_weights: Path) -> None:
    manifest = load_manifest(refusing_weights)
    assert list(Sheet(manifest, 0.95, ["student", "teacher"]).models) == ["teacher", "student"]
    with pytest.raises(rows.SettingError, match=r"teacher would judge .* Name student as well"):
        Sheet(manifest, 0.95, ["teacher"])
