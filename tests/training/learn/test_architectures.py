"""Any architecture of timm trains: a few steps of each family, from random weights."""

import csv
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from mel_demo.manifest import CLASS_NAMES
from tests.support.tiny_training import run
from training.errors import RecipeError
from training.learn.networks import as_released, build
from training.learn.run_folder import load_run

FAMILIES = [
    "resnet18",
    "efficientnet_b0",
    "mobilenetv3_small_100",
    "convnext_atto",
    "vit_tiny_patch16_224",
]


def train(tiny, folder, architecture: str, *options: str) -> None:
    """``training teacher --arch``: two epochs of three steps."""
    given = ["--arch", architecture, "--no-pretrained", "--set", "batch_size=20", *options]
    run(tiny.command("teacher", folder, *given))


@pytest.mark.parametrize("architecture", FAMILIES)
def test_an_architecture_trains_and_is_read_back(tiny_training, tmp_path, architecture):
    train(tiny_training, tmp_path / "run", architecture)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train_loss"]) for row in rows]
    # Undecided among seven classes at first: no classifier starts with logits of several units.
    assert losses[0] == pytest.approx(math.log(len(CLASS_NAMES)), rel=0.5)
    assert math.isfinite(losses[1])
    assert losses[1] != losses[0]

    network, record = load_run(tmp_path / "run")
    assert (record.architecture, record.init, record.epochs) == (architecture, "random", 2)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        said = network(images)
        unfolded = build(architecture, size=64).eval()
        unfolded.load_state_dict(load_file(tmp_path / "run" / "best.safetensors"))
        trained = unfolded(images)
    assert said.shape == (2, len(CLASS_NAMES))
    assert torch.isfinite(said).all()
    torch.testing.assert_close(said, trained, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    "architecture",
    ["resnetv2_18", "regnetx_002", "densenet121", "levit_128s", "swin_tiny_patch4_window7_224"],
)
def test_folding_keeps_what_other_families_say(architecture):
    torch.manual_seed(0)
    network = build(architecture, size=96).train()
    with torch.no_grad():
        network(torch.randn(4, 3, 96, 96) * 2)  # statistics that are not the identity
        network.eval()
        images = torch.randn(2, 3, 96, 96)
        trained, released = network(images), as_released(network)(images)
    assert trained.shape == (2, len(CLASS_NAMES))
    assert (trained - released).abs().max() < 0.02 * trained.abs().max()


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_each_resnet_has_seven_outputs(depth):
    with torch.device("meta"):
        assert build(f"resnet{depth}", size=64)(torch.empty(1, 3, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize("number", range(8))
def test_each_efficientnet_has_seven_outputs(number):
    with torch.device("meta"):
        assert build(f"efficientnet_b{number}", size=64)(torch.empty(1, 3, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize(
    ("architecture", "layers"), [("dla34", 1), ("deit_tiny_distilled_patch16_224", 2)]
)
def test_classifiers_of_other_kinds_start_undecided_too(architecture, layers):
    heads = build(architecture, size=64).get_classifier()
    heads = heads if isinstance(heads, tuple) else (heads,)
    assert len(heads) == layers
    for head in heads:
        assert head.weight.std() < 0.02
        assert not head.bias.any()


def test_views_that_grow_are_refused_where_the_size_is_fixed(tiny_training, tmp_path):
    with pytest.raises(RecipeError, match=r"vit_tiny_patch16_224 takes images of one size: .*64"):
        train(tiny_training, tmp_path / "run", "vit_tiny_patch16_224", "--set", "start_size=32")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("architecture", ["xcit_nano_12_p16_224", "levit_128s"])
def test_a_size_that_an_architecture_cannot_have_names_the_way_out(architecture):
    with pytest.raises(RecipeError, match=f"{architecture} cannot take .* 100 pixels .*--size"):
        build(architecture, size=100)


def test_init_of_another_size_is_resampled_for_a_transformer(tmp_path):
    large = build("vit_tiny_patch16_224", size=96)
    kept = {k: v.half() for k, v in large.state_dict().items() if not k.startswith("head.")}
    save_file(kept, tmp_path / "init.safetensors")
    small = build("vit_tiny_patch16_224", init=tmp_path / "init.safetensors", size=64)
    assert small.pos_embed.shape == (1, 1 + 4 * 4, 192)
    assert small(torch.rand(1, 3, 64, 64)).shape == (1, 7)
    torch.testing.assert_close(
        small.blocks[0].attn.qkv.weight, large.blocks[0].attn.qkv.weight, rtol=0, atol=1e-3
    )
