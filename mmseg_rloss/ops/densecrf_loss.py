"""The DenseCRF loss as a function and as the layer of the original, for plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .gaussian_filter import bilateral_filter, check_positive


def densecrf_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    num_threads: int | None = None,
) -> Tensor:
    """The relaxed dense-CRF energy of a segmentation, averaged over the batch.

    ``-1/N sum_n sum_k S_k' A S_k``, where A holds the Gaussian affinities of position and colour
    of :func:`~mmseg_rloss.ops.bilateral_filter` (Tang et al., ECCV 2018, eq. 7 without the terms
    that are constant when the probabilities sum to one). It is negative, and its size grows with
    the square of the number of pixels within the bandwidths.

    Args:
        image: (N, C, H, W) image with values 0-255, of any real type, on any device.
        segmentation: (N, K, H, W) class probabilities, of floating point.
        region_of_interest: (N, H, W), 1 on pixels that count and 0 elsewhere (padding), of any
            type, on any device.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the image as given.
        scale_factor: The energy is computed at this fraction of the size, above 0 and at most 1:
            image and region are scaled down by nearest neighbour, the segmentation bilinearly,
            and sigma_xy with them.
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.

    Returns:
        A scalar of type float32 (float64 for a float64 segmentation), with the exact gradient
        with respect to ``segmentation``. None of the arguments is modified.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: Sizes do not match, or a parameter is out of its range.
    """
    _check_arguments(image, segmentation, region_of_interest, scale_factor)
    check_positive("sigma_rgb", sigma_rgb)
    check_positive("sigma_xy", sigma_xy)
    device = segmentation.device
    image = _scale_nearest(image.to(device), scale_factor)
    region = _scale_nearest(region_of_interest.to(device).unsqueeze(1), scale_factor)
    segmentation = segmentation.to(torch.promote_types(segmentation.dtype, torch.float32))
    if scale_factor != 1:
        segmentation = F.interpolate(
            segmentation, scale_factor=scale_factor, mode="bilinear", align_corners=False
        )
    segmentation = segmentation * region.to(segmentation)  # (N, K, h, w)
    filtered = bilateral_filter(
        image, segmentation, sigma_rgb, sigma_xy * scale_factor, num_threads=num_threads
    )
    return -_QuadraticForm.apply(segmentation, filtered) / max(1, len(segmentation))


class DenseCRFLoss(nn.Module):
    """The layer of rloss, callable as it was and with the same values.

    Args:
        weight: Factor of the loss; the energy is large and negative, hence weights like 2e-9.
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
        check_positive("sigma_rgb", sigma_rgb)
        check_positive("sigma_xy", sigma_xy)
        _check_scale_factor(scale_factor)
        self.weight = weight
        self.sigma_rgb = sigma_rgb
        self.sigma_xy = sigma_xy
        self.scale_factor = scale_factor
        self.num_threads = num_threads

    def forward(self, image: Tensor, segmentation: Tensor, region_of_interest: Tensor) -> Tensor:
        """``weight`` times :func:`densecrf_loss` of the arguments, which it documents."""
        return self.weight * densecrf_loss(
            image,
            segmentation,
            region_of_interest,
            self.sigma_rgb,
            self.sigma_xy,
            self.scale_factor,
            num_threads=self.num_threads,
        )

    def extra_repr(self) -> str:
        return (
            f"weight={self.weight}, sigma_rgb={self.sigma_rgb}, sigma_xy={self.sigma_xy}, "
            f"scale_factor={self.scale_factor}"
        )


class _QuadraticForm(torch.autograd.Function):
    """``S'AS`` of S and its filtered AS.

    A is symmetric, so the gradient 2AS is at hand and nothing is filtered on the way back. AS
    gets no gradient of its own but keeps its graph, which makes second derivatives exact.
    """

    @staticmethod
    def forward(ctx, segmentation: Tensor, filtered: Tensor) -> Tensor:
        ctx.save_for_backward(filtered)
        return torch.dot(segmentation.flatten(), filtered.flatten())

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (filtered,) = ctx.saved_tensors
        return 2 * grad * filtered, None


def _scale_nearest(tensor: Tensor, scale_factor: float) -> Tensor:
    tensor = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    return tensor if scale_factor == 1 else F.interpolate(tensor, scale_factor=scale_factor)


def _check_arguments(
    image: Tensor, segmentation: Tensor, region_of_interest: Tensor, scale_factor: float
) -> None:
    arguments = {
        "image": (image, "(N, C, H, W)"),
        "segmentation": (segmentation, "(N, K, H, W)"),
        "region_of_interest": (region_of_interest, "(N, H, W)"),
    }
    for name, (tensor, _) in arguments.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, not {type(tensor).__name__}")
    for name, (tensor, axes) in arguments.items():
        if tensor.ndim != axes.count(",") + 1:
            raise ValueError(f"{name} must be {axes}, but its shape is {tuple(tensor.shape)}")
        if (tensor.shape[0], *tensor.shape[-2:]) != (
            segmentation.shape[0],
            *segmentation.shape[-2:],
        ):
            raise ValueError(
                f"{name} {tuple(tensor.shape)} must agree in N, H and W with segmentation "
                f"{tuple(segmentation.shape)}: resize it to the segmentation's size"
            )
    if not segmentation.is_floating_point():
        raise TypeError(
            f"segmentation must hold probabilities of floating point, not {segmentation.dtype}: "
            "pass logits.softmax(dim=1)"
        )
    if 0 in segmentation.shape[1:] or image.shape[1] == 0:
        raise ValueError(
            f"image {tuple(image.shape)} and segmentation {tuple(segmentation.shape)} must not be "
            "empty: both need a channel and a pixel"
        )
    _check_scale_factor(scale_factor)
    height, width = segmentation.shape[-2:]
    if int(height * scale_factor) == 0 or int(width * scale_factor) == 0:
        raise ValueError(
            f"scale_factor {scale_factor} leaves no pixel of {height}x{width}: use a larger one"
        )


def _check_scale_factor(scale_factor: float) -> None:
    check_positive("scale_factor", scale_factor)
    if scale_factor > 1:
        raise ValueError(f"scale_factor must be in (0, 1], not {scale_factor}")
