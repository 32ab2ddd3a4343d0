"""The implementations of the kernels, one package each, and the choice between them.

Every backend is a package with the same modules: ``lattice``, ``mean_field`` and
``probabilities``. They take tensors that the public functions have checked.
"""

from __future__ import annotations

import functools
import warnings
from types import ModuleType

import torch

from . import native, reference


def select(device: torch.device) -> ModuleType:
    """The fastest backend for tensors on ``device``."""
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
