"""More data sets: labels that fit, labels that do not, no image twice, nobody kept out let in."""

import numpy as np
import pytest
import torch

from mel_demo.manifest import MELANOMA
from tests.support.tiny_isic import (
    write_archive,
    write_isic2017,
    write_isic2019,
    write_isic2020,
)
from training.data.external import (
    divide,
    divide_more,
    external_images,
    read_external,
    training_images,
    write_external,
)
from training.data.isic import LABELS, NOT_MELANOMA, SQUASHED_ASPECT, read_extra
from training.errors import DataError
from training.learn.losses import LabelLoss
from training.recipe import HardLoss


def test_2017_knows_melanoma_keratosis_and_calls_the_rest_nevi(tmp_path):
    found = read_extra(write_isic2017(tmp_path))
    assert [extra.dx for extra in found[:3]] == ["mel", "bkl", "nv"]
    assert {extra.source for extra in found} == {"ISIC 2017"}


def test_2019_has_classes_of_its_own_and_marks_smaller_copies(tmp_path):
    found = read_extra(write_isic2019(tmp_path))
    assert [extra.dx for extra in found] == [
        "mel", "nv", "bcc", "akiec", "bkl", "df", "vasc", "not_mel", "not_mel",
    ]  # fmt: skip
    assert found[1].image_id == "ISIC_0000001", "without _downsampled"


def test_2020_often_knows_no_more_than_benign(tmp_path):
    found = read_extra(write_isic2020(tmp_path))
    assert [extra.dx for extra in found] == ["mel", "nv", "not_mel", "bkl", "not_mel"]
    assert found[2].label == NOT_MELANOMA == LABELS.index("not_mel")


def test_images_of_ham10000_and_published_second_copies_are_left_out(tmp_path):
    found = read_extra(write_isic2019(tmp_path / "2019"), known={"ISIC_0000001", "ISIC_0000002"})
    assert [extra.image_id for extra in found[:2]] == ["ISIC_0000000", "ISIC_0000003"]
    folder = write_isic2020(tmp_path / "2020")
    (folder / "ISIC_2020_Training_Duplicates.csv").write_text(
        "image_name_1,image_name_2\nISIC_0000000,ISIC_0000003\n"
    )
    assert "ISIC_0000003" not in {extra.image_id for extra in read_extra(folder)}


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="not a folder of ISIC 2017, 2019, 2020 or"):
        read_extra(tmp_path)
    folder = write_isic2020(tmp_path / "2020")
    table = folder / "ISIC_2020_Training_GroundTruth.csv"
    good = table.read_text()
    table.write_text(good.replace("nevus,benign", "nevus,malignant"))
    with pytest.raises(DataError, match="ISIC_0000001: 'nevus' is called 'malignant'"):
        read_extra(folder)
    table.write_text(good.replace("ISIC_0000001", "ISIC_7777777"))
    with pytest.raises(DataError, match="no image ISIC_7777777"):
        read_extra(folder)


@pytest.mark.parametrize(
    ("write", "old", "new", "message"),
    [
        (write_isic2017, "0000001,0.0", "0000001,nan", "line 3, ISIC_0000001: nan is neither"),
        (write_isic2017, "0000001,0.0", "0000001,", "line 3, ISIC_0000001: "),
        (write_isic2017, "0000001,0.0", "0000001,0.4", "line 3, ISIC_0000001: 0.4 is neither"),
        (write_archive, "00,mel", "00,melanoma in situ", "line 2, .*'melanoma in situ'"),
        (write_archive, "00,mel", "00,Lentigo maligna", "line 2, .*'Lentigo maligna'"),
        (write_archive, "00,mel", "00,", "line 2, .*dx ''"),
        (write_archive, "ISIC_9000001,mel", "ISIC_9000000,nv", "ISIC_9000000 both mel and nv"),
    ],
)
def test_a_melanoma_is_never_learned_as_something_else(tmp_path, write, old, new, message):
    write(tmp_path)
    table = next(tmp_path.glob("*.csv"))
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_extra(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,l,mel,train", "b,l,mel,validation"], "line 3: split 'validation' is none of"),
        (["a,l,mel,train", "a,l,mel,external"], "names a more than once"),
    ],
)
def test_another_file_is_not_taken_for_that_of_images_kept_out(tmp_path, lines, message):
    """The splits of HAM10000 have the same columns; nothing would be kept out."""
    path = tmp_path / "splits.csv"
    path.write_text("\n".join(["image_id,lesion_id,dx,split", *lines]) + "\n")
    with pytest.raises(DataError, match=message):
        read_external(path)


