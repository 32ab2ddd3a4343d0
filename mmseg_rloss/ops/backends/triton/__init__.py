"""Triton kernels on the GPU, in float32; what they are not made for goes to the twins."""

from ..reference import mean_field
from . import lattice

__all__ = ["is_available", "lattice", "mean_field"]


def is_available() -> bool:
    """Whether Triton is installed."""
    return lattice.is_available()
