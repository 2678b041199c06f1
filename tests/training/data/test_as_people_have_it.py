"""HAM10000 as people have it: every layout and encoding is read, what is broken is named."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from time import sleep

import numpy as np
import pytest
from PIL import Image

from mel_demo.images import open_image
from mel_demo.manifest import Preprocessing
from tests.support.lesions import draw_lesion, write_ham10000
from training.data.frames import cached_frames, prepare_images
from training.data.ham10000 import check, find_images, read_metadata, read_split
from training.data.splits import make_splits, read_splits, write_splits
from training.errors import DataError, in_words
from training.measure.profile import read_groups

SEEN = Preprocessing(32, 1.2, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PARTS = ("HAM10000_images_part_1", "HAM10000_images_part_2")


@pytest.fixture
def ham(tmp_path):
    return write_ham10000(tmp_path / "ham", 1)


def _nested(ham):
    """Kaggle's archive: each folder once more within itself."""
    for part in PARTS:
        (ham / part).rename(ham / "moved")
        (ham / part).mkdir()
        (ham / "moved").rename(ham / part / part)


def _lower_case(ham):
    for part in PARTS:
        (ham / part).rename(ham / part.lower())
    (ham / "HAM10000_metadata.csv").rename(ham / "ham10000_metadata.csv")


def _both_cases(ham):
    """Kaggle's download holds every folder twice."""
    for part in PARTS:
        shutil.copytree(ham / part, ham / part.lower() / part.lower())


def _in_a_folder(ham):
    inner = ham / "archive"
    inner.mkdir()
    for path in list(ham.iterdir()):
        if path != inner:
            path.rename(inner / path.name)


def _mac_leftovers(ham):
    for path in list((ham / PARTS[0]).iterdir()):
        path.with_name("._" + path.name).write_bytes(b"\0\5\26\7")
    (ham / "._HAM10000_metadata.csv").write_bytes(b"\0\5\26\7")
    shutil.copytree(ham / PARTS[0], ham / "__MACOSX" / PARTS[0])


@pytest.mark.parametrize(
    "layout", [_nested, _lower_case, _both_cases, _in_a_folder, _mac_leftovers]
)
def test_a_layout_is_read(ham, layout):
    rows, pictures = read_metadata(ham), {k: v.read_bytes() for k, v in find_images(ham).items()}
    layout(ham)
    assert read_metadata(ham) == rows
    assert {k: v.read_bytes() for k, v in find_images(ham).items()} == pictures
    assert check(ham).complete
    assert read_groups(ham, (rows[0].image_id,))["source"].tolist() == ["drawn"]


@pytest.mark.parametrize("name", ["HAM10000_metadata", "HAM10000_metadata.tab"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_table_is_read_whatever_wrote_it(ham, name, separator, encoding):
    path = ham / "HAM10000_metadata.csv"
    wanted, lines = read_metadata(ham), path.read_text().splitlines()
    path.unlink()
    # More columns, one of them with what differs between encodings.
    lines = [f"note,{lines[0]} "] + [f"Ärztin,{line} " for line in lines[1:]]
    text = "\r\n".join(lines).replace(",", separator) + "\r\n\r\n"
    (ham / name).write_bytes(text.encode(encoding))
    assert read_metadata(ham) == wanted


def test_splits_saved_by_a_spreadsheet_are_read(ham, tmp_path):
    rows = make_splits(read_metadata(write_ham10000(tmp_path / "more", 7)), 1)
    write_splits(rows, tmp_path / "splits.csv")
    wanted = read_splits(tmp_path / "splits.csv")
    text = (tmp_path / "splits.csv").read_text().replace(",", ";")
    (tmp_path / "splits.csv").write_text(text, encoding="utf-16")
    assert read_splits(tmp_path / "splits.csv") == wanted


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,l,mel,train", "a,l,mel,train"], "names a more than once"),
        (["a,l,mel,train", "b,l,mel,holdout"], "line 3: lesion l is in two splits"),
        (["a,l,mel,train", "a,m,mel,validation"], "names a more than once"),
        (["a,,mel,train", "b,,mel,train"], "line 2: image_id or lesion_id is empty"),
    ],
)
def test_splits_that_leak_are_refused_wherever_they_are_read(ham, tmp_path, rows, message):
    path = tmp_path / "splits.csv"
    path.write_text("\n".join(["image_id,lesion_id,dx,split", *rows]) + "\n")
    for read in (lambda: read_splits(path), lambda: read_split(ham, path, "train")):
        with pytest.raises(DataError, match=message):
            read()


@pytest.mark.parametrize("wrong", ["lesion_id", "dx"])
def test_splits_that_know_other_lesions_than_the_metadata_are_refused(tmp_path, wrong):
    ham, path = write_ham10000(tmp_path / "more", 7), tmp_path / "splits.csv"
    rows = make_splits(read_metadata(ham), 1)
    # As from a tool that takes every image for a lesion: no lesion is in two splits, on paper.
    rows[0] = replace(rows[0], **{wrong: "alone" if wrong == "lesion_id" else "mel"})
    write_splits(rows, path)
    with pytest.raises(DataError, match=rf"{rows[0].image_id} shows lesion .* the metadata of"):
        read_split(ham, path, "train")


