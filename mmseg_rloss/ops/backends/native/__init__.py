"""The compiled kernels on the CPU (csrc/)."""

from . import lattice, probabilities

__all__ = ["is_available", "lattice", "probabilities"]


def is_available() -> bool:
    """Whether the extension has been built for this Python."""
    return lattice.is_available()
