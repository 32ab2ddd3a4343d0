"""The implementations of the filter, one file each, and the choice between them.

Every backend is a module with ``is_available()``, ``permutohedral_filter(features, values, blur,
num_threads)`` and ``bilateral_filter(image, values, sigma_rgb, sigma_xy, blur, num_threads)``,
which take contiguous float32 or float64 tensors of one type that the public functions have
checked.
"""

from __future__ import annotations

import functools
import warnings
from types import ModuleType

import torch

from .native import lattice as native
from .reference import lattice as reference
from .triton import lattice as triton_lattice


def select(device: torch.device) -> ModuleType:
    """The fastest backend for tensors on ``device``."""
    if device.type == "cuda" and triton_lattice.is_available():  # ROCm's devices go by that name
        return triton_lattice
    if device.type != "cpu":
        return reference
    if not native.is_available():
        _warn_once(
            "mmseg_rloss runs its plain-PyTorch filter, many times slower than the compiled one: "
            "the extension is not built for this Python. Build it with `make setup`, or with "
            "`pip install --no-build-isolation -e .` in the project's folder."
        )
        return reference
    return native


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=2)
