"""Gaussian filtering on the permutohedral lattice and the losses upon it, on torch alone."""

from .dense_crf_inference import dense_crf_inference
from .dense_energy_loss import DenseEnergyLoss, dense_energy_loss
from .densecrf_loss import DenseCRFLoss, densecrf_loss
from .gaussian_filter import bilateral_filter, gaussian_filter_exact, permutohedral_filter
from .normalized_cut_loss import (
    KernelCutLoss,
    NormalizedCutLoss,
    kernel_cut_loss,
    normalized_cut_loss,
)

__all__ = [
    "DenseCRFLoss",
    "DenseEnergyLoss",
    "KernelCutLoss",
    "NormalizedCutLoss",
    "bilateral_filter",
    "dense_crf_inference",
    "dense_energy_loss",
    "densecrf_loss",
    "gaussian_filter_exact",
    "kernel_cut_loss",
    "normalized_cut_loss",
    "permutohedral_filter",
]
