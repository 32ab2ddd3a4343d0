"""The permutohedral lattice of an image: built once, it filters any values any number of times."""

# Not from __future__ import annotations: PyTorch 2.4 cannot read the ops' types from strings.
import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import backends
from .backends.reference.lattice import BLUR_ASCENDING, BLUR_BOTH, BLUR_DESCENDING
from .checks import (
    check_constant,
    check_flag,
    check_positive,
    check_reverse_mode,
    check_same,
    check_tensor,
    check_values,
)
from .probabilities import backward_op


class Associations(NamedTuple):
    """What :meth:`Lattice.associate` returns."""

    filtered: Tensor  # (N, K, *S): A V
    association: Tensor  # (N, K): V_k' A V_k
    volume: Tensor  # (N, K): R' A V_k


class Lattice:
    """The lattice points among which the pixels of a batch lie, by their features.

    Represents the affinities A of the pixels: ``filter`` multiplies by A, which approximates
    ``exp(-|f_i - f_j|^2 / 2)`` of the features f, un-normalised, the self term included, in time
    linear in pixels and channels (Adams, Baek and Davis, "Fast High-Dimensional Filtering Using
    the Permutohedral Lattice", Eurographics 2010, section 3). As in the original, A is scaled by
    ``1 / (1 + 2^-D)``; products come to 0.5 to 0.6 of the exact sums on natural images,
    which :func:`gaussian_filter_exact` computes.

    Features may have any number of dimensions. With many, the lattice is close to the Gaussian as
    far as they are correlated; independent noise in each of 100 bands isolates every pixel.

    On a GPU, building is launched and not waited for: build a lattice well before its first use,
    and nothing waits at all. More than 15 dimensions are filtered on the CPU, there and back.
    """

    def __init__(self, planes: Tensor, bandwidth: float, position_bandwidth: float | None) -> None:
        """:meth:`from_image` and :meth:`from_features` check what they pass on."""
        # Tensors of this type are filtered in it, all others in this one and converted.
        self.dtype = torch.promote_types(planes.dtype, torch.float32)
        self._planes = planes.detach().to(self.dtype).contiguous()
        self._bandwidths = bandwidth, position_bandwidth
        self._token = _build_op(self._planes, *self._bandwidths)

    @classmethod
    def from_image(cls, image: Tensor, sigma_rgb: float, sigma_xy: float) -> "Lattice":
        """The lattice of position and colour: the affinity of pixels i and j is
        ``exp(-|xy_i - xy_j|^2 / (2 sigma_xy^2) - |rgb_i - rgb_j|^2 / (2 sigma_rgb^2))``, the
        appearance kernel of the DenseCRF loss (Tang et al., ECCV 2018, section 3).

        Args:
            image: (N, C, H, W) image with values 0-255, any number of channels, any real type;
                constant for the gradient.
            sigma_rgb: Bandwidth of every colour channel, in grey levels (0-255), above 0.
            sigma_xy: Bandwidth of the position, in pixels, above 0.

        Raises:
            TypeError: ``image`` is not a real tensor, or a bandwidth is not a number.
            ValueError: The shape is wrong, ``image`` requires a gradient, or a bandwidth is not
                positive and finite.
        """
        check_tensor("image", image, ("N", "C", "H", "W"))
        check_constant("image", image)
        sigma_rgb = check_positive("sigma_rgb", sigma_rgb)
        sigma_xy = check_positive("sigma_xy", sigma_xy)
        return cls(image, sigma_rgb, sigma_xy)

    @classmethod
    def from_features(cls, features: Tensor) -> "Lattice":
        """The lattice of any features.

        Args:
            features: (N, D, P) features divided by their bandwidths (standard deviations). Any
                real type; constant for the gradient.

        Raises:
            TypeError: ``features`` are not a real tensor.
            ValueError: The shape is wrong, or ``features`` require a gradient.
        """
        check_tensor("features", features, ("N", "D", "P"))
        check_constant("features", features)
        return cls(features, 1.0, None)

    def filter(self, values: Tensor, *, symmetric: bool = True) -> Tensor:
        """Multiply values by the affinities.

        Args:
            values: (N, K, H, W), or (N, K, P) on a lattice of features, of floating point.
                Filtered in float32, or float64 on a lattice of float64.
            symmetric: Average the two orders of the blur, so that A is a symmetric matrix.
                ``False`` keeps the ascending order alone, as the original does.

        Returns:
            Like ``values``, which it is differentiable in by the exact adjoint, any number of
            times.

        Raises:
            TypeError: ``values`` are not of floating point, or ``symmetric`` is not a flag.
            ValueError: ``values`` do not match the lattice in their shape or device.
        """
        self._check(values)
        check_flag("symmetric", symmetric)
        blur = BLUR_BOTH if symmetric else BLUR_ASCENDING
        filtered = _filter_op(*self._arguments, values.to(self.dtype), *self._bandwidths, blur)
        return filtered.to(values.dtype)

    def associate(self, values: Tensor, region: Tensor) -> Associations:
        """Filter values, and sum up their associations within the channels and with a region.

        A is symmetric, so the gradient of ``V_k' A V_k`` is the ``2 A V_k`` that is at hand, and
        nothing is filtered on the way back.

        Args:
            values: (N, K, *S) as in :meth:`filter`.
            region: (N, *S) in the type of ``values``; constant for the gradient.
        """
        check_reverse_mode(values)
        values, region = values.to(self.dtype), region.to(self.dtype)
        return Associations(*_associate_op(*self._arguments, values, region, *self._bandwidths))

    def associate_logits(self, logits: Tensor, region: Tensor, scale_factor: float) -> Associations:
        """:meth:`associate` for the ``scaled_probabilities`` of logits, which it does not keep.

        On the way back, the gradient of the logits comes from ``A V`` in one pass.

        Args:
            logits: (N, K, H, W) as in :func:`~mmseg_rloss.ops.scaled_probabilities`.
            region: (N, h, w) as there, in the type of the lattice; constant for the gradient.
            scale_factor: In (0, 1]; the lattice is that of the images at this scale.
        """
        check_reverse_mode(logits)
        maps = logits, region, scale_factor
        return Associations(*_associate_logits_op(*self._arguments, *maps, *self._bandwidths))

    @property
    def of_backend(self) -> Any:
        """The lattice as the backend of its device has built it, for that backend's own functions.

        There is none where there is no image.
        """
        return _lattice_of(self._token, self._planes, *self._bandwidths)

    @property
    def _arguments(self) -> tuple[Tensor, Tensor]:
        return self._planes, self._token

    def _check(self, values: Tensor) -> None:
        check_reverse_mode(values)
        axes = ("N", "K", "P") if self._planes.ndim == 3 else ("N", "K", "H", "W")
        check_values(values, axes)
        check_same("features" if self._planes.ndim == 3 else "image", self._planes, values)


