"""Views: an identity view is the serving crop, and the same seed gives the same views anywhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mel_demo.images import normalise, prepare
from mel_demo.manifest import Preprocessing
from tests.support.lesions import draw_lesion
from training.learn import augment
from training.recipe import Augmentation

PREPROCESSING = Preprocessing(96, 1.2, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
STILL = Augmentation(
    rotation=0, flips=False, scale=(1, 1), stretch=0, shift=0, brightness=0, contrast=0,
    saturation=0, white_balance=0, gamma=0, erasing=0,
)  # fmt: skip


def frame(size=(200, 150), seed=1) -> np.ndarray:
    return np.asarray(draw_lesion("mel", seed=seed, size=size))


def view(pixels: np.ndarray, ranges: Augmentation, seed: int = 0) -> torch.Tensor:
    views = augment.draw(1, ranges, torch.Generator().manual_seed(seed))
    aspect = torch.tensor([pixels.shape[1] / pixels.shape[0]])
    return augment.apply(torch.from_numpy(pixels.copy())[None], aspect, views, PREPROCESSING)


@pytest.mark.parametrize("size", [(200, 150), (150, 200), (160, 160), (300, 100)])
def test_a_still_view_is_what_the_page_shows_the_model(size):
    pixels = frame(size)
    served = normalise(prepare(pixels, PREPROCESSING), PREPROCESSING)
    # grid_sample does not smooth before it reduces, Pillow does: compare what both keep.
    difference = np.abs(view(pixels, STILL).numpy() - served)
    assert difference.mean() < 0.08


def test_frames_squashed_by_the_cache_give_the_same_view():
    from PIL import Image

    pixels = frame((160, 160))
    squashed = np.asarray(Image.fromarray(pixels).resize((213, 160), Image.Resampling.BILINEAR))
    views = augment.draw(1, STILL, torch.Generator())
    given = torch.from_numpy(squashed.copy())[None]
    restored = augment.apply(given, torch.tensor([1.0]), views, PREPROCESSING)
    assert (restored - view(pixels, STILL)).abs().mean() < 0.05


def test_a_quarter_turn_of_a_square_is_a_quarter_turn():
    pixels = frame((150, 150))
    views = augment.draw(1, STILL, torch.Generator())
    turn = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]])
    turned = replace(views, linear=turn)
    given, aspect = torch.from_numpy(pixels.copy())[None], torch.ones(1)
    plain = augment.apply(given, aspect, views, PREPROCESSING)
    quarter = augment.apply(given, aspect, turned, PREPROCESSING)
    assert (torch.rot90(plain, 1, (2, 3)) - quarter).abs().max() < 1e-3


def test_views_of_a_part_are_the_part_of_the_views():
    views = augment.draw(8, Augmentation(), torch.Generator().manual_seed(7))
    pixels = torch.from_numpy(np.stack([frame(seed=s) for s in range(8)]))
    aspects = torch.full((8,), 200 / 150)
    whole = augment.apply(pixels, aspects, views, PREPROCESSING)
    odd = augment.apply(pixels[1::2], aspects[1::2], views[slice(1, None, 2)], PREPROCESSING)
    torch.testing.assert_close(whole[1::2], odd)


def test_same_seed_same_view_other_seed_another():
    ranges, pixels = Augmentation(), frame()
    torch.testing.assert_close(view(pixels, ranges, 3), view(pixels, ranges, 3))
    assert (view(pixels, ranges, 3) - view(pixels, ranges, 4)).abs().mean() > 0.1


def test_erasing_leaves_one_rectangle_of_the_mean_colour():
    erased = view(frame(), STILL.model_copy(update={"erasing": 1.0}), seed=2)
    share = (erased == 0).all(dim=1).float().mean().item()
    assert 0.01 <= share <= 0.16


def test_a_turn_of_hue_keeps_grey_grey_and_brightness():
    grey = np.full((150, 200, 3), 120, np.uint8)
    turned = view(grey, STILL.model_copy(update={"hue": 1.0}))
    torch.testing.assert_close(turned, view(grey, STILL), atol=0.02, rtol=0)
    lesion = frame()
    assert (
        view(lesion, STILL.model_copy(update={"hue": 2.0})) - view(lesion, STILL)
    ).abs().max() > 0.1


def test_vignette_rim_and_ruler_darken_and_touch_only_their_place():
    pale = np.full((150, 200, 3), 200, np.uint8)
    plain = view(pale, STILL)
    for name, value in (("vignette", 0.6), ("border", 1.0), ("ruler", 1.0)):
        changed = view(pale, STILL.model_copy(update={name: value}), seed=5)
        darker = plain - changed
        assert darker.min() >= -1e-4, name
        assert darker.max() > 0.1, name
        centre = darker[..., 40:56, 40:56]
        assert centre.abs().max() < 0.25, name
