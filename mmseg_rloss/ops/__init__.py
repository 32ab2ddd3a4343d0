"""Gaussian filtering on the permutohedral lattice and the original's layer, on torch alone."""

from .densecrf_loss import DenseCRFLoss, densecrf_loss
from .gaussian_filter import bilateral_filter, gaussian_filter_exact, permutohedral_filter

__all__ = [
    "DenseCRFLoss",
    "bilateral_filter",
    "densecrf_loss",
    "gaussian_filter_exact",
    "permutohedral_filter",
]
