"""Imported before any test: MMSegmentation can be, under the official stack, only after this."""

import gc
import os
import signal

import pytest
import torch

if not torch.cuda.is_available():
    # Triton reads this when it is imported. Its interpreter runs the kernels on the CPU.
    os.environ.setdefault("TRITON_INTERPRET", "1")

import mmseg_rloss  # noqa: F401

# A shell lets what it runs in the background ignore Ctrl-C, of which some tests ask the effect.
signal.signal(signal.SIGINT, signal.default_int_handler)

LONG = ("tests/cluster/", "tests/demo/", "tests/tools/", "tests/smoke/", "tests/engine/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process has one left at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_collection_finish() -> None:
    """Take what was imported out of garbage collections, which each MMEngine data set begins with:
    they took a quarter of a second.
    """
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()
