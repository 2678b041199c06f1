"""Networks: seven outputs from any family, starting weights that fit or are refused."""

import json

import pytest
import torch
from safetensors.torch import save_file

from training.errors import RecipeError, RunError
from training.learn.networks import as_released, build
from training.learn.run_folder import load_record, load_run


def test_a_fresh_classifier_starts_undecided():
    network = build("mobilenetv3_small_050").eval()
    share = network(torch.rand(2, 3, 64, 64)).softmax(1)
    assert (share - 1 / 7).abs().max() < 0.05


def test_unknown_architecture_suggests_similar_ones():
    with pytest.raises(RecipeError, match=r"efficientnet_b9.*similar.*efficientnet"):
        build("efficientnet_b9")


@pytest.mark.parametrize("architecture", ["test_efficientnet", "mobilenetv3_small_050"])
def test_the_released_network_says_what_the_trained_one_says(architecture):
    network = build(architecture).train()
    with torch.no_grad():
        for _ in range(3):  # statistics that are not the identity
            network(torch.rand(8, 3, 64, 64) * 3)
    images = torch.rand(4, 3, 64, 64)
    trained = network.eval()(images)
    released = as_released(network)(images)
    assert (trained - released).abs().max() < 0.01 * trained.abs().max()
    for name, weight in network.named_parameters():
        if weight.ndim > 1:
            assert torch.equal(weight, weight.half().float()), name


@pytest.fixture
def half_precision_file(tmp_path):
    state = build("mobilenetv3_small_050").state_dict()
    kept = {k: v.half() for k, v in state.items() if not k.startswith("classifier")}
    kept = {k: v for k, v in kept.items() if not k.endswith("num_batches_tracked")}
    save_file(kept, tmp_path / "init.safetensors")
    return tmp_path / "init.safetensors", kept


def test_init_without_classifier_in_half_precision_is_cast(half_precision_file):
    path, kept = half_precision_file
    network = build("mobilenetv3_small_050", init=path)
    assert network.conv_stem.weight.dtype == torch.float32
    torch.testing.assert_close(network.conv_stem.weight, kept["conv_stem.weight"].float())


def test_init_of_another_architecture_is_refused_by_name(half_precision_file):
    with pytest.raises(RecipeError, match=r"does not fit.*the first is"):
        build("mobilenetv3_small_100", init=half_precision_file[0])


@pytest.mark.parametrize("content", [None, b"not safetensors"])
def test_init_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "init.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match="not a readable safetensors file"):
        build("mobilenetv3_small_050", init=path)


def test_pretrained_weights_out_of_reach_name_the_way_out(monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr("timm.models._builder.load_pretrained", refuse)
    with pytest.raises(RecipeError, match=r"--init FILE.*--no-pretrained"):
        build("mobilenetv3_small_050", pretrained=True)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        load_run(tmp_path)


def test_a_record_of_another_version_names_the_keys(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"role": "teacher"}))
    with pytest.raises(RunError, match=r"another version: .*architecture"):
        load_record(tmp_path)
