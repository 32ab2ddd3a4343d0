"""Build a lattice by some backend and filter on it at once; features on its points."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from mmseg_rloss.ops.backends.reference import lattice as reference


def filter_by_image(
    image: Tensor,
    values: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    blur: str = "both",
    backend: ModuleType = reference,
    **options: object,
) -> Tensor:
    """Filter (N, K, H, W); ``options`` are the backend's own."""
    lattice = backend.build(image, sigma_rgb, sigma_xy, **options)
    return backend.filter(lattice, values, blur, **options)


def filter_by_features(
    features: Tensor,
    values: Tensor,
    blur: str = "both",
    backend: ModuleType = reference,
    **options: object,
) -> Tensor:
    """Filter (N, K, P); ``options`` are the backend's own."""
    return backend.filter(backend.build(features, 1.0, None, **options), values, blur, **options)


def features_of(point: list[int], dim: int) -> list[float]:
    """The features that lie on a lattice point, given by its first coordinates."""
    remainder = -sum(point) % (dim + 1)
    last = -(sum(point) + remainder) // (dim + 1)
    elevated = [(dim + 1) * (u + last) + remainder for u in point]
    elevated.append((dim + 1) * last + remainder)
    basis = []
    for j, scale in enumerate(reference.elevation_scales(dim), start=1):
        basis.append([scale * (1 if i < j else -j if i == j else 0) for i in range(dim + 1)])
    basis = torch.tensor(basis, dtype=torch.float64)
    return torch.linalg.lstsq(basis.T, torch.tensor(elevated).double()).solution.tolist()
