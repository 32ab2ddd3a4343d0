"""tools/slurm_train.sh under a real Slurm of one node, whose tasks have no GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import slurm
from tests.engine.training import (
    WITHOUT_CHANCE,
    check_losses,
    check_weights,
    train,
    training_config,
    write_config,
    write_data_set,
)
from tests.ports import free_port

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    bool(slurm.missing()),
    reason=f"apt-get install slurm-wlm munge: {', '.join(slurm.missing())} missing",
)


@pytest.fixture(scope="module")
def cluster():
    with slurm.one_node() as environment:
        yield environment


def slurm_train(cluster, config, **shape):
    """Run tools/slurm_train.sh on two tasks."""
    environment = dict(GPUS="2", CPUS_PER_TASK="1", PORT=str(free_port()), PYTHON=sys.executable)
    command = [ROOT / "tools" / "slurm_train.sh", slurm.PARTITION, "job", config]
    return subprocess.run(
        command,
        env={**cluster, "PYTHONPATH": str(ROOT), **environment, **shape},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_two_tasks_train_as_one_process_does_on_the_joint_batch(cluster, tmp_path):
    write_data_set(tmp_path / "set")
    one = train(training_config(tmp_path / "set", tmp_path / "one", WITHOUT_CHANCE))
    config = training_config(tmp_path / "set", tmp_path / "two", WITHOUT_CHANCE)
    config["train_dataloader"]["batch_size"] = 1
    config["default_hooks"]["checkpoint"] |= dict(save_last=True)
    finished = slurm_train(cluster, write_config(config), GPUS_PER_NODE="0")
    assert finished.returncode == 0, finished.stderr
    check_losses(tmp_path / "two", one)
    check_weights(tmp_path / "two" / "iter_2.pth", one)


def python(folder, script):
    """A stand-in for the interpreter, in the place of which each task runs a shell script."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("gpus, seen", [("2", "2"), ("0", "no")])
def test_the_tasks_get_the_gpus_and_processors_that_were_asked_for(cluster, tmp_path, gpus, seen):
    given = "${SLURM_GPUS_ON_NODE:-no} GPUs, $SLURM_CPUS_PER_TASK $OMP_NUM_THREADS"
    recorder = python(tmp_path, f"echo $SLURM_PROCID of $SLURM_NTASKS: {given}")
    cluster = {name: value for name, value in cluster.items() if name != "OMP_NUM_THREADS"}
    finished = slurm_train(
        cluster, "config.py", GPUS_PER_NODE=gpus, CPUS_PER_TASK="3", PYTHON=recorder
    )
    assert finished.returncode == 0, finished.stderr
    assert sorted(finished.stdout.splitlines()) == [
        f"{rank} of 2: {seen} GPUs, 3 3" for rank in range(2)
    ]


def test_a_task_that_fails_ends_the_others(cluster, tmp_path):
    failing = python(tmp_path, "[ $SLURM_PROCID = 1 ] && exit 3; sleep 60 && echo left")
    finished = slurm_train(cluster, "config.py", GPUS_PER_NODE="0", PYTHON=failing)
    assert finished.returncode != 0
    assert "task 1: Exited with exit code 3" in finished.stderr
    assert "left" not in finished.stdout
