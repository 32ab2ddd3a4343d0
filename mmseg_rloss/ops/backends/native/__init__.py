"""The compiled kernels on the CPU (csrc/), in float32 and float64."""

from . import lattice, mean_field, probabilities

__all__ = ["is_available", "lattice", "mean_field", "probabilities"]


def is_available() -> bool:
    """Whether the extension has been built for this Python."""
    return lattice.is_available()
