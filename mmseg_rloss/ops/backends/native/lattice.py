"""The compiled lattice for tensors on the CPU (csrc/lattice says how it works)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...threads import num_threads
from ..reference import lattice as reference

try:
    from .. import _native
except ImportError:
    _native = None  # type: ignore[assignment]


class Lattice(NamedTuple):
    """A lattice in C++, and the type in which it filters."""

    native: Any
    dtype: torch.dtype


def is_available() -> bool:
    """Whether the extension has been built for this Python."""
    return _native is not None


def instruction_sets() -> list[str]:
    """The instruction sets that the kernels can use on this machine, the one in use last."""
    return _native.instruction_sets()


def build(
    planes: Tensor,
    bandwidth: float,
    position_bandwidth: float | None,
    instruction_set: str | None = None,
) -> Lattice:
    """Build the lattice of ``planes`` (N, C, *S) over their bandwidth and, if any, the position."""
    native = _native.build_lattice(
        planes.flatten(2).numpy(),
        bandwidth,
        position_bandwidth,
        planes.shape[-1],
        num_threads=num_threads(),
        instruction_set=instruction_set or instruction_sets()[-1],
    )
    if native is not None:
        return Lattice(native, planes.dtype)
    reference.check_resolved(planes, position_bandwidth is not None)
    # So far from the origin, float32 has no bits left for the position in a simplex.
    return build(planes.double(), bandwidth, position_bandwidth, instruction_set)


def filter(
    lattice: Lattice,
    values: Tensor,
    blur: str,
    instruction_set: str | None = None,
) -> Tensor:
    """Splat, blur and slice ``values`` (N, K, *S)."""
    source = values.to(lattice.dtype).contiguous()
    result = torch.empty_like(source)
    lattice.native.filter(
        *(source.flatten(2).numpy(), result.flatten(2).numpy()),
        *(blur, num_threads(), instruction_set or instruction_sets()[-1]),
    )
    return result.to(values.dtype)


def associate(
    lattice: Lattice,
    values: Tensor,
    region: Tensor,
    instruction_set: str | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Filter ``values`` (N, K, *S) in both orders, and sum up as the twin does.

    ``overwrite`` puts the result where the values are, if they are contiguous: a chunk of an
    image's channels is read before any of it is written.
    """
    source = values.to(lattice.dtype).contiguous()
    region = region.to(lattice.dtype).contiguous()
    result = source if overwrite else torch.empty_like(source)
    association, volume = (torch.empty(values.shape[:2], dtype=torch.float64) for _ in range(2))
    lattice.native.associate(
        *(source.flatten(2).numpy(), region.flatten(1).numpy(), result.flatten(2).numpy()),
        *(association.numpy(), volume.numpy()),
        *(num_threads(), instruction_set or instruction_sets()[-1]),
    )
    return result.to(values.dtype), association.to(values.dtype), volume.to(values.dtype)
