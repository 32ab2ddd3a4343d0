"""The compiled mean-field inference on the CPU (csrc/mean_field says how it works)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...threads import num_threads
from ..reference import mean_field as reference
from ..reference.lattice import BLUR_ASCENDING
from . import lattice as lattices

try:
    from .. import _native
except ImportError:
    _native = None  # type: ignore[assignment]


def infer(
    log_probabilities: Tensor,
    kernels: list[reference.Kernel],
    iterations: int,
    instruction_set: str | None = None,
) -> Tensor:
    """The marginals (N, K, *S) after updates of all pixels at once.

    Where a lattice had to be built in a wider type, or has more dimensions than the kernels are
    made for, the twin takes over, which filters on it.
    """
    if not all(_is_compiled(kernel.lattice, log_probabilities.dtype) for kernel in kernels):
        return reference.infer(log_probabilities, kernels, iterations)
    flat = log_probabilities.flatten(2).contiguous()  # (N, K, P)
    result = torch.empty_like(flat)
    _native.mean_field(
        flat.numpy(),
        [(k.lattice.native, _norms(k.lattice, flat, instruction_set), k.weight) for k in kernels],
        iterations,
        result.numpy(),
        num_threads(),
        instruction_set or lattices.instruction_sets()[-1],
    )
    return result.view(log_probabilities.shape)


def _is_compiled(lattice: object, dtype: torch.dtype) -> bool:
    if not isinstance(lattice, lattices.Lattice):
        return False
    return lattice.dtype == dtype and not lattice.native.has_links


def _norms(lattice: lattices.Lattice, like: Tensor, instruction_set: str | None) -> np.ndarray:
    """D^-1/2 of the lattice's images, (images, P)."""
    ones = like.new_ones(lattice.native.num_images, 1, like.shape[2])
    degrees = lattices.filter(lattice, ones, BLUR_ASCENDING, instruction_set)
    return degrees.rsqrt_().squeeze(1).numpy()
