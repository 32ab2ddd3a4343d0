"""The energies of a segmentation S in a region R under the affinities A of a lattice.

S (N, K, h, w) are the class probabilities times the region, R (N, h, w) is 1 on pixels that count
and 0 elsewhere; an energy is a scalar, averaged over the batch, differentiable in S.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .lattice import Lattice

UNLABELLED = 255


def densecrf_energy(
    segmentation: Tensor, region: Tensor, affinities: Lattice, *, normalize: bool = False
) -> Tensor:
    """``-sum_k S_k' A S_k``, or normalized ``sum_k S_k' A (R - S_k) / R' A R``, in [0, 1]."""
    _, kept, degrees = affinities.associate(segmentation, region)
    batch_size = max(1, len(segmentation))
    if not normalize:
        return -kept.sum() / batch_size
    # The probabilities sum to R, so R'AR is the sum of the R'AS_k.
    return cut_share(kept.sum(1), degrees.detach().sum(1)).sum() / batch_size


def gated_energy(
    segmentation: Tensor, region: Tensor, affinities: Lattice, label: Tensor
) -> Tensor:
    """``-sum_k S_k' G A S_k``, where the gate G weighs pixels with a ``label`` (N, h, w) by doubt.

    G is 1 where the label is UNLABELLED, ``R - max_k S_k`` elsewhere, and constant.
    """
    confidence = segmentation.detach().amax(1)  # (N, h, w)
    gate = torch.where(label == UNLABELLED, 1, (region - confidence).clamp(min=0)).unsqueeze(1)
    filtered = affinities.filter(segmentation)
    return -(gate * segmentation * filtered).sum() / max(1, len(segmentation))


def normalized_cut_energy(segmentation: Tensor, region: Tensor, affinities: Lattice) -> Tensor:
    """``sum_k S_k' A (R - S_k) / S_k' A R``: of each class, the share of its affinities cut."""
    _, kept, degrees = affinities.associate(segmentation, region)
    return cut_share(kept, degrees).sum() / max(1, len(segmentation))


def kernel_cut_energy(
    segmentation: Tensor, region: Tensor, affinities: Lattice, *, densecrf_weight: float = 1.0
) -> Tensor:
    """The normalized cut plus ``densecrf_weight`` times the normalized DenseCRF energy."""
    _, kept, degrees = affinities.associate(segmentation, region)
    cuts = cut_share(kept, degrees).sum(1)  # (N,)
    energies = cuts + densecrf_weight * cut_share(kept.sum(1), degrees.detach().sum(1))
    return energies.sum() / max(1, len(segmentation))


def cut_share(kept: Tensor, total: Tensor) -> Tensor:
    """``1 - kept / total``: which share of the affinities is cut; 0 where there are none.

    A total below the root of the smallest normal number counts as none: there, a quadratic form
    underflows.
    """
    present = total > torch.finfo(total.dtype).tiny ** 0.5
    return torch.where(present, 1 - kept / torch.where(present, total, 1), 0)
