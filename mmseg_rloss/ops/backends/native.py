"""The compiled lattice for tensors on the CPU (csrc/)."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from . import reference

try:
    from . import _native
except ImportError:
    _native = None


def is_available() -> bool:
    """Whether the extension has been built for this Python."""
    return _native is not None


def permutohedral_filter(
    features: Tensor, values: Tensor, blur: str, num_threads: int | None = None
) -> Tensor:
    """Filter ``values`` (N, K, P) by the unit Gaussian of ``features`` (N, D, P)."""
    return _filter(features, 1.0, 0.0, 0, values, blur, num_threads)


def bilateral_filter(
    image: Tensor,
    values: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    blur: str,
    num_threads: int | None = None,
) -> Tensor:
    """Filter ``values`` (N, K, H, W) by position and the colours of ``image`` (N, C, H, W)."""
    width = image.shape[-1]
    return _filter(image, sigma_rgb, sigma_xy, width, values, blur, num_threads)


def instruction_sets() -> list[str]:
    """The instruction sets that the kernels can use on this machine, the one in use last."""
    return _native.instruction_sets()


def _filter(
    planes: Tensor,
    divisor: float,
    position_divisor: float,
    width: int,
    values: Tensor,
    blur: str,
    num_threads: int | None,
    instruction_set: str | None = None,
) -> Tensor:
    result = torch.empty_like(values)
    _native.filter(
        planes.flatten(2).numpy(),
        divisor,
        position_divisor,
        width,
        values.flatten(2).numpy(),
        result.flatten(2).numpy(),
        blur,
        num_threads or default_num_threads(),
        instruction_set or instruction_sets()[-1],
    )
    return result


def default_num_threads() -> int:
    """Threads of one call: what the machine offers to this process.

    The environment variable ``MMSEG_RLOSS_NUM_THREADS`` decides where it is set. Else these are
    the processors that the process may run on, shared with the other ranks on this machine.
    OpenMP's setting is left out of it: launchers set it to 1 for the sake of data loading.
    """
    return 1
