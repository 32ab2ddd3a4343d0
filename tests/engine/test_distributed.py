"""Two processes on the CPU, told of each other as torchrun does it.

tests/smoke starts them by tools/dist_train.sh.
"""

import pytest

from tests.children import ROOT, run_two_processes
from tests.engine.training import (
    WITHOUT_CHANCE,
    check_losses,
    check_weights,
    train,
    training_config,
    write_config,
)


def train_in_two_processes(config):
    for process in run_two_processes(ROOT / "tools" / "train.py", write_config(config)):
        assert process.returncode == 0, process.stderr


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
    train_in_two_processes(config)
    check_losses(tmp_path, one)
    check_weights(tmp_path / "iter_2.pth", one)


def test_fully_sharded_parameters_train_as_one_process_does(root, tmp_path, one):
    """MMEngine's FSDPStrategy, as a GPU would run it but for the device.

    The second loss stands for the parameters: PyTorch crashes when it gathers them on a CPU.
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
    train_in_two_processes(config)
    check_losses(tmp_path, one)