def permutohedral_filter(features: Tensor, values: Tensor, *, symmetric: bool = True) -> Tensor:
    """Filter values by a Gaussian of any features, on the permutohedral lattice.

    Args:
        features: (N, D, P) features divided by their bandwidths (standard deviations). Any real
            type; constant for the gradient.
        values: (N, K, P) floating-point values to filter. Half precision is filtered in float32
            and returned in its own type; float64 is filtered in float64.
        symmetric: As in :meth:`Lattice.filter`.

    Returns:
        (N, K, P) filtered values, of the type and on the device of ``values``, differentiable in
        ``values`` by the exact adjoint. See :class:`Lattice` for their scale.

    Raises:
        TypeError: An argument is not a tensor or ``values`` is not of floating point.
        ValueError: Shapes do not match, ``features`` require a gradient, or there is no channel.
    """
    check_tensor("features", features, ("N", "D", "P"))
    check_values(values, ("N", "K", "P"))
    check_same("features", features, values)
    return Lattice.from_features(_in_type_of(features, values)).filter(values, symmetric=symmetric)


def bilateral_filter(
    image: Tensor, values: Tensor, sigma_rgb: float, sigma_xy: float, *, symmetric: bool = True
) -> Tensor:
    """Filter values by a Gaussian of position and colour, on the permutohedral lattice.

    Args:
        image: (N, C, H, W) image with values 0-255, any number of channels, any real type;
            constant for the gradient.
        values: (N, K, H, W) floating-point values, such as class probabilities.
        sigma_rgb: Bandwidth of every colour channel, in grey levels (0-255), above 0.
        sigma_xy: Bandwidth of the position, in pixels, above 0.
        symmetric: As in :meth:`Lattice.filter`.

    Returns:
        (N, K, H, W) filtered values, of the type and on the device of ``values``, differentiable
        in ``values`` by the exact adjoint. :meth:`Lattice.from_image` defines the affinities.

    Raises:
        TypeError: An argument is not a tensor, ``values`` is not of floating point, or a bandwidth
            is not a number.
        ValueError: Shapes do not match, ``image`` requires a gradient, there is no channel, or a
            bandwidth is not positive and finite.
    """
    check_tensor("image", image, ("N", "C", "H", "W"))
    check_values(values, ("N", "K", "H", "W"))
    check_same("image", image, values)
    lattice = Lattice.from_image(_in_type_of(image, values), sigma_rgb, sigma_xy)
    return lattice.filter(values, symmetric=symmetric)


