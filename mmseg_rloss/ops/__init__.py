"""Gaussian filtering on the permutohedral lattice and the original's layer, on torch alone."""

from .dense_crf_inference import dense_crf_inference
from .densecrf_loss import DenseCRFLoss, densecrf_loss
from .gaussian_filter import bilateral_filter, gaussian_filter_exact, permutohedral_filter

__all__ = [
    "DenseCRFLoss",
    "bilateral_filter",
    "dense_crf_inference",
    "densecrf_loss",
    "gaussian_filter_exact",
    "permutohedral_filter",
]