def test_external_images_are_kept_out_and_so_are_near_copies(tmp_path):
    folder = write_isic2017(tmp_path / "2017", count=30)
    images = folder / "ISIC-2017_Training_Data"
    # Every image has a near copy: image n + 15 is image n once more.
    for n in range(15):
        content = (images / f"ISIC_{n:07d}.jpg").read_bytes()
        (images / f"ISIC_{n + 15:07d}.jpg").write_bytes(content)
    extras = read_extra(folder)
    split = divide(extras, count=9, seed=1)
    assert split == divide(extras, count=9, seed=1)
    assert sum(name == "external" for name in split.values()) == 9
    write_external(extras, split, tmp_path / "external.csv")
    assert read_external(tmp_path / "external.csv") == split

    learned = {extra.image_id for extra in training_images(extras, split)}
    measured = external_images(extras, split)
    assert len(measured) == 9
    assert sum(measured.labels == MELANOMA) == 3, "stratified"
    assert measured.squashed_aspect == SQUASHED_ASPECT
    for image_id in measured.image_ids:
        twin = f"ISIC_{(int(image_id[5:]) + 15) % 30:07d}"
        assert image_id not in learned
        assert twin not in learned
    # An image that the file does not know, of another challenge, may be learned from.
    assert training_images(read_extra(write_isic2019(tmp_path / "2019")), {}) != []


def test_too_few_images_to_keep_out(tmp_path):
    with pytest.raises(DataError, match="400 of 12 images"):
        divide(read_extra(write_isic2017(tmp_path / "2017")))
    with pytest.raises(DataError, match=r"1 of 12 images .* some of each diagnosis .* --count"):
        divide(read_extra(tmp_path / "2017"), 1)
    with pytest.raises(DataError, match=r"6 of 13 images .* nv 1\)"):
        divide(read_extra(write_archive(tmp_path / "archive", 12, 1)), 6)
    with pytest.raises(DataError, match="training external"):
        read_external(tmp_path / "none.csv")


def test_a_label_that_only_says_not_melanoma_is_a_loss_on_melanoma_alone():
    loss = LabelLoss(HardLoss(name="cross_entropy"))
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    partial = torch.full((4,), NOT_MELANOMA)
    expected = -(1 - logits.softmax(1)[:, MELANOMA]).log().mean()
    torch.testing.assert_close(loss(logits, partial), expected)
    # Mixed with full labels each image keeps its own loss.
    labels = torch.tensor([0, NOT_MELANOMA, MELANOMA, NOT_MELANOMA])
    alone = [loss(logits[i : i + 1], labels[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(loss(logits, labels), torch.stack(alone).mean())
    loss(logits, labels).backward()
    assert torch.isfinite(logits.grad).all()


def test_frames_of_two_sets_join_and_squashed_squares_are_put_right(tmp_path):
    from mel_demo.manifest import Preprocessing
    from training.data.frames import frames_of, join_frames, prepare_images

    extras = read_extra(write_isic2017(tmp_path / "2017"))
    paths = {extra.image_id: extra.path for extra in extras}
    frames = frames_of(paths, tmp_path / "cache", 48, SQUASHED_ASPECT)
    assert frames.pixels.shape == (12, 48, 64, 3)
    assert frames.aspects == pytest.approx(SQUASHED_ASPECT, abs=1e-4)
    joined = join_frames([frames, frames])
    pixels, _ = joined.take(np.array([3, 15]))
    assert np.array_equal(pixels[0], pixels[1])
    # Shown as taken, 4:3, the centre crop loses part of the width.
    measured = external_images(extras, dict.fromkeys(paths, "external"))
    preprocessing = Preprocessing(32, 1.2, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    from dataclasses import replace

    shown, taken_as_square = (
        prepare_images(images, preprocessing)
        for images in (measured, replace(measured, squashed_aspect=None))
    )
    assert shown.shape == (12, 32, 32, 3)
    assert not np.array_equal(shown, taken_as_square)


def test_of_a_set_of_melanomas_all_nevi_are_kept_out_and_what_has_no_class_is_no_melanoma(tmp_path):
    kinds = ["mel"] * 8 + ["nv"] * 3 + ["df", "scc"]
    lines = [f"ISIC_{number},{dx}" for number, dx in enumerate(kinds)]
    (tmp_path / "metadata.csv").write_text("\n".join(["image_id,dx", *lines]) + "\n")
    for number in range(len(kinds)):
        (tmp_path / f"ISIC_{number}.jpg").touch()
    found = read_extra(tmp_path)
    assert sorted({extra.dx for extra in found}) == ["df", "mel", "not_mel", "nv"]
    split = divide_more(found, melanomas=5)
    external = sorted(extra.dx for extra in found if split[extra.image_id] == "external")
    assert external == ["mel"] * 5 + ["nv"] * 3
    assert {split[extra.image_id] for extra in found} == {"train", "external"}
    with pytest.raises(DataError, match="8 of 8 melanomas"):
        divide_more(found, melanomas=8)
