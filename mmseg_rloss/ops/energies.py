"""The energies of a segmentation S in a region R under the affinities A of a lattice.

An energy is a scalar, averaged over the batch, differentiable in the segmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .lattice import Lattice
from .segmentation import Segmentation

UNLABELLED = 255


def densecrf_energy(
    segmentation: Segmentation, affinities: Lattice, *, normalize: bool = False
) -> Tensor:
    """``-sum_k S_k' A S_k``, or normalized ``sum_k S_k' A (R - S_k) / R' A R``, in [0, 1]."""
    _, kept, degrees = segmentation.associate(affinities)
    if not normalize:
        return kept.sum() / -len(segmentation)
    # The probabilities sum to R, so R'AR is the sum of the R'AS_k.
    return cut_share(kept.sum(1), degrees.detach().sum(1)).sum() / len(segmentation)


def gated_energy(segmentation: Segmentation, affinities: Lattice, label: Tensor) -> Tensor:
    """``-sum_k S_k' G A S_k``, where the gate G weighs pixels with a ``label`` (N, h, w) by doubt.

    G is 1 where the label is UNLABELLED, ``R - max_k S_k`` elsewhere, and constant.
    """
    probabilities, region = segmentation.probabilities(), segmentation.region
    confidence = probabilities.detach().amax(1)  # (N, h, w)
    gate = torch.where(label == UNLABELLED, 1, (region - confidence).clamp(min=0)).unsqueeze(1)
    filtered = affinities.filter(probabilities)
    return (gate * probabilities * filtered).sum() / -len(segmentation)


def normalized_cut_energy(segmentation: Segmentation, affinities: Lattice) -> Tensor:
    """``sum_k S_k' A (R - S_k) / S_k' A R``: of each class, the share of its affinities cut."""
    _, kept, degrees = segmentation.associate(affinities)
    return cut_share(kept, degrees).sum() / len(segmentation)


def kernel_cut_energy(
    segmentation: Segmentation, affinities: Lattice, *, densecrf_weight: float = 1.0
) -> Tensor:
    """The normalized cut plus ``densecrf_weight`` times the normalized DenseCRF energy."""
    _, kept, degrees = segmentation.associate(affinities)
    cuts = cut_share(kept, degrees).sum(1)  # (N,)
    energies = cuts + densecrf_weight * cut_share(kept.sum(1), degrees.detach().sum(1))
    return energies.sum() / len(segmentation)


def cut_share(kept: Tensor, total: Tensor) -> Tensor:
    """``1 - kept / total``: which share of the affinities is cut; 0 where there are none.

    A total below the root of the smallest normal number counts as none: there, a quadratic form
    underflows.
    """
    present = total > torch.finfo(total.dtype).tiny ** 0.5
    return torch.where(present, 1 - kept / torch.where(present, total, 1), 0)