def gaussian_filter_exact(features: Tensor, values: Tensor) -> Tensor:
    """The sums that :func:`permutohedral_filter` approximates, by brute force.

    Takes time and memory of P^2: for tests and for images of a few thousand pixels.

    Args:
        features: (N, D, P) features divided by their bandwidths.
        values: (N, K, P) floating-point values.

    Returns:
        (N, K, P): ``sum_j exp(-|f_i - f_j|^2 / 2) v_j``, differentiable in both arguments.
    """
    check_tensor("features", features, ("N", "D", "P"))
    check_values(values, ("N", "K", "P"))
    check_same("features", features, values)
    points = features.to(values).transpose(1, 2)  # (N, P, D)
    squared = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    return values @ torch.exp(-0.5 * squared)  # (N, K, P)


def _in_type_of(features: Tensor, values: Tensor) -> Tensor:
    """float64 values are filtered in float64, every other type in float32."""
    return features.to(torch.promote_types(values.dtype, torch.float32))


# The ops -----------------------------------------------------------------------------------------
#
# An op takes and returns tensors. The lattice travels as a token: a tensor of one byte to which
# the lattice itself is attached. All ops also take what the lattice was built from, so that they
# are functions of tensors alone; where the token was copied on its way and has lost its lattice,
# it is built again.

_TRANSPOSED = {
    BLUR_BOTH: BLUR_BOTH,
    BLUR_ASCENDING: BLUR_DESCENDING,
    BLUR_DESCENDING: BLUR_ASCENDING,
}

# On a GPU the size of the lattice comes back to the host, which a CUDA graph cannot hold.
_UNSAFE: Any = (
    {"tags": (torch.Tag.cudagraph_unsafe,)} if hasattr(torch.Tag, "cudagraph_unsafe") else {}
)


@torch.library.custom_op("mmseg_rloss::build_lattice", mutates_args=(), **_UNSAFE)
def _build_op(planes: Tensor, bandwidth: float, position_bandwidth: float | None) -> Tensor:
    token: Any = planes.new_zeros(1, dtype=torch.uint8)
    if planes.numel() > 0:
        backend = backends.select(planes.device).lattice
        token.lattice = backend.build(planes, bandwidth, position_bandwidth)
    return token


@_build_op.register_fake
def _(planes: Tensor, bandwidth: float, position_bandwidth: float | None) -> Tensor:
    return planes.new_empty(1, dtype=torch.uint8)


def _lattice_of(token: Any, planes: Tensor, *bandwidths: float | None) -> object:
    if not hasattr(token, "lattice"):
        token.lattice = backends.select(planes.device).lattice.build(planes, *bandwidths)
    return token.lattice


@torch.library.custom_op("mmseg_rloss::filter_on_lattice", mutates_args=(), **_UNSAFE)
def _filter_op(
    planes: Tensor,
    token: Tensor,
    values: Tensor,
    bandwidth: float,
    position_bandwidth: float | None,
    blur: str,
) -> Tensor:
    if values.numel() == 0:
        return torch.empty_like(values, memory_format=torch.contiguous_format)
    lattice = _lattice_of(token, planes, bandwidth, position_bandwidth)
    return backends.select(values.device).lattice.filter(lattice, values, blur)


@_filter_op.register_fake
def _(
    planes: Tensor,
    token: Tensor,
    values: Tensor,
    bandwidth: float,
    position_bandwidth: float | None,
    blur: str,
) -> Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


def _save_filter(ctx, inputs: tuple, output: Tensor) -> None:
    planes, token, _, *ctx.parameters = inputs
    ctx.save_for_backward(planes, token)
    ctx.set_materialize_grads(False)


