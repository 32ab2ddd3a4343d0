"""tools/dist_train.sh on two machines that reach each other by the network alone."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from tests.cluster import machines
from tests.engine.training import (
    WITHOUT_CHANCE,
    check_weights,
    train,
    training_config,
    write_config,
    write_data_set,
)

ROOT = Path(__file__).parents[2]
A_MINUTE = 60
WITHOUT_END = 100_000

missing = machines.missing()
pytestmark = pytest.mark.skipif(bool(missing), reason=missing)


@pytest.fixture
def cluster():
    with machines.two_machines() as both:
        yield both


def start(cluster, config, folder, *options, **environment):
    """Start tools/dist_train.sh on each machine; its output goes to log_0 and log_1."""
    command = [str(ROOT / "tools" / "dist_train.sh"), str(config), "1", *options]
    settings = dict(
        PYTHON=sys.executable,
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS="1",
        NNODES="2",
        MASTER_ADDR=cluster[0].address,
        **environment,
    )
    return [
        machine.start(command, os.environ | settings | dict(NODE_RANK=str(rank)), log)
        for rank, machine in enumerate(cluster)
        for log in [folder / f"log_{rank}"]
    ]


def test_a_training_survives_the_loss_of_a_machine(cluster, tmp_path):
    write_data_set(tmp_path / "set")
    config = training_config(tmp_path / "set", tmp_path / "two", WITHOUT_CHANCE)
    config["train_dataloader"]["batch_size"] = 1
    config["train_cfg"]["max_iters"] = WITHOUT_END
    config["default_hooks"]["checkpoint"] |= dict(interval=1, max_keep_ckpts=1)
    path = write_config(config)
    by_cable = dict(GLOO_SOCKET_IFNAME=machines.INTERFACE)

    first, second = start(cluster, path, tmp_path, **by_cable)
    pointer = tmp_path / "two" / "last_checkpoint"
    while not (pointer.exists() and pointer.read_text()):
        assert first.poll() is None, (tmp_path / "log_0").read_text()
        time.sleep(0.1)
    cluster[1].kill()
    second.wait()
    assert first.wait(A_MINUTE) != 0
    log = (tmp_path / "log_0").read_text()
    assert "Another process of this training has ended" in log
    assert "--resume" in log

    done = int(re.search(r"iter_(\d+)\.pth", pointer.read_text())[1])
    end = done + 2
    options = ["--resume", "--cfg-options", f"train_cfg.max_iters={end}"]
    for rank, process in enumerate(start(cluster, path, tmp_path, *options, **by_cable)):
        assert process.wait() == 0, (tmp_path / f"log_{rank}").read_text()
    assert f"resumed epoch: 0, iter: {done}" in (tmp_path / "log_0").read_text()

    config = training_config(tmp_path / "set", tmp_path / "one", WITHOUT_CHANCE)
    config["train_cfg"]["max_iters"] = end
    check_weights(tmp_path / "two" / f"iter_{end}.pth", train(config))
