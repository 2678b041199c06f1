"""Splits: by lesion, stratified, seeded, and refused when the data cannot be divided."""

from collections import Counter

import pytest

from mel_demo.manifest import CLASS_NAMES
from training.data.splits import Row, make_splits, read_splits, write_splits
from training.errors import DataError


def rows(lesions: int = 40, images: int = 2) -> list[Row]:
    return [
        Row(f"ISIC_{dx}{lesion}{image}", f"HAM_{dx}{lesion}", dx)
        for dx in CLASS_NAMES
        for lesion in range(lesions)
        for image in range(images)
    ]


def test_no_lesion_is_in_two_splits():
    home: dict[str, set] = {}
    for row in make_splits(rows(), seed=1):
        home.setdefault(row.lesion_id, set()).add(row.split)
    assert all(len(splits) == 1 for splits in home.values())


def test_shares_hold_for_every_class():
    counts = Counter((row.dx, row.split) for row in make_splits(rows(), seed=1))
    for dx in CLASS_NAMES:
        assert counts[dx, "train"] == 56
        assert counts[dx, "validation"] == 12
        assert counts[dx, "holdout"] == 12


def test_melanoma_share_is_alike_in_all_splits():
    made = make_splits(rows(), seed=3)
    images = Counter(row.split for row in made)
    for split, melanomas in Counter(row.split for row in made if row.dx == "mel").items():
        assert melanomas / images[split] == pytest.approx(1 / 7, abs=0.01)


def test_same_seed_same_splits_whatever_the_order_of_the_metadata():
    given = rows()
    by_image = {row.image_id: row.split for row in make_splits(given, seed=5)}
    assert by_image == {r.image_id: r.split for r in make_splits(given[::-1], seed=5)}
    assert by_image != {r.image_id: r.split for r in make_splits(given, seed=6)}


def test_written_and_read_back(tmp_path):
    made = make_splits(rows(), seed=1)
    write_splits(made, tmp_path / "splits.csv")
    assert (tmp_path / "splits.csv").read_text().splitlines()[0] == "image_id,lesion_id,dx,split"
    assert sorted(read_splits(tmp_path / "splits.csv"), key=str) == sorted(made, key=str)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([Row("a", "HAM_1", "mel"), Row("b", "HAM_1", "nv")], "HAM_1 is both mel and nv"),
        ([Row(f"{i}", f"HAM_{i}", "mel") for i in range(4)], "Too few lesions.*mel.*4"),
    ],
)
def test_data_that_cannot_be_divided(given, message):
    with pytest.raises(DataError, match=message):
        make_splits(given, seed=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,dx\n", "must have the columns"),
        ("image_id,lesion_id,dx,split\na,l,mel,test\n", "line 2: split 'test'"),
        (
            "image_id,lesion_id,dx,split\na,l,mel,train\nb,l,mel,holdout\n",
            "line 3: lesion l is in two splits",
        ),
    ],
)
def test_splits_file_that_does_not_fit(tmp_path, text, message):
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_splits(tmp_path / "splits.csv")


def test_missing_splits_file_names_the_command(tmp_path):
    with pytest.raises(DataError, match="python -m training splits"):
        read_splits(tmp_path / "splits.csv")
