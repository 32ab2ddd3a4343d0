"""Checkpoints that broke off or are of another network."""

import warnings

import numpy as np
import pytest
import torch

from mmseg_rloss.checkpoint import CheckpointError, is_whole, load_network, palette_of
from mmseg_rloss.datasets.label_png import voc_palette
from tests.tools.network import PALETTE, write_network


@pytest.fixture
def network(tmp_path):
    return write_network(tmp_path)


def change(network, weights, **other) -> None:
    contents = torch.load(network.checkpoint) | other
    contents["state_dict"] = {
        name: value
        for name, value in ((n, weights(n, v)) for n, v in contents["state_dict"].items())
        if value is not None
    }
    torch.save(contents, network.checkpoint)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_checkpoint_of_the_network_loads_without_a_word(network, prefix):
    contents = torch.load(network.checkpoint)
    contents["state_dict"] = {prefix + k: v for k, v in contents["state_dict"].items()}
    torch.save(contents, network.checkpoint)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*parameters of the network")
        model = load_network(network.config, network.checkpoint)
    weight = network.segmentor.decode_head.conv_seg.weight
    assert torch.equal(model.decode_head.conv_seg.weight, weight)


@pytest.mark.parametrize("part", ["backbone", "decode_head"])
@pytest.mark.parametrize("how", [lambda value: None, lambda value: torch.zeros(7)])
def test_a_checkpoint_of_another_network_is_refused(network, part, how):
    change(network, lambda name, value: how(value) if name.startswith(part) else value)
    with pytest.raises(
        CheckpointError, match=rf"\d+ of \d+ of the {part}\. It is of another network"
    ):
        load_network(network.config, network.checkpoint)


def test_a_few_parameters_that_are_absent_are_reported(network):
    change(network, lambda name, value: None if name == "decode_head.conv_seg.bias" else value)
    with pytest.warns(UserWarning, match=r"1 of \d of the decode_head\. They stay random"):
        load_network(network.config, network.checkpoint)


def test_a_training_that_diverged_is_reported(network):
    name = "decode_head.conv_seg.bias"
    change(network, lambda n, value: value * float("nan") if n == name else value)
    with pytest.raises(CheckpointError, match=rf"1 parameters are not finite, such as {name}"):
        load_network(network.config, network.checkpoint)


def test_a_config_that_describes_no_network_is_named(network, tmp_path):
    (tmp_path / "other.py").write_text("model = dict(type='NoSuchSegmentor')\n")
    with pytest.raises(CheckpointError, match=r"other\.py cannot be built \(KeyError.*NoSuchSeg"):
        load_network(str(tmp_path / "other.py"), network.checkpoint)


@pytest.mark.parametrize("palette", [None, [], PALETTE[:2], PALETTE])
def test_classes_without_a_colour_get_vocs(network, palette):
    model = load_network(network.config, network.checkpoint)
    model.dataset_meta = dict(palette=palette)
    expected = PALETTE if palette == PALETTE else voc_palette()[:3]
    assert np.array_equal(palette_of(model), expected)


def test_auxiliary_heads_are_not_missed(network):
    change(network, lambda name, value: value, message_hub={})
    model = load_network(network.config, network.checkpoint)
    assert not hasattr(model, "auxiliary_head")


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.999])
def test_a_checkpoint_that_broke_off_is_not_whole(network, kept, tmp_path):
    assert is_whole(network.checkpoint)
    path = tmp_path / "network.pth"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else kept])
    assert not is_whole(path)
    with pytest.raises(CheckpointError, match=r"network\.pth cannot be loaded"):
        load_network(network.config, network.checkpoint)


def test_what_is_not_a_checkpoint_of_mmseg_is_named(network, tmp_path):
    torch.save([1], tmp_path / "list.pth")
    torch.save(network.segmentor.state_dict(), tmp_path / "weights.pth")
    messages = {
        "absent.pth": "cannot be loaded",
        "list.pth": "holds no weights, but a list",
        "weights.pth": "holds weights without meta",
    }
    for name, message in messages.items():
        with pytest.raises(CheckpointError, match=f"{name} {message}"):
            load_network(network.config, str(tmp_path / name))
    assert not is_whole(tmp_path / "absent.pth") and not is_whole(tmp_path)
