"""Starting weights taken over from a sibling: what has a counterpart, what has none, no sibling."""

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from training.errors import RecipeError
from training.learn.networks import build
from training.learn.takeover import save_start, take_over

IMAGES = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("lite") / "lite.safetensors"
    save_file(timm.create_model("efficientnet_lite1").state_dict(), path)
    return path


def test_blocks_are_taken_over_and_new_ones_change_nothing(lite, tmp_path):
    network = take_over("efficientnet_b1", "efficientnet_lite1", lite, IMAGES)
    path = tmp_path / "start.safetensors"
    save_start(network, path)
    started = build("efficientnet_b1", init=path).eval()

    taken = load_file(lite)["blocks.3.2.conv_dw.weight"]
    assert torch.equal(started.blocks[3][2].conv_dw.weight, taken)
    with torch.inference_mode():
        x = torch.randn(1, 16, 32, 32)
        torch.testing.assert_close(started.blocks[0][1](x), x)  # Lite1 has no second block there
        assert started(IMAGES).isfinite().all()


def test_weights_of_another_network_are_not_taken_over(lite, tmp_path):
    """Nothing of them would fit, and what is saved would be noise."""
    other = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), other)
    for path, message in ((other, "does not fit"), (tmp_path / "none", "not a readable")):
        with pytest.raises(RecipeError, match=message):
            take_over("efficientnet_b1", "efficientnet_lite1", path, IMAGES)
    with pytest.raises(RecipeError, match="no architecture 'efficientnet_lite9'"):
        take_over("efficientnet_b1", "efficientnet_lite9", lite, IMAGES)


def test_a_network_that_is_no_sibling_is_refused(lite):
    with pytest.raises(RecipeError, match="no counterpart of its shape"):
        take_over("mobilenetv3_small_100", "efficientnet_lite1", lite, IMAGES)
