"""HAM10000 on disk: found in any layout and size, checked, cached; errors name the file."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mel_demo.manifest import CLASS_NAMES, Preprocessing
from tests.support.lesions import write_ham10000
from training.data.frames import cached_frames, prepare_images
from training.data.ham10000 import check, find_images, read_metadata, read_split
from training.data.splits import make_splits, write_splits
from training.errors import DataError

PREPROCESSING = Preprocessing(32, 1.2, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = write_ham10000(tmp_path_factory.mktemp("data") / "ham", lesions_per_class=7)
    write_splits(make_splits(read_metadata(root), seed=1), root / "splits.csv")
    return root


def test_check_counts_images_and_lesions(folder):
    found = check(folder)
    assert found.counts() == dict.fromkeys(CLASS_NAMES, (10, 7))
    assert not found.missing
    assert not found.unreadable
    assert Counter(found.sizes.values()) == {(64, 48): 70}


def test_one_folder_is_enough(tmp_path):
    root = write_ham10000(tmp_path / "ham", 2, parts=("HAM10000_images_part_1",))
    assert len(check(root).rows) == len(read_metadata(root))


def test_missing_and_unreadable_images_are_named(tmp_path):
    root = write_ham10000(tmp_path / "ham", 2)
    first, second = sorted((root / "HAM10000_images_part_1").iterdir())[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:300])
    found = check(root)
    assert found.missing == (first.stem,)
    assert list(found.unreadable) == [second.stem]
    assert len(found.rows) == len(read_metadata(root)) - 2


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("lesion_id,dx\n", "lacks the column.*image_id"),
        ("lesion_id,image_id,dx\n", "a heading and no rows"),
        ("lesion_id,image_id,dx\nL,I,melanoma\n", "line 2: dx 'melanoma'"),
        ("lesion_id,image_id,dx\nL,I,mel\nL,I,mel\n", "names I more than once"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path, metadata, message):
    (tmp_path / "HAM10000_metadata.csv").write_text(metadata)
    with pytest.raises(DataError, match=message):
        read_metadata(tmp_path)


def test_a_folder_without_metadata_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match="original layout"):
        read_metadata(tmp_path)


def test_an_image_of_the_splits_that_is_absent_is_named(folder, tmp_path):
    text = (folder / "splits.csv").read_text() + "ISIC_1,HAM_x,mel,train\n"
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(DataError, match=r"1 of .* train images .* ISIC_1"):
        read_split(folder, tmp_path / "splits.csv", "train")


def test_labels_follow_the_class_names(folder):
    images = read_split(folder, folder / "splits.csv", "train")
    by_id = {row.image_id: row.dx for row in read_metadata(folder)}
    assert [CLASS_NAMES[label] for label in images.labels] == [by_id[i] for i in images.image_ids]


def test_validation_images_are_prepared_as_the_page_does(folder):
    images = read_split(folder, folder / "splits.csv", "validation")
    assert prepare_images(images, PREPROCESSING).shape == (len(images), 32, 32, 3)


def test_cache_holds_whole_frames_and_is_written_once(folder, tmp_path):
    images = read_split(folder, folder / "splits.csv", "train")
    frames = cached_frames(folder, images.image_ids, tmp_path, height=192)
    pixels, aspects = frames.take(np.arange(len(images)))
    assert pixels.shape == (len(images), 48, 64, 3), "a cache never enlarges"
    assert aspects == pytest.approx(4 / 3, abs=1e-4)
    decoded = np.asarray(Image.open(images.paths[3]).convert("RGB"))
    np.testing.assert_array_equal(pixels[3], decoded)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    cached_frames(folder, images.image_ids[:2], tmp_path, height=192)
    assert written == {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}


def test_cache_reduces_large_images_and_records_their_aspect(tmp_path):
    root = write_ham10000(tmp_path / "ham", 1, size=(80, 80))
    frames = cached_frames(root, ["ISIC_9000001"], tmp_path / "cache", height=24)
    pixels, aspects = frames.take(np.array([0]))
    assert pixels.shape == (1, 24, 32, 3)
    assert aspects == pytest.approx(1.0)


def test_changed_images_are_decoded_anew(tmp_path):
    root = write_ham10000(tmp_path / "ham", 1)
    cached_frames(root, ["ISIC_9000000"], tmp_path / "cache", height=24)
    Image.new("RGB", (64, 48), (0, 0, 255)).save(find_images(root)["ISIC_9000000"])
    frames = cached_frames(root, ["ISIC_9000000"], tmp_path / "cache", height=24)
    assert frames.take(np.array([0]))[0][..., 2].mean() > 200


def test_an_image_that_the_folder_lacks_is_named(folder, tmp_path):
    with pytest.raises(DataError, match="does not hold ISIC_1 "):
        cached_frames(folder, ["ISIC_1"], tmp_path, height=24)
