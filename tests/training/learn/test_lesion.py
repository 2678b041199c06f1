"""The lesion masks as an auxiliary: the share of the served map beside the lesion, and its pull."""

import numpy as np
import pytest
import timm
import torch
from torch.nn.functional import adaptive_avg_pool2d

from mel_demo.manifest import MELANOMA, Preprocessing
from training.data.frames import Frames
from training.learn import augment
from training.learn.batches import MASK_SIZE, look
from training.learn.cam import WithEvidence
from training.learn.lesion import Beside
from training.recipe import RECIPES, load_recipe


def network(name):
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=7).eval()


def left_half(count: int) -> torch.Tensor:
    lesions = torch.zeros(count, 1, MASK_SIZE, MASK_SIZE)
    lesions[..., : MASK_SIZE // 2] = 1
    return lesions


@pytest.mark.parametrize("name", ["test_efficientnet", "mobilenetv3_small_050"])
def test_it_is_the_share_of_the_served_map_beside_the_lesion(name):
    model, images = network(name), torch.randn(3, 3, 128, 128)
    beside = Beside(model)
    model(images)
    lesions = left_half(3)
    lesions[2] = -1  # without a mask, this image has no say
    got = beside(lesions)
    maps = WithEvidence(model)(images)[1][:2, MELANOMA]
    outside = 1 - adaptive_avg_pool2d(lesions[:2], maps.shape[-2:])[:, 0]
    expected = ((maps * outside).sum((1, 2)) / maps.sum((1, 2))).mean()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_following_it_moves_the_map_onto_the_lesion():
    model, images = network("test_efficientnet"), torch.randn(4, 3, 128, 128)
    beside = Beside(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    shares = []
    for _ in range(12):
        model(images)
        share = beside(left_half(4))
        optimizer.zero_grad()
        share.backward()
        optimizer.step()
        shares.append(share.item())
    assert shares[-1] < shares[0] - 0.05


def test_a_lesion_lies_in_the_mask_where_it_lies_in_the_view():
    bright = np.zeros((12, 60, 80, 3), np.uint8)
    bright[:, 10:25, 50:70] = 255
    frames = Frames(bright, np.full(12, 4 / 3, np.float32), np.arange(12))
    changes = {"augmentation.mixup": 0.0, "augmentation.blur": 0.0, "batch_size": 12}
    recipe = load_recipe(RECIPES / "student.yaml", **changes)
    from training.learn.batches import Batches

    batches = Batches(
        frames, np.zeros(12, np.int64), bright, np.zeros(12, np.int64), "",
        masks=Frames(bright[:8, ::2, ::2], frames.aspects[:8], np.arange(8)),
    )  # fmt: skip
    seen = Preprocessing(MASK_SIZE, 1.2, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    batch = look(batches, recipe, seen, 0, 0, slice(None), MASK_SIZE)
    known = batch.lesions.flatten(1).amin(1) >= 0
    assert known.sum() == 8
    light = batch.images[known].mean(1)
    lesions = batch.lesions[known, 0]
    assert lesions.mean() > 0.02
    assert light[lesions > 0.9].mean() > light[lesions < 0.1].mean() + 0.8
    for orientation in range(8):
        again = augment.turned(batch.lesions, orientation)
        assert torch.equal(batch.turned(orientation).lesions, again)
