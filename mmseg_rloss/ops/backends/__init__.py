"""The implementations of the kernels, one package each, and the choice between them.

Every backend is a package with the same modules: ``lattice``, ``mean_field`` and
``probabilities``. They take tensors that the public functions have checked.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator, Sequence
from types import ModuleType

import torch

from . import native, reference

PARTS = ("lattice", "probabilities", "mean_field")

_replaced: dict[str, ModuleType] = {}  # by part


def available() -> dict[str, ModuleType]:
    """The backends that can run here, by name."""
    from . import triton

    found = {"reference": reference}
    found |= {"native": native} if native.is_available() else {}
    return found | ({"triton": triton} if triton.is_available() else {})


def select(device: torch.device) -> ModuleType:
    """The fastest backend for tensors on ``device``, or what :func:`replaced` has put there."""
    if not _replaced:
        return _fastest(device)
    mixed = ModuleType("replaced")
    for part in PARTS:
        setattr(mixed, part, _replaced.get(part) or getattr(_fastest(device), part))
    return mixed


@contextlib.contextmanager
def replaced(name: str, parts: Sequence[str]) -> Iterator[None]:
    """Take parts of another available backend within the context, in all threads."""
    before = dict(_replaced)
    _replaced.update({part: getattr(available()[name], part) for part in parts})
    try:
        yield
    finally:
        _replaced.clear()
        _replaced.update(before)


def _fastest(device: torch.device) -> ModuleType:
    if device.type == "cuda":  # ROCm's devices go by that name
        from . import triton  # not above: where it is installed, it takes half a second

        if triton.is_available():
            return triton
    if device.type != "cpu":
        return reference
    if not native.is_available():
        _warn_once(
            "mmseg_rloss runs in plain PyTorch, many times slower than its compiled kernels: "
            "the extension is not built for this Python. Install a C++17 compiler and build it: "
            "with `make setup` in the project's folder, elsewhere with `pip install "
            "--force-reinstall --no-deps --no-cache-dir --no-binary mmseg-rloss mmseg-rloss`."
        )
        return reference
    return native


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=2)
