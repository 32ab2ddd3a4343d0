"""How many threads the compiled kernels use."""

from __future__ import annotations

import os

from .checks import check_count

ENVIRONMENT_VARIABLE = "MMSEG_RLOSS_NUM_THREADS"

# Processes of one job on this machine: torchrun, Slurm, Open MPI, MPICH and Intel MPI.
_LOCAL_RANKS = (
    "LOCAL_WORLD_SIZE",
    "SLURM_NTASKS_PER_NODE",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MPI_LOCALNRANKS",
)
_SLURMS_SHARE = "SLURM_CPUS_PER_TASK"  # processors that were asked for each process

_chosen: int | None = None


def set_num_threads(count: int | None) -> None:
    """Choose how many threads the compiled kernels use on the CPU, in this process.

    No result depends on it, bit for bit.

    Args:
        count: At least 1, or None for what the machine offers: see :func:`num_threads`.

    Raises:
        TypeError: ``count`` is not an integer.
        ValueError: ``count`` is below 1 or beyond 32 bits.
    """
    global _chosen
    if count is not None:
        count = check_count("count", count, least=1)
    _chosen = count


def num_threads() -> int:
    """The number of threads that the compiled kernels use.

    What :func:`set_num_threads` chose, else the environment variable ``MMSEG_RLOSS_NUM_THREADS``.
    Without either, these are the processors on which the process may run, divided among the
    processes of the job on this machine, or as many of them as Slurm was asked for each process.
    OpenMP's setting does not count: launchers set it to 1 for the data loaders' sake, which
    would slow the filter down.

    Raises:
        ValueError: That environment variable, or the launcher's, is not a positive integer.
    """
    if _chosen is not None:
        return _chosen
    setting = os.environ.get(ENVIRONMENT_VARIABLE)
    if setting:
        return _parse_setting(ENVIRONMENT_VARIABLE, setting)
    ranks = next((name for name in _LOCAL_RANKS if os.environ.get(name)), None)
    # Slurm may have bound the process to its share already. torchrun divides the share further.
    share = os.environ.get(_SLURMS_SHARE)
    if share and ranks != "LOCAL_WORLD_SIZE":
        return min(_parse_setting(_SLURMS_SHARE, share), _num_processors())
    # Slurm may write "4(x2)": four tasks on each of two nodes.
    num_ranks = 1 if ranks is None else _parse_setting(ranks, os.environ[ranks].partition("(")[0])
    return max(1, _num_processors() // num_ranks)


def _parse_setting(variable: str, setting: str) -> int:
    if not setting.isdecimal() or not 1 <= int(setting) < 1 << 31:
        raise ValueError(
            f"the environment variable {variable} must be a positive integer below 2^31, "
            f"not {setting!r}"
        )
    return int(setting)


def _num_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
