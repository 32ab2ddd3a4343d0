"""A Slurm of one node on this machine, with its own settings, key and state."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.ports import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "scontrol", "sinfo", "scancel")
PATH = f"{os.environ['PATH']}:/usr/sbin"  # where systems keep their daemons
PARTITION = "test"
SECONDS_TO_START = 60

# More processors than the machine may have, so that two tasks always find room. The two GPUs are
# files, which Slurm only counts.
SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 Gres=gpu:2
PartitionName={partition} Nodes={host} Default=YES
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name, path=PATH)]


@contextlib.contextmanager
def one_node() -> Iterator[dict[str, str]]:
    """Start a cluster, give the environment in which srun reaches it, and stop it."""
    # A socket's path must be shorter than those of pytest's folders.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        write_settings(folder)
        environment = os.environ | dict(SLURM_CONF=str(folder / "slurm.conf"), PATH=PATH)
        munge = {
            "key-file": "munge.key",
            "socket": "munge.socket",
            "pid-file": "munge.pid",
            "log-file": "munge.log",
            "seed-file": "munge.seed",
        }
        files = [f"--{option}={folder / file}" for option, file in munge.items()]
        for command in (
            ["munged", "--foreground", "--force", *files],  # though others can read no folder of it
            ["slurmctld", "-D", "-c"],
            ["slurmd", "-D"],
        ):
            stack.enter_context(daemon(command, environment, folder))
        wait_until_idle(environment, folder)
        yield environment
        subprocess.run(["scancel", f"--partition={PARTITION}"], env=environment, check=True)


def write_settings(folder: Path) -> None:
    for part in ("state", "spool"):
        (folder / part).mkdir()
    settings = dict(
        folder=folder,
        host=socket.gethostname().partition(".")[0],
        ports=(free_port(), free_port()),
        user=getpass.getuser(),
        partition=PARTITION,
    )
    (folder / "slurm.conf").write_text(SETTINGS.format_map(settings))
    for gpu in range(2):
        (folder / f"gpu{gpu}").touch()
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-1]\n")
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))


@contextlib.contextmanager
def daemon(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    command = ["sinfo", "--noheader", "--format=%t"]
    while True:
        sinfo = subprocess.run(command, env=environment, capture_output=True, text=True)
        if sinfo.stdout.strip() == "idle":
            return
        logs = "\n".join(log.read_text() for log in folder.glob("*.out"))
        assert time.monotonic() < end, f"Slurm does not start.\n{sinfo}\n{logs}"
        time.sleep(0.1)
