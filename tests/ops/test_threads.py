"""How many threads the filter takes."""

import os

import pytest
import torch

from mmseg_rloss.ops import bilateral_filter, set_num_threads, threads
from mmseg_rloss.ops.backends.native import lattice as native

LAUNCHERS = (  # from the nearest to the process to the farthest
    "LOCAL_WORLD_SIZE",
    "SLURM_NTASKS_PER_NODE",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MPI_LOCALNRANKS",
)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in (threads.ENVIRONMENT_VARIABLE, *LAUNCHERS, "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)


def on_processors(monkeypatch, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(count)), raising=False)


def test_default_is_every_processor_of_the_process():
    assert threads.num_threads() == len(os.sched_getaffinity(0))


def test_openmps_setting_does_not_count(monkeypatch):
    expected = threads.num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    assert threads.num_threads() == expected
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_local_ranks_share_the_processors(monkeypatch, launcher):
    on_processors(monkeypatch, 16)
    monkeypatch.setenv(launcher, "4")
    assert threads.num_threads() == 4
    monkeypatch.setenv(launcher, "64")
    assert threads.num_threads() == 1


def test_the_launcher_nearest_to_the_process_counts(monkeypatch):
    """torchrun within Slurm starts more processes than Slurm knows of."""
    on_processors(monkeypatch, 16)
    for ranks, launcher in zip(("1", "2", "4", "8"), reversed(LAUNCHERS), strict=True):
        monkeypatch.setenv(launcher, ranks)
        assert threads.num_threads() == 16 // int(ranks)


def test_slurms_notation_of_equal_nodes(monkeypatch):
    on_processors(monkeypatch, 16)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "8(x2)")
    assert threads.num_threads() == 2


def test_slurms_share_of_a_process_counts_whether_or_not_the_process_is_bound_to_it(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "4")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    for processors, expected in {16: 3, 3: 3, 2: 2}.items():
        on_processors(monkeypatch, processors)
        assert threads.num_threads() == expected
    on_processors(monkeypatch, 6)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # torchrun within a task of Slurm
    assert threads.num_threads() == 3


def test_environment_variable_decides(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv(threads.ENVIRONMENT_VARIABLE, "7")
    assert threads.num_threads() == 7


@pytest.mark.parametrize("setting", ["0", "-1", "many", "1.5"])
def test_bad_environment_variable_is_named(monkeypatch, setting):
    monkeypatch.setenv(threads.ENVIRONMENT_VARIABLE, setting)
    with pytest.raises(ValueError, match=f"MMSEG_RLOSS_NUM_THREADS.*{setting}"):
        threads.num_threads()


def threads_used(monkeypatch) -> int:
    """How many threads the compiled filter is told to use."""
    used = []
    build = native._native.build_lattice

    def watched(*args, num_threads, **kwargs):
        used.append(num_threads)
        return build(*args, num_threads=num_threads, **kwargs)

    monkeypatch.setattr(native._native, "build_lattice", watched)
    bilateral_filter(torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2), 15, 20)
    return used[0]


def test_the_choice_comes_first_and_the_default_is_found_at_each_call(monkeypatch):
    assert threads_used(monkeypatch) == len(os.sched_getaffinity(0))
    monkeypatch.setenv(threads.ENVIRONMENT_VARIABLE, "7")
    assert threads_used(monkeypatch) == 7
    set_num_threads(3)
    try:
        assert threads_used(monkeypatch) == 3
    finally:
        set_num_threads(None)
    assert threads_used(monkeypatch) == 7


@pytest.mark.parametrize(
    "count, error", [(2.0, TypeError), (True, TypeError), (0, ValueError), (1 << 31, ValueError)]
)
def test_a_bad_choice_is_named_and_changes_nothing(count, error):
    before = threads.num_threads()
    with pytest.raises(error, match="count must be"):
        set_num_threads(count)
    assert threads.num_threads() == before


def test_a_launchers_variable_that_is_not_a_number_is_named(monkeypatch):
    monkeypatch.delenv(threads.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "abc")
    with pytest.raises(ValueError, match="LOCAL_WORLD_SIZE must be a positive integer.*'abc'"):
        threads.num_threads()
