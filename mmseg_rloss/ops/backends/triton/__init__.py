"""Triton kernels on the GPU, in float32; what they are not made for goes to the twins."""

from ..reference import mean_field
from . import lattice, probabilities
from .launch import is_available

__all__ = ["is_available", "lattice", "mean_field", "probabilities"]
