"""Two processes on the CPU, started as a user starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.engine.training import (
    WITHOUT_CHANCE,
    logged,
    train,
    training_config,
    write_data_set,
)
from tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_data_set(root / "set")
    return root / "set"


def train_in_two_processes(config):
    """Start tools/dist_train.sh and return the losses of each process."""
    config = config | dict(
        custom_imports=dict(imports=["mmseg_rloss", "tests.engine.training"]),
        custom_hooks=[dict(type="ProvideImagesHook"), dict(type="WriteLosses")],
    )
    work_dir = Path(config["work_dir"])
    Config(config).dump(work_dir / "config.py")
    environment = os.environ | dict(
        PYTHON=sys.executable,
        PYTHONPATH=str(REPOSITORY),
        PORT=str(free_port()),
        OMP_NUM_THREADS="1",
    )
    command = [REPOSITORY / "tools" / "dist_train.sh", work_dir / "config.py", "2"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return [json.loads((work_dir / f"losses_{rank}.json").read_text()) for rank in range(2)]


def check_losses(losses, one):
    """Each process sees half of the batch, so their mean is the loss of one that sees it all."""
    for name in ("loss", "decode.loss_ce", "decode.loss_densecrf"):
        mean = [(first[name] + second[name]) / 2 for first, second in zip(*losses, strict=True)]
        assert mean == pytest.approx(logged(one, name), rel=1e-5)
        assert losses[0][0][name] != losses[1][0][name]


@pytest.fixture(scope="module")
def one(root, tmp_path_factory):
    return train(training_config(root, tmp_path_factory.mktemp("one"), WITHOUT_CHANCE))


ZERO = dict(type="ZeroRedundancyOptimizer", optimizer_type="SGD", lr=0.01)


@pytest.mark.parametrize("optimizer", [dict(type="SGD", lr=0.01), ZERO], ids=["SGD", "ZeRO"])
def test_two_processes_train_as_one_does_on_the_joint_batch(root, tmp_path, one, optimizer):
    config = training_config(root, tmp_path, WITHOUT_CHANCE)
    config["train_dataloader"]["batch_size"] = 1
    config["optim_wrapper"]["optimizer"] = optimizer
    # MMEngine deadlocks when it saves a ZeroRedundancyOptimizer.
    config["default_hooks"]["checkpoint"] |= dict(save_last=True, save_optimizer=False)
    check_losses(train_in_two_processes(config), one)
    checkpoint = torch.load(tmp_path / "iter_2.pth", weights_only=False)
    torch.testing.assert_close(
        checkpoint["state_dict"], one.model.state_dict(), rtol=1e-5, atol=1e-7
    )


def test_fully_sharded_parameters_train_as_one_process_does(root, tmp_path, one):
    """MMEngine's FSDPStrategy, as a GPU would run it but for the device.

    The second loss tells of the parameters: PyTorch crashes when it gathers them on a CPU.
    """
    config = training_config(root, tmp_path, WITHOUT_CHANCE)
    config["train_dataloader"]["batch_size"] = 1
    config |= dict(
        runner_type="FlexibleRunner",
        strategy=dict(
            type="FSDPStrategy",
            model_wrapper=dict(type="FullyShardedOnCPU"),
            state_dict_cfg="full",
        ),
        env_cfg=dict(),  # FlexibleRunner stumbles over its absence.
    )
    check_losses(train_in_two_processes(config), one)
