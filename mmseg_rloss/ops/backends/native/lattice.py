"""The compiled lattice for tensors on the CPU (csrc/lattice.hpp says how it works)."""

from __future__ import annotations

import torch
from torch import Tensor

from ...threads import default_num_threads
from ..reference.lattice import check_resolved

try:
    from .. import _native
except ImportError:
    _native = None


def is_available() -> bool:
    """Whether the extension has been built for this Python."""
    return _native is not None


def permutohedral_filter(features: Tensor, values: Tensor, blur: str, num_threads: int) -> Tensor:
    """Filter ``values`` (N, K, P) by the unit Gaussian of ``features`` (N, D, P)."""
    return run(features, 1.0, 0.0, 0, values, blur, num_threads, instruction_sets()[-1])


def bilateral_filter(
    image: Tensor,
    values: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    blur: str,
    num_threads: int,
) -> Tensor:
    """Filter ``values`` (N, K, H, W) by position and the colours of ``image`` (N, C, H, W)."""
    width, best = image.shape[-1], instruction_sets()[-1]
    return run(image, sigma_rgb, sigma_xy, width, values, blur, num_threads, best)


def instruction_sets() -> list[str]:
    """The instruction sets that the kernels can use on this machine, the one in use last."""
    return _native.instruction_sets()


def run(
    planes: Tensor,
    divisor: float,
    position_divisor: float,
    width: int,
    values: Tensor,
    blur: str,
    num_threads: int,
    instruction_set: str,
) -> Tensor:
    """Filter by ``planes / divisor``, and by the position too where there is a ``width``."""
    result = torch.empty_like(values)
    stages = _native.filter(
        planes.flatten(2).numpy(),
        divisor,
        position_divisor,
        width,
        values.flatten(2).numpy(),
        result.flatten(2).numpy(),
        blur,
        num_threads or default_num_threads(),
        instruction_set,
    )
    if stages is not None:
        return result
    check_resolved("image" if width else "features", planes)
    # So far from the origin, float32 has no bits left for the position in a simplex.
    return run(
        planes.double(),
        divisor,
        position_divisor,
        width,
        values.double(),
        blur,
        num_threads,
        instruction_set,
    ).to(values.dtype)
