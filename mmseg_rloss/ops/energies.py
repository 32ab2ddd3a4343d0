"""The formulas of the energies on a lattice.

An energy is a scalar, averaged over the batch, differentiable in the segmentation S within a region
R, under the affinities A. Those of soft labels and of neighbours stand beside what they are made
of, in :mod:`~mmseg_rloss.ops.self_labels` and :mod:`~mmseg_rloss.ops.neighbours`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .lattice import Lattice
from .segmentation import UNLABELLED, Segmentation


def densecrf_energy(
    segmentation: Segmentation, affinities: Lattice, *, normalize: bool = False
) -> Tensor:
    """``-sum_k S_k' A S_k``, or normalized ``sum_k S_k' A (R - S_k) / R' A R``, in [0, 1]."""
    _, association, volume = segmentation.associate(affinities)
    if not normalize:
        return association.sum() / -len(segmentation)
    # The probabilities sum to R, so R'AR is the sum of the R'AS_k.
    return cut_share(association.sum(1), volume.detach().sum(1)).sum() / len(segmentation)


def dense_energy(segmentation: Segmentation, affinities: Lattice, label: Tensor) -> Tensor:
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
    _, association, volume = segmentation.associate(affinities)
    return cut_share(association, volume).sum() / len(segmentation)


def kernel_cut_energy(
    segmentation: Segmentation, affinities: Lattice, *, densecrf_weight: float = 1.0
) -> Tensor:
    """The normalized cut plus ``densecrf_weight`` times the normalized DenseCRF energy."""
    _, association, volume = segmentation.associate(affinities)
    cuts = cut_share(association, volume).sum(1)  # (N,)
    energies = cuts + densecrf_weight * cut_share(association.sum(1), volume.detach().sum(1))
    return energies.sum() / len(segmentation)


def cut_share(association: Tensor, volume: Tensor) -> Tensor:
    """``1 - association / volume``: which share of the affinities is cut; 0 where there are none.

    A volume below the root of the smallest normal number counts as none: there, a quadratic form
    underflows.
    """
    present = volume > torch.finfo(volume.dtype).tiny ** 0.5
    return torch.where(present, 1 - association / torch.where(present, volume, 1), 0)