def test_a_quote_that_nobody_closed_does_not_swallow_rows(ham):
    path = ham / "HAM10000_metadata.csv"
    lines = path.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ',"drawn'
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"line \d+, is no line of a table"):
        read_metadata(ham)


@pytest.mark.parametrize("name", ["HAM10000_metadata.csv", "notes.txt"])
def test_a_table_is_not_written_over_another_file(ham, tmp_path, name):
    rows = make_splits(read_metadata(write_ham10000(tmp_path / "more", 7)), 1)
    (ham / "notes.txt").write_text("mine")
    before = (ham / name).read_bytes()
    with pytest.raises(DataError, match=f"{name} is another file, which would be lost"):
        write_splits(rows, ham / name)
    assert (ham / name).read_bytes() == before
    for _ in "ab":  # a former one is replaced
        write_splits(rows, ham / "splits.csv")
    assert len(read_splits(ham / "splits.csv")) == len(rows)


def test_two_runs_that_begin_together_decode_once(ham, tmp_path, monkeypatch):
    decoded, both = [], Barrier(2, timeout=20)

    def slow(path):
        decoded.append(path)
        sleep(0.02)
        return open_image(path)

    def begin(_):
        both.wait()
        return cached_frames(ham, list(find_images(ham)), tmp_path / "cache", 24)

    monkeypatch.setattr("training.data.frames.read_image", slow)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(begin, "ab")
    assert len(decoded) == len(one)
    np.testing.assert_array_equal(one.pixels, other.pixels)
    # What is whole is only read: others may write beside it, or the folder be read-only.
    (tmp_path / "cache" / "writing.lock").unlink()
    cached_frames(ham, list(find_images(ham)), tmp_path / "cache", 24)
    assert not (tmp_path / "cache" / "writing.lock").exists()


def test_two_different_images_of_one_name_are_refused(ham):
    first = next(iter(find_images(ham).values()))
    (ham / "images").mkdir()
    draw_lesion("mel", 5, (32, 24)).save(ham / "images" / first.name)
    with pytest.raises(DataError, match="are two images of one name"):
        find_images(ham)


def _empty(path):
    path.write_bytes(b"")


def _cut(path):
    path.write_bytes(path.read_bytes()[:400])


def _text(path):
    path.write_text("<html>not found</html>")


@pytest.mark.parametrize("damage", [_empty, _cut, _text])
def test_a_picture_that_cannot_be_used_is_named_wherever_it_is_read(ham, tmp_path, damage):
    paths = find_images(ham)
    name, path = next(iter(paths.items()))
    damage(path)
    assert list(check(ham).unreadable) == [name]
    with pytest.raises(DataError, match=rf"{path.name} cannot be used: .*training data"):
        cached_frames(ham, list(paths)[-2:], tmp_path / "cache", 24)
    assert not list((tmp_path / "cache").glob("frames*")), "no half a cache"
    rows = make_splits(read_metadata(write_ham10000(tmp_path / "more", 7)), 1)
    write_splits(rows, tmp_path / "splits.csv")
    images = read_split(tmp_path / "more", tmp_path / "splits.csv", "validation")
    damage(images.paths[1])
    with pytest.raises(DataError, match=rf"{images.paths[1].name} cannot be used"):
        prepare_images(images, SEEN)


def test_a_stray_thumbnail_does_not_shrink_the_others(ham, tmp_path):
    paths = find_images(ham)
    before = cached_frames(ham, list(paths), tmp_path / "cache", 192)
    draw_lesion("nv", 1, (32, 24)).save(ham / PARTS[0] / "thumbnail.jpg")
    after = cached_frames(ham, list(paths), tmp_path / "other", 192)
    assert after.pixels.shape == before.pixels.shape == (len(paths), 48, 64, 3)
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert after.sha256 == before.sha256


def test_a_listed_image_far_smaller_than_the_rest_is_named(ham, tmp_path):
    name, path = next(iter(find_images(ham).items()))
    draw_lesion("nv", 1, (20, 15)).save(path)
    assert check(ham).far() == {name: (20, 15)}
    with pytest.raises(DataError, match=rf"{path.name} is 15 pixels high, most others 48"):
        cached_frames(ham, [name], tmp_path / "cache", 192)
    # Where frames are to be smaller still, it is as good as any other.
    assert cached_frames(ham, [name], tmp_path / "cache", 12).pixels.shape[1:] == (12, 16, 3)


def test_the_digest_is_of_pixels_not_of_paths_or_times(ham, tmp_path):
    ids = list(find_images(ham))
    first = cached_frames(ham, ids, tmp_path / "one", 24).sha256
    copy = tmp_path / "elsewhere"
    shutil.copytree(ham, copy, copy_function=shutil.copyfile)
    assert cached_frames(copy, ids, tmp_path / "two", 24).sha256 == first
    changed = find_images(copy)[ids[0]]
    Image.new("RGB", (64, 48), (0, 0, 255)).save(changed)
    assert cached_frames(copy, ids, tmp_path / "two", 24).sha256 != first


def test_a_full_disk_leaves_no_half_a_cache(ham, tmp_path, monkeypatch):
    def full(file, form):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.data.frames.np.lib.format.write_array_header_1_0", full)
    with pytest.raises(OSError, match="No space") as caught:
        cached_frames(ham, list(find_images(ham)), tmp_path / "cache", 24)
    assert "make room" in in_words(caught.value)
    assert not list((tmp_path / "cache").glob("frames*"))
