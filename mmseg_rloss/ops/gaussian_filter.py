"""High-dimensional Gaussian filtering: the public functions, their checks and their gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import backends
from .backends.reference.lattice import BLUR_ASCENDING, BLUR_BOTH, BLUR_DESCENDING
from .library import differentiable_op
from .threads import check_num_threads


def permutohedral_filter(
    features: Tensor,
    values: Tensor,
    *,
    symmetric: bool = True,
    num_threads: int | None = None,
) -> Tensor:
    """Filter values by a Gaussian of any features, on the permutohedral lattice.

    Approximates ``sum_j exp(-|f_i - f_j|^2 / 2) v_j`` for every pixel i: un-normalised, the self
    term included, in time linear in P and K (Adams, Baek and Davis, Eurographics 2010, section
    3). As in the original, the result is scaled by ``1 / (1 + 2^-D)``; it comes to 0.5 to 0.6 of
    the exact sums on photos, which :func:`gaussian_filter_exact` computes.

    Args:
        features: (N, D, P) features divided by their bandwidths (standard deviations). Any real
            type; constant for the gradient.
        values: (N, K, P) floating-point values to filter. Half precision is filtered in float32
            and returned in its own type; float64 is filtered in float64.
        symmetric: Average the two orders of the blur, so that the filter is a symmetric matrix
            (its own adjoint). ``False`` keeps the ascending order alone, as the original does.
        num_threads: Threads of the compiled filter on the CPU. None takes the environment
            variable ``MMSEG_RLOSS_NUM_THREADS`` or, without it, the processors of this process
            divided among the local ranks. The result does not depend on it, bit for bit.

    Returns:
        (N, K, P) filtered values, of the type and on the device of ``values``, differentiable in
        ``values`` by the exact adjoint.

    Raises:
        TypeError: An argument is no tensor or ``values`` is not of floating point.
        ValueError: Shapes do not match, ``features`` require a gradient, or there is no channel.
    """
    _check_tensor("features", features, ("N", "D", "P"))
    _check_values(values, ("N", "K", "P"))
    _check_same("P", features, values, (0, 2))
    _check_constant("features", features)
    features, filtered = features.detach(), _in_compute_type(values)
    threads = check_num_threads(num_threads)
    features = features.to(filtered).contiguous()
    return _permutohedral_op(features, filtered, _blur_of(symmetric), threads).to(values.dtype)


def bilateral_filter(
    image: Tensor,
    values: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    *,
    symmetric: bool = True,
    num_threads: int | None = None,
) -> Tensor:
    """Filter values by a Gaussian of position and colour, on the permutohedral lattice.

    The affinity of pixels i and j is
    ``exp(-|xy_i - xy_j|^2 / (2 sigma_xy^2) - |rgb_i - rgb_j|^2 / (2 sigma_rgb^2))``: the
    appearance kernel of the DenseCRF loss (Tang et al., ECCV 2018, section 3). Un-normalised and
    scaled as :func:`permutohedral_filter`.

    Args:
        image: (N, C, H, W) image with values 0-255, any number of channels, any real type;
            constant for the gradient.
        values: (N, K, H, W) floating-point values, such as class probabilities.
        sigma_rgb: Bandwidth of every colour channel, in grey levels (0-255), above 0.
        sigma_xy: Bandwidth of the position, in pixels, above 0.
        symmetric: As in :func:`permutohedral_filter`.
        num_threads: As in :func:`permutohedral_filter`.

    Returns:
        (N, K, H, W) filtered values, of the type and on the device of ``values``, differentiable
        in ``values`` by the exact adjoint.

    Raises:
        TypeError: An argument is no tensor, ``values`` is not of floating point, or a bandwidth
            is no number.
        ValueError: Shapes do not match, ``image`` requires a gradient, there is no channel, or a
            bandwidth is not positive and finite.
    """
    _check_tensor("image", image, ("N", "C", "H", "W"))
    _check_values(values, ("N", "K", "H", "W"))
    _check_same("H and W", image, values, (0, 2, 3))
    _check_constant("image", image)
    check_positive("sigma_rgb", sigma_rgb)
    check_positive("sigma_xy", sigma_xy)
    filtered = _in_compute_type(values)
    image = image.detach().to(filtered).contiguous()
    sigmas = float(sigma_rgb), float(sigma_xy)
    threads = check_num_threads(num_threads)
    return _bilateral_op(image, filtered, *sigmas, _blur_of(symmetric), threads).to(values.dtype)


def gaussian_filter_exact(features: Tensor, values: Tensor) -> Tensor:
    """The sums that :func:`permutohedral_filter` approximates, by brute force.

    Takes time and memory of P^2: for tests and for images of a few thousand pixels.

    Args:
        features: (N, D, P) features divided by their bandwidths.
        values: (N, K, P) floating-point values.

    Returns:
        (N, K, P): ``sum_j exp(-|f_i - f_j|^2 / 2) v_j``, differentiable in both arguments.
    """
    _check_tensor("features", features, ("N", "D", "P"))
    _check_values(values, ("N", "K", "P"))
    _check_same("P", features, values, (0, 2))
    points = features.to(values).transpose(1, 2)  # (N, P, D)
    squared = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    return values @ torch.exp(-0.5 * squared)  # (N, K, P)


_TRANSPOSED = {
    BLUR_BOTH: BLUR_BOTH,
    BLUR_ASCENDING: BLUR_DESCENDING,
    BLUR_DESCENDING: BLUR_ASCENDING,
}


def _permutohedral(features: Tensor, values: Tensor, blur: str, num_threads: int) -> Tensor:
    if values.numel() == 0:
        return torch.empty_like(values)
    backend = backends.select(values.device).lattice
    return backend.permutohedral_filter(features, values.contiguous(), blur, num_threads)


def _permutohedral_adjoint(features: Tensor, grad: Tensor, blur: str, num_threads: int) -> Tensor:
    return _permutohedral_op(features, grad, _TRANSPOSED[blur], num_threads)


def _bilateral(
    image: Tensor, values: Tensor, sigma_rgb: float, sigma_xy: float, blur: str, num_threads: int
) -> Tensor:
    if values.numel() == 0:
        return torch.empty_like(values)
    backend = backends.select(values.device).lattice
    values = values.contiguous()
    return backend.bilateral_filter(image, values, sigma_rgb, sigma_xy, blur, num_threads)


def _bilateral_adjoint(
    image: Tensor, grad: Tensor, sigma_rgb: float, sigma_xy: float, blur: str, num_threads: int
) -> Tensor:
    return _bilateral_op(image, grad, sigma_rgb, sigma_xy, _TRANSPOSED[blur], num_threads)


_permutohedral_op = differentiable_op(
    "permutohedral_filter", _permutohedral, _permutohedral_adjoint
)
_bilateral_op = differentiable_op("bilateral_filter", _bilateral, _bilateral_adjoint)


def _blur_of(symmetric: bool) -> str:
    return BLUR_BOTH if symmetric else BLUR_ASCENDING


def _in_compute_type(values: Tensor) -> Tensor:
    """float64 stays; every other type is filtered in float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def check_positive(name: str, value: float) -> None:
    """Raise unless ``value`` is a positive, finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, not {value}")


def _check_tensor(name: str, tensor: Tensor, axes: tuple[str, ...]) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(tensor).__name__}")
    shape = tuple(tensor.shape)
    if len(shape) != len(axes):
        raise ValueError(f"{name} must be ({', '.join(axes)}), but its shape is {shape}")
    if 0 in shape[1:]:
        raise ValueError(f"{name} ({', '.join(axes)}) must not be empty, but its shape is {shape}")
    if tensor.is_complex():
        raise TypeError(f"{name} must be real, not {tensor.dtype}")


def _check_values(values: Tensor, axes: tuple[str, ...]) -> None:
    _check_tensor("values", values, axes)
    if not values.is_floating_point():
        raise TypeError(f"values must be of floating point, not {values.dtype}: use values.float()")


def _check_same(what: str, first: Tensor, values: Tensor, dims: tuple[int, ...]) -> None:
    if any(first.shape[dim] != values.shape[dim] for dim in dims):
        name = "features" if first.ndim == 3 else "image"
        raise ValueError(
            f"{name} and values must agree in N, {what}, but their shapes are "
            f"{tuple(first.shape)} and {tuple(values.shape)}"
        )
    if first.device != values.device:
        name = "features" if first.ndim == 3 else "image"
        raise ValueError(
            f"{name} and values must be on one device, but are on {first.device} and "
            f"{values.device}: move one with .to()"
        )


def _check_constant(name: str, tensor: Tensor) -> None:
    if tensor.requires_grad:
        raise ValueError(
            f"{name} must not require a gradient: the filter is differentiable in values alone. "
            f"Pass {name}.detach(), or use gaussian_filter_exact"
        )
