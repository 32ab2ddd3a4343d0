"""How many threads one call of the compiled filter uses."""

from __future__ import annotations

import os

ENVIRONMENT_VARIABLE = "MMSEG_RLOSS_NUM_THREADS"

# Processes of one job on this machine: torchrun, Slurm, Open MPI, MPICH and Intel MPI.
_LOCAL_RANKS = (
    "LOCAL_WORLD_SIZE",
    "SLURM_NTASKS_PER_NODE",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MPI_LOCALNRANKS",
)


def default_num_threads() -> int:
    """What the machine offers to this process.

    The environment variable ``MMSEG_RLOSS_NUM_THREADS`` decides where it is set. Otherwise these
    are the processors on which the process may run, divided among the processes of the job on
    this machine. OpenMP's setting does not count: launchers set it to 1 for the data loaders'
    sake, and the filter would crawl.

    Raises:
        ValueError: The environment variable is no positive integer.
    """
    setting = os.environ.get(ENVIRONMENT_VARIABLE)
    if setting:
        return _parse_setting(setting)
    ranks = next((os.environ[name] for name in _LOCAL_RANKS if os.environ.get(name)), "1")
    # Slurm may write "4(x2)": four tasks on each of two nodes.
    return max(1, _num_processors() // max(1, int(ranks.partition("(")[0])))


def check_num_threads(num_threads: int | None) -> int:
    """The argument ``num_threads`` as an op takes it: 0 for the default, found when it runs."""
    if num_threads is None:
        return 0
    if isinstance(num_threads, bool) or not isinstance(num_threads, int):
        raise TypeError(f"num_threads must be an int or None, not {type(num_threads).__name__}")
    if num_threads < 1:
        raise ValueError(f"num_threads must be at least 1, not {num_threads}: use None for all")
    return num_threads


def _parse_setting(setting: str) -> int:
    if not setting.isdecimal() or int(setting) < 1:
        raise ValueError(
            f"the environment variable {ENVIRONMENT_VARIABLE} must be a positive integer, "
            f"not {setting!r}"
        )
    return int(setting)


def _num_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
