"""A real training with and without the hook."""

import pytest
import torch

from tests.engine.training import WITHOUT_CHANCE, logged, train, training_config, write_data_set


def test_the_layout_changes_and_the_training_does_not(tmp_path):
    write_data_set(tmp_path / "set")
    config = training_config(tmp_path / "set", tmp_path / "plain", WITHOUT_CHANCE)
    plain = train(config)
    config = training_config(tmp_path / "set", tmp_path / "last", WITHOUT_CHANCE)
    config["custom_hooks"].append(dict(type="ChannelsLastHook"))
    layouts = []
    last = train(config)
    for runner in (plain, last):
        weight = runner.model.backbone.conv1.weight
        layouts.append(weight.is_contiguous(memory_format=torch.channels_last))
    assert layouts == [False, True]
    for name in ("loss", "decode.loss_densecrf"):
        assert logged(last, name) == pytest.approx(logged(plain, name), rel=1e-5)
