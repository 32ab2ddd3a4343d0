"""Gaussian filtering on the permutohedral lattice and the losses built on it, on torch alone."""

from . import functional, layers
from .functional import *  # noqa: F403
from .lattice import Lattice, bilateral_filter, gaussian_filter_exact, permutohedral_filter
from .layers import *  # noqa: F403
from .mean_field import dense_crf_inference
from .probabilities import scaled_probabilities
from .scene import Scene
from .threads import set_num_threads

__all__ = [
    *functional.__all__,
    *layers.__all__,
    "Lattice",
    "Scene",
    "bilateral_filter",
    "dense_crf_inference",
    "gaussian_filter_exact",
    "permutohedral_filter",
    "scaled_probabilities",
    "set_num_threads",
]
