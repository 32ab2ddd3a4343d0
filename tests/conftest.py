"""Imported before any test: MMSegmentation can be, under the official stack, only after this."""

import gc
import os
import signal

import pytest
import torch

if not torch.cuda.is_available():
    # Triton reads this when it is imported. Its interpreter runs the kernels on the CPU.
    os.environ.setdefault("TRITON_INTERPRET", "1")

import mmseg_rloss.ops
from tests import children

# A shell lets what it runs in the background ignore Ctrl-C, of which some tests ask the effect.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def threads_by_default():
    """No test leaves the next one the number of threads that it chose, as benchmarks do."""
    yield
    mmseg_rloss.ops.set_num_threads(None)


@pytest.fixture(scope="session", autouse=True)
def no_interpreter_is_left():
    """The interpreter of the tools ends before the coverage of all is put together."""
    yield
    children.close_interpreter_of_tools()


def pytest_collection_finish() -> None:
    """Take what was imported out of garbage collections, which each MMEngine data set begins with:
    they took a quarter of a second.
    """
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()
