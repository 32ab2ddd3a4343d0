"""The readable twins of all kernels, in plain PyTorch, on any device."""

from . import lattice, mean_field, probabilities

__all__ = ["lattice", "mean_field", "probabilities"]
