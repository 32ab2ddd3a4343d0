"""What the energies of a segmentation share: their checks, their scale and their quadratic form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .gaussian_filter import check_positive


class EnergyLayer(nn.Module):
    """A weighted energy with its parameters: what the layers have in common.

    Args:
        weight: Factor of the energy.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.
    """

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        *,
        num_threads: int | None = None,
    ) -> None:
        super().__init__()
        _check_parameters(sigma_rgb, sigma_xy, scale_factor)
        self.weight = weight
        self.sigma_rgb = sigma_rgb
        self.sigma_xy = sigma_xy
        self.scale_factor = scale_factor
        self.num_threads = num_threads

    def weighted(self, energy: Callable[..., Tensor], *maps: Tensor, **options: object) -> Tensor:
        """``weight`` times an energy of ``maps`` with the parameters of this layer."""
        sigmas = self.sigma_rgb, self.sigma_xy
        return self.weight * energy(
            *maps, *sigmas, self.scale_factor, num_threads=self.num_threads, **options
        )

    def extra_repr(self) -> str:
        return (
            f"weight={self.weight}, sigma_rgb={self.sigma_rgb}, sigma_xy={self.sigma_xy}, "
            f"scale_factor={self.scale_factor}"
        )


def scale_maps(
    image: Tensor, segmentation: Tensor, region_of_interest: Tensor, scale_factor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Bring what an energy is computed from to its scale, its device and its floating-point type.

    Returns:
        The image (N, C, h, w), the segmentation (N, K, h, w), which the region does not mask yet,
        and the region (N, 1, h, w) in the type of the segmentation.
    """
    device = segmentation.device
    image = scale_nearest(image.to(device), scale_factor)
    region = scale_nearest(region_of_interest.to(device).unsqueeze(1), scale_factor)
    segmentation = segmentation.to(torch.promote_types(segmentation.dtype, torch.float32))
    if scale_factor != 1:
        segmentation = F.interpolate(
            segmentation, scale_factor=scale_factor, mode="bilinear", align_corners=False
        )
    return image, segmentation, region.to(segmentation)


def scale_nearest(tensor: Tensor, scale_factor: float) -> Tensor:
    """Scale (N, C, H, W) of any real type by nearest neighbour, in floating point."""
    tensor = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    return tensor if scale_factor == 1 else F.interpolate(tensor, scale_factor=scale_factor)


def quadratic_form(segmentation: Tensor, filtered: Tensor) -> Tensor:
    """``S'AS`` over the last axis of S (..., P) and its filtered AS (..., P).

    A is symmetric, so the gradient 2AS is at hand and nothing is filtered on the way back. AS
    gets no gradient of its own but keeps its graph, which makes second derivatives exact.
    """
    return _QuadraticForm.apply(segmentation, filtered)


class _QuadraticForm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, segmentation: Tensor, filtered: Tensor) -> Tensor:
        ctx.save_for_backward(filtered)
        if segmentation.ndim == 1:  # The sum over all keeps no product in memory.
            return torch.dot(segmentation, filtered)
        return (segmentation * filtered).sum(-1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (filtered,) = ctx.saved_tensors
        return 2 * grad.unsqueeze(-1) * filtered, None


def cut_share(kept: Tensor, total: Tensor) -> Tensor:
    """``1 - kept / total``: which share of the affinities is cut; 0 where there are none.

    A total below the root of the smallest normal number counts as none: there, a quadratic form
    underflows.
    """
    present = total > torch.finfo(total.dtype).tiny ** 0.5
    return torch.where(present, 1 - kept / torch.where(present, total, 1), 0)


def check_arguments(
    maps: dict[str, Tensor], sigma_rgb: float, sigma_xy: float, scale_factor: float
) -> None:
    """Check what an energy is called with.

    Args:
        maps: By the name of the argument, the image (N, C, H, W), the segmentation (N, K, H, W),
            then maps (N, H, W).

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: Sizes do not match, or a parameter is out of its range.
    """
    for name, tensor in maps.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, not {type(tensor).__name__}")
    image_name, segmentation_name, *_ = maps
    image, segmentation, *_ = maps.values()
    shape = tuple(segmentation.shape)
    axes = {image_name: "(N, C, H, W)", segmentation_name: "(N, K, H, W)"}
    for name, tensor in maps.items():
        expected = axes.get(name, "(N, H, W)")
        if tensor.ndim != expected.count(",") + 1:
            raise ValueError(f"{name} must be {expected}, but its shape is {tuple(tensor.shape)}")
        if (tensor.shape[0], *tensor.shape[-2:]) != (shape[0], *shape[-2:]):
            raise ValueError(
                f"{name} {tuple(tensor.shape)} must agree in N, H and W with {segmentation_name} "
                f"{shape}: resize it to the segmentation's size"
            )
    if not segmentation.is_floating_point():
        raise TypeError(
            f"{segmentation_name} must hold probabilities of floating point, not "
            f"{segmentation.dtype}: pass logits.softmax(dim=1)"
        )
    if 0 in shape[1:] or image.shape[1] == 0:
        raise ValueError(
            f"{image_name} {tuple(image.shape)} and {segmentation_name} {shape} must not be "
            "empty: both need a channel and a pixel"
        )
    _check_parameters(sigma_rgb, sigma_xy, scale_factor)
    height, width = shape[-2:]
    if int(height * scale_factor) == 0 or int(width * scale_factor) == 0:
        raise ValueError(
            f"scale_factor {scale_factor} leaves no pixel of {height}x{width}: use a larger one"
        )


def _check_parameters(sigma_rgb: float, sigma_xy: float, scale_factor: float) -> None:
    check_positive("sigma_rgb", sigma_rgb)
    check_positive("sigma_xy", sigma_xy)
    check_positive("scale_factor", scale_factor)
    if scale_factor > 1:
        raise ValueError(f"scale_factor must be in (0, 1], not {scale_factor}")
