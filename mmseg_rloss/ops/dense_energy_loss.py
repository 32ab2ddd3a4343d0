"""The dense energy loss of RRM, a gated DenseCRF loss, as a function and as its layer."""

from __future__ import annotations

import torch
from torch import Tensor

from .energy import EnergyLayer, check_arguments, scale_maps, scale_nearest
from .gaussian_filter import bilateral_filter

UNLABELLED = 255


def dense_energy_loss(
    images: Tensor,
    segmentations: Tensor,
    region_of_interest: Tensor,
    seg_label: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    num_threads: int | None = None,
) -> Tensor:
    """The dense-CRF energy of a segmentation, gated by its confidence where there are labels.

    ``-1/N sum_n sum_k S_k' G A S_k``, where A holds the Gaussian affinities of position and colour
    of :func:`~mmseg_rloss.ops.bilateral_filter` and the gate G is 1 on pixels without a label and
    ``1 - max_k S_k`` on those with one: what the labels have settled weighs little (Zhang et al.,
    "Reliability Does Matter: An End-to-End Weakly Supervised Semantic Segmentation Approach", AAAI
    2020). Without any label, it is :func:`~mmseg_rloss.ops.densecrf_loss`.

    Args:
        images: (N, C, H, W) images with values 0-255, of any real type, on any device.
        segmentations: (N, K, H, W) class probabilities, of floating point.
        region_of_interest: (N, H, W), 1 on pixels that count and 0 elsewhere (padding), of any
            type, on any device.
        seg_label: (N, 1, H, W) or (N, H, W) labels, 255 where there is none, of any real type, on
            any device.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the images as given.
        scale_factor: The energy is computed at this fraction of the size, above 0 and at most 1:
            images, region and labels are scaled down by nearest neighbour, the segmentations
            bilinearly, and sigma_xy with them.
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.

    Returns:
        A scalar of type float32 (float64 for float64 segmentations), with the exact gradient with
        respect to ``segmentations``, for which the gate is constant. None of the arguments is
        modified.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: Sizes do not match, or a parameter is out of its range.
    """
    if isinstance(seg_label, Tensor) and seg_label.ndim == 4 and seg_label.shape[1] == 1:
        seg_label = seg_label.squeeze(1)
    maps = dict(images=images, segmentations=segmentations, region_of_interest=region_of_interest)
    check_arguments(maps | dict(seg_label=seg_label), sigma_rgb, sigma_xy, scale_factor)
    image, segmentation, region = scale_maps(*maps.values(), scale_factor)
    label = scale_nearest(seg_label.to(segmentation.device).unsqueeze(1), scale_factor)
    confidence = segmentation.detach().amax(1, keepdim=True)  # (N, 1, h, w)
    gate = torch.where(label == UNLABELLED, 1, (region - confidence).clamp(min=0))
    segmentation = segmentation * region  # (N, K, h, w)
    filtered = bilateral_filter(
        image, segmentation, sigma_rgb, sigma_xy * scale_factor, num_threads=num_threads
    )
    energy = -torch.dot((gate * segmentation).flatten(), filtered.flatten())
    return energy / max(1, len(segmentation))


class DenseEnergyLoss(EnergyLayer):
    """The layer of RRM, callable as it was, with the exact gradient.

    Args:
        weight: Factor of the loss; the energy is large and negative, hence weights like 1e-7.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size images.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        num_threads: As in :func:`~mmseg_rloss.ops.permutohedral_filter`.
    """

    def forward(
        self,
        images: Tensor,
        segmentations: Tensor,
        region_of_interest: Tensor,
        seg_label: Tensor,
    ) -> Tensor:
        """``weight`` times :func:`dense_energy_loss` of the arguments, which it documents."""
        maps = images, segmentations, region_of_interest, seg_label
        return self.weighted(dense_energy_loss, *maps)
