"""The readable twins of all kernels, in plain PyTorch, on any device."""

from . import lattice, probabilities

__all__ = ["lattice", "probabilities"]
