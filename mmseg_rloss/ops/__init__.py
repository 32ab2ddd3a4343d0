"""Gaussian filtering on the permutohedral lattice and the losses upon it, on torch alone."""

from .lattice import Lattice, bilateral_filter, gaussian_filter_exact, permutohedral_filter
from .layers import (
    DenseCRFLoss,
    DenseEnergyLoss,
    KernelCutLoss,
    NormalizedCutLoss,
    SelfLabelLoss,
    dense_energy_loss,
    densecrf_loss,
    kernel_cut_loss,
    normalized_cut_loss,
    self_label_loss,
)
from .mean_field import dense_crf_inference
from .probabilities import scaled_probabilities
from .scene import Scene
from .threads import set_num_threads

__all__ = [
    "DenseCRFLoss",
    "DenseEnergyLoss",
    "KernelCutLoss",
    "Lattice",
    "NormalizedCutLoss",
    "Scene",
    "SelfLabelLoss",
    "bilateral_filter",
    "dense_crf_inference",
    "dense_energy_loss",
    "densecrf_loss",
    "gaussian_filter_exact",
    "kernel_cut_loss",
    "normalized_cut_loss",
    "permutohedral_filter",
    "scaled_probabilities",
    "self_label_loss",
    "set_num_threads",
]
