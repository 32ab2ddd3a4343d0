"""Two processes on the CPU, started as a user starts them."""

import json
import os
import socket
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


def train_in_two_processes(config, work_dir):
    """Start tools/dist_train.sh and return each process's losses and the last checkpoint."""
    config = config | dict(
        custom_imports=dict(imports=["mmseg_rloss", "tests.engine.training"]),
        custom_hooks=[dict(type="ProvideImagesHook"), dict(type="WriteLosses")],
        work_dir=str(work_dir),
    )
    config["default_hooks"]["checkpoint"]["save_last"] = True
    Config(config).dump(work_dir / "config.py")
    environment = os.environ | dict(
        PYTHON=sys.executable,
        PYTHONPATH=str(REPOSITORY),
        PORT=str(free_port()),
        OMP_NUM_THREADS="1",
    )
    command = [REPOSITORY / "tools" / "dist_train.sh", work_dir / "config.py", "2"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    losses = [json.loads((work_dir / f"losses_{rank}.json").read_text()) for rank in range(2)]
    checkpoint = torch.load(work_dir / "iter_2.pth", weights_only=False)
    return losses, checkpoint["state_dict"]


def test_two_processes_train_as_one_does_on_the_joint_batch(root, tmp_path):
    config = training_config(root, tmp_path / "one", WITHOUT_CHANCE)
    config["default_hooks"]["checkpoint"]["save_last"] = True
    one = train(config)
    config["train_dataloader"]["batch_size"] = 1
    (tmp_path / "two").mkdir()
    losses, parameters = train_in_two_processes(config, tmp_path / "two")
    for name in ("loss", "decode.loss_ce", "decode.loss_densecrf"):
        mean = [(first[name] + second[name]) / 2 for first, second in zip(*losses, strict=True)]
        assert mean == pytest.approx(logged(one, name), rel=1e-5)
        assert losses[0][0][name] != losses[1][0][name]
    torch.testing.assert_close(parameters, one.model.state_dict(), rtol=1e-5, atol=1e-7)
