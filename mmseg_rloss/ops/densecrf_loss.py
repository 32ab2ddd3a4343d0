"""The DenseCRF loss as a function and as the layer of the original, for plain PyTorch."""

from __future__ import annotations

from torch import Tensor

from .energy import EnergyLayer, check_arguments, cut_share, quadratic_form, scale_maps
from .gaussian_filter import bilateral_filter


def densecrf_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    normalize: bool = False,
    num_threads: int | None = None,
) -> Tensor:
    """The relaxed dense-CRF energy of a segmentation, averaged over the batch.

    ``-1/N sum_n sum_k S_k' A S_k``, where A holds the Gaussian affinities of position and colour
    of :func:`~mmseg_rloss.ops.bilateral_filter` (Tang et al., ECCV 2018, eq. 7 without the terms
    that are constant when the probabilities sum to one). It is negative, and its size grows with
    the square of the number of pixels within the bandwidths.

    Normalized, it is the share of the affinities within the region R that the segmentation cuts,
    ``1/N sum_n sum_k S_k' A (R - S_k) / R' A R``: between 0, where neighbours of like colour
    agree, and 1, whatever the size, the bandwidths and the photo. ``R' A R`` is constant.

    Args:
        image: (N, C, H, W) image with values 0-255, of any real type, on any device.
        segmentation: (N, K, H, W) class probabilities, of floating point. To normalize, they must
            sum to one over the classes.
        region_of_interest: (N, H, W), 1 on pixels that count and 0 elsewhere (padding), of any
            type, on any device.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the image as given.
        scale_factor: The energy is computed at this fraction of the size, above 0 and at most 1:
            image and region are scaled down by nearest neighbour, the segmentation bilinearly,
            and sigma_xy with them.
        normalize: Divide the energy of each image by the affinities within its region. An image
            without a region gives 0.
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.

    Returns:
        A scalar of type float32 (float64 for a float64 segmentation), with the exact gradient
        with respect to ``segmentation``. None of the arguments is modified.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: Sizes do not match, or a parameter is out of its range.
    """
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    check_arguments(maps, sigma_rgb, sigma_xy, scale_factor)
    image, segmentation, region = scale_maps(*maps.values(), scale_factor)
    segmentation = segmentation * region  # (N, K, h, w)
    filtered = bilateral_filter(
        image, segmentation, sigma_rgb, sigma_xy * scale_factor, num_threads=num_threads
    )
    batch_size = max(1, len(segmentation))
    if not normalize:
        return -quadratic_form(segmentation.flatten(), filtered.flatten()) / batch_size
    kept = quadratic_form(segmentation.flatten(1), filtered.flatten(1))  # (N,)
    # The probabilities sum to R, so AR is the sum of the AS_k.
    total = (region * filtered.detach().sum(1, keepdim=True)).sum((1, 2, 3))  # (N,)
    return cut_share(kept, total).sum() / batch_size


class DenseCRFLoss(EnergyLayer):
    """The layer of rloss, callable as it was and with the same values.

    Args:
        weight: Factor of the loss; the energy is large and negative, hence weights like 2e-9.
            The normalized energy is at most 1.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        normalize: As in :func:`densecrf_loss`.
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.
    """

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        *,
        normalize: bool = False,
        num_threads: int | None = None,
    ) -> None:
        super().__init__(weight, sigma_rgb, sigma_xy, scale_factor, num_threads=num_threads)
        self.normalize = normalize

    def forward(self, image: Tensor, segmentation: Tensor, region_of_interest: Tensor) -> Tensor:
        """``weight`` times :func:`densecrf_loss` of the arguments, which it documents."""
        maps = image, segmentation, region_of_interest
        return self.weighted(densecrf_loss, *maps, normalize=self.normalize)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", normalize=True" if self.normalize else "")
