"""Two processes on the CPU, started as a user starts them."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from tests.engine.training import (
    WITHOUT_CHANCE,
    logged,
    train,
    training_config,
    write_data_set,
)

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_data_set(root / "set")
    return root / "set"


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def train_in_two_processes(config):
    """Start tools/dist_train.sh and return each process's losses and the last checkpoint."""
    config = config | dict(
        custom_imports=dict(imports=["mmseg_rloss", "tests.engine.training"]),
        custom_hooks=[dict(type="ProvideImagesHook"), dict(type="WriteLosses")],
    )
    # MMEngine deadlocks when it saves a ZeroRedundancyOptimizer.
    config["default_hooks"]["checkpoint"] |= dict(save_last=True, save_optimizer=False)
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
    losses = [json.loads((work_dir / f"losses_{rank}.json").read_text()) for rank in range(2)]
    checkpoint = torch.load(work_dir / "iter_2.pth", weights_only=False)
    return losses, checkpoint["state_dict"]


@pytest.fixture(scope="module")
def one(root, tmp_path_factory):
    return train(training_config(root, tmp_path_factory.mktemp("one"), WITHOUT_CHANCE))


ZERO = dict(type="ZeroRedundancyOptimizer", optimizer_type="SGD", lr=0.01)


@pytest.mark.parametrize("optimizer", [dict(type="SGD", lr=0.01), ZERO], ids=["SGD", "ZeRO"])
def test_two_processes_train_as_one_does_on_the_joint_batch(root, tmp_path, one, optimizer):
    config = training_config(root, tmp_path, WITHOUT_CHANCE)
    config["train_dataloader"]["batch_size"] = 1
    config["optim_wrapper"]["optimizer"] = optimizer
    losses, parameters = train_in_two_processes(config)
    for name in ("loss", "decode.loss_ce", "decode.loss_densecrf"):
        mean = [(first[name] + second[name]) / 2 for first, second in zip(*losses, strict=True)]
        assert mean == pytest.approx(logged(one, name), rel=1e-5)
        assert losses[0][0][name] != losses[1][0][name]
    torch.testing.assert_close(parameters, one.model.state_dict(), rtol=1e-5, atol=1e-7)


def test_fully_sharded_parameters_train(root, tmp_path):
    """MMEngine's FSDPStrategy, as a GPU would run it but for the device."""
    config = training_config(root, tmp_path, WITHOUT_CHANCE)
    config["train_dataloader"]["batch_size"] = 1
    config["custom_hooks"].append(dict(type="WriteLosses"))
    torch.multiprocessing.spawn(train_sharded, (config, free_port()), nprocs=2)
    for rank in range(2):
        iterations = json.loads((tmp_path / f"losses_{rank}.json").read_text())
        assert len(iterations) == 2
        for losses in iterations:
            assert math.isfinite(losses["loss"]) and losses["decode.loss_densecrf"] < 0


def train_sharded(rank, config, port):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    wrapper = dict(type="MMFullyShardedDataParallel", device_id=torch.device("cpu"))
    config |= dict(
        runner_type="FlexibleRunner",
        load_from=None,
        launcher="pytorch",
        strategy=dict(type="FSDPStrategy", model_wrapper=wrapper),
        env_cfg=dict(),
    )
    RUNNERS.build(Config(config)).train()
    torch.distributed.destroy_process_group()
