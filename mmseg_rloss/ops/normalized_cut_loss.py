"""The normalized cut and the kernel cut of a segmentation, as functions and as layers."""

from __future__ import annotations

import torch
from torch import Tensor

from .energy import EnergyLayer, check_arguments, cut_share, quadratic_form, scale_maps
from .gaussian_filter import bilateral_filter, check_positive


def normalized_cut_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    num_threads: int | None = None,
) -> Tensor:
    """The relaxed normalized cut of a segmentation, averaged over the batch.

    ``1/N sum_n sum_k S_k' A (R - S_k) / d' S_k`` with the degrees ``d = A R`` of the region R,
    where A holds the Gaussian affinities of position and colour of
    :func:`~mmseg_rloss.ops.bilateral_filter` (Tang et al., "Normalized Cut Loss for
    Weakly-supervised CNN Segmentation", CVPR 2018): for each class, the share of its
    affinities that is cut. A small class weighs as much as a large one. It is between 0 and K,
    whatever the size, the bandwidths and the photo.

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
        with respect to ``segmentation``. A class without any probability within the region adds
        0, with a gradient of 0. None of the arguments is modified.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: Sizes do not match, or a parameter is out of its range.
    """
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    kept, degrees, _ = _associations(maps, sigma_rgb, sigma_xy, scale_factor, num_threads)
    return cut_share(kept, degrees).sum() / max(1, len(kept))


def kernel_cut_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    densecrf_weight: float = 1.0,
    num_threads: int | None = None,
) -> Tensor:
    """The normalized cut and the normalized DenseCRF energy of a segmentation, by one filtering.

    :func:`normalized_cut_loss` plus ``densecrf_weight`` times
    :func:`~mmseg_rloss.ops.densecrf_loss` with ``normalize=True``, both with the same affinities
    (the kernel cut of Tang et al., ECCV 2018).

    Args:
        image: As in :func:`normalized_cut_loss`.
        segmentation: As in :func:`normalized_cut_loss`; it must sum to one over the classes.
        region_of_interest: As in :func:`normalized_cut_loss`.
        sigma_rgb: As in :func:`normalized_cut_loss`.
        sigma_xy: As in :func:`normalized_cut_loss`.
        scale_factor: As in :func:`normalized_cut_loss`.
        densecrf_weight: Factor of the DenseCRF energy, above 0.
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.

    Returns:
        A scalar, as :func:`normalized_cut_loss` returns it.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: Sizes do not match, or a parameter is out of its range.
    """
    check_positive("densecrf_weight", densecrf_weight)
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    kept, degrees, total = _associations(maps, sigma_rgb, sigma_xy, scale_factor, num_threads)
    normalized_cuts = cut_share(kept, degrees).sum(1)  # (N,)
    energies = normalized_cuts + densecrf_weight * cut_share(kept.sum(1), total)
    return energies.sum() / max(1, len(kept))


class NormalizedCutLoss(EnergyLayer):
    """:func:`normalized_cut_loss` as a layer.

    Args:
        weight: Factor of the loss, which is between 0 and the number of classes.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.
    """

    def forward(self, image: Tensor, segmentation: Tensor, region_of_interest: Tensor) -> Tensor:
        """``weight`` times :func:`normalized_cut_loss` of the arguments, which it documents."""
        return self.weighted(normalized_cut_loss, image, segmentation, region_of_interest)


class KernelCutLoss(EnergyLayer):
    """:func:`kernel_cut_loss` as a layer.

    Args:
        weight: Factor of the loss.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        densecrf_weight: Factor of the DenseCRF energy within the loss, above 0.
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.
    """

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        *,
        densecrf_weight: float = 1.0,
        num_threads: int | None = None,
    ) -> None:
        super().__init__(weight, sigma_rgb, sigma_xy, scale_factor, num_threads=num_threads)
        check_positive("densecrf_weight", densecrf_weight)
        self.densecrf_weight = densecrf_weight

    def forward(self, image: Tensor, segmentation: Tensor, region_of_interest: Tensor) -> Tensor:
        """``weight`` times :func:`kernel_cut_loss` of the arguments, which it documents."""
        maps = image, segmentation, region_of_interest
        return self.weighted(kernel_cut_loss, *maps, densecrf_weight=self.densecrf_weight)

    def extra_repr(self) -> str:
        return super().extra_repr() + f", densecrf_weight={self.densecrf_weight}"


def _associations(
    maps: dict[str, Tensor],
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    num_threads: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """S'AS of each class (N, K), its part d'S (N, K) of all affinities, and those, R'AR (N,)."""
    check_arguments(maps, sigma_rgb, sigma_xy, scale_factor)
    image, segmentation, region = scale_maps(*maps.values(), scale_factor)
    segmentation = segmentation * region  # (N, K, h, w)
    # Channels are filtered by the eight, so the region's is nearly free.
    filtered = bilateral_filter(
        image,
        torch.cat((segmentation, region), 1),
        sigma_rgb,
        sigma_xy * scale_factor,
        num_threads=num_threads,
    )
    degree = filtered[:, -1:].detach()  # (N, 1, h, w)
    kept = quadratic_form(segmentation.flatten(2), filtered[:, :-1].flatten(2))
    degrees = (segmentation * degree).sum((2, 3))
    total = (region * degree).sum((1, 2, 3))
    return kept, degrees, total
