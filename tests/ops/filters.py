"""Build a lattice by some backend and filter on it at once."""

from __future__ import annotations

from types import ModuleType

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