def _filter_backward(ctx, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is not None:
        bandwidth, position_bandwidth, blur = ctx.parameters
        grad = _filter_op(
            *ctx.saved_tensors, grad, bandwidth, position_bandwidth, _TRANSPOSED[blur]
        )
    return None, None, grad, None, None, None


_filter_op.register_autograd(_filter_backward, setup_context=_save_filter)


@torch.library.custom_op("mmseg_rloss::associate_on_lattice", mutates_args=(), **_UNSAFE)
def _associate_op(
    planes: Tensor,
    token: Tensor,
    values: Tensor,
    region: Tensor,
    bandwidth: float,
    position_bandwidth: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    if values.numel() == 0:
        filtered = torch.empty_like(values, memory_format=torch.contiguous_format)
        return filtered, values.new_zeros(values.shape[:2]), values.new_zeros(values.shape[:2])
    lattice = _lattice_of(token, planes, bandwidth, position_bandwidth)
    return backends.select(values.device).lattice.associate(lattice, values, region)


@_associate_op.register_fake
def _(
    planes: Tensor,
    token: Tensor,
    values: Tensor,
    region: Tensor,
    bandwidth: float,
    position_bandwidth: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    filtered = torch.empty_like(values, memory_format=torch.contiguous_format)
    return filtered, values.new_empty(values.shape[:2]), values.new_empty(values.shape[:2])


def _save_associate(ctx, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    planes, token, _, region, *ctx.bandwidths = inputs
    ctx.save_for_backward(planes, token, region, output[0])
    ctx.set_materialize_grads(False)


def _associate_backward(
    ctx, grad_filtered: Tensor | None, grad_association: Tensor | None, grad_volume: Tensor | None
) -> tuple[Tensor | None, ...]:
    planes, token, region, filtered = ctx.saved_tensors
    grads = grad_filtered, grad_association, grad_volume
    grad = _gradient_of_values(grads, filtered, region, planes, token, *ctx.bandwidths)
    return None, None, grad, None, None, None


def _gradient_of_values(
    grads: tuple[Tensor | None, Tensor | None, Tensor | None],
    filtered: Tensor,
    region: Tensor,
    *lattice: object,
) -> Tensor | None:
    """From the gradients of what ``associate`` returns, that of the values."""
    grad_filtered, grad_association, grad_volume = grads
    planes, token, *bandwidths = lattice

    def multiply(values: Tensor) -> Tensor:
        return _filter_op(planes, token, values, *bandwidths, BLUR_BOTH)

    def spread(sums: Tensor) -> Tensor:  # (N, K) to (N, K, 1, ...)
        return sums.view(*sums.shape, *(1 for _ in filtered.shape[2:]))

    parts = []
    if grad_association is not None:
        parts.append(spread(2 * grad_association) * filtered)
    if grad_volume is not None:
        parts.append(spread(grad_volume) * multiply(region.unsqueeze(1)))
    if grad_filtered is not None:
        parts.append(multiply(grad_filtered))
    return functools.reduce(torch.add, parts) if parts else None


_associate_op.register_autograd(_associate_backward, setup_context=_save_associate)


@torch.library.custom_op("mmseg_rloss::associate_logits_on_lattice", mutates_args=(), **_UNSAFE)
def _associate_logits_op(
    planes: Tensor,
    token: Tensor,
    logits: Tensor,
    region: Tensor,
    scale_factor: float,
    bandwidth: float,
    position_bandwidth: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    backend = backends.select(logits.device)
    values = backend.probabilities.forward(logits, region, scale_factor)
    if values.numel() == 0:
        return values, *(values.new_zeros(values.shape[:2]) for _ in range(2))
    lattice = _lattice_of(token, planes, bandwidth, position_bandwidth)
    return backend.lattice.associate(lattice, values, region, overwrite=True)


@_associate_logits_op.register_fake
def _(
    planes: Tensor,
    token: Tensor,
    logits: Tensor,
    region: Tensor,
    scale_factor: float,
    bandwidth: float,
    position_bandwidth: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    num_images, num_channels = logits.shape[:2]
    shape = num_images, 2 if num_channels == 1 else num_channels
    filtered = region.new_empty(*shape, *region.shape[1:])
    return filtered, region.new_empty(shape), region.new_empty(shape)


def _save_associate_logits(ctx, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    planes, token, logits, region, ctx.scale_factor, *ctx.bandwidths = inputs
    ctx.save_for_backward(planes, token, logits, region, output[0])
    ctx.set_materialize_grads(False)


def _associate_logits_backward(
    ctx, grad_filtered: Tensor | None, grad_association: Tensor | None, grad_volume: Tensor | None
) -> tuple[Tensor | None, ...]:
    planes, token, logits, region, filtered = ctx.saved_tensors
    if grad_association is not None and grad_filtered is None and grad_volume is None:
        grad, factors = filtered, 2 * grad_association  # nothing but A V is needed
    else:
        grads = grad_filtered, grad_association, grad_volume
        grad = _gradient_of_values(grads, filtered, region, planes, token, *ctx.bandwidths)
        factors = None
    if grad is not None:
        # A gradient of the gradient may be asked for: the twin has one.
        twin = backends.reference.probabilities.backward
        function = twin if torch.is_grad_enabled() else backward_op
        grad = function(grad, factors, logits, region, ctx.scale_factor)
    return None, None, grad, None, None, None, None


_associate_logits_op.register_autograd(
    _associate_logits_backward, setup_context=_save_associate_logits
)
