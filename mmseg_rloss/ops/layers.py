"""The energies as losses for plain PyTorch: functions of an image, and the original's layers.

An energy is a scalar, averaged over the batch, differentiable in the segmentation S within a region
R, under the affinities A of a lattice or of neighbours. Of each there are three: ``*_energy``, the
formula; ``*_loss``, the function that checks its arguments and scales them; and the layer, whose
call names the arguments as rloss's and RRM's layers do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .checks import (
    check_choice,
    check_flag,
    check_positive,
    check_scale_factor,
    check_share,
    check_tags,
)
from .energy_layer import EnergyLayer, LatticeLayer, energy_of_probabilities, lattice_energy
from .lattice import Lattice
from .neighbours import QUADRATIC, RELAXATIONS, Neighbours, neighbour_potts_energy
from .ranges import GREY_LEVELS, check_value_range
from .scene import Scene
from .segmentation import UNLABELLED, Segmentation
from .self_labels import CLASS_BALANCE, LabelAffinities, infer_labels, self_label_energy

# Also exported by mmseg_rloss and mmseg_rloss.ops.
__all__ = [
    "DenseCRFLoss",
    "DenseEnergyLoss",
    "KernelCutLoss",
    "NeighbourPottsLoss",
    "NormalizedCutLoss",
    "SelfLabelLoss",
    "dense_energy_loss",
    "densecrf_loss",
    "kernel_cut_loss",
    "neighbour_potts_loss",
    "normalized_cut_loss",
    "self_label_loss",
    "soft_labels",
]


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


def densecrf_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    normalize: bool = False,
    value_range: Sequence[float] | None = GREY_LEVELS,
) -> Tensor:
    """The relaxed dense-CRF energy of a segmentation, averaged over the batch.

    ``-1/N sum_n sum_k S_k' A S_k``, where A holds the Gaussian affinities of position and colour
    of :func:`~mmseg_rloss.ops.bilateral_filter` (Tang et al., ECCV 2018, eq. 7 without the terms
    that are constant when the probabilities sum to one). It is negative, and its size grows with
    the square of the number of pixels within the bandwidths.

    Normalized, it is the share of the affinities within the region R that the segmentation cuts,
    ``1/N sum_n sum_k S_k' A (R - S_k) / R' A R``: between 0, where neighbours of like colour
    agree, and 1, whatever the size, the bandwidths and the image. ``R' A R`` is constant.

    Args:
        image: (N, C, H, W) image with values in ``value_range``, any number of channels, of any
            real type, on any device.
        segmentation: (N, K, H, W) class probabilities in [0, 1], of floating point. To normalize,
            they must sum to one over the classes.
        region_of_interest: (N, H, W), 1 on pixels that count and 0 elsewhere (padding), of any
            type, on any device. A fraction weighs a pixel, as in the original.
        sigma_rgb: Bandwidth of the colours, in the units of the image: grey levels (0-255), unless
            ``value_range`` names others.
        sigma_xy: Bandwidth of the position, in pixels of the image as given.
        scale_factor: The energy is computed at this fraction of the size, above 0 and at most 1:
            image and region are scaled down by nearest neighbour, the segmentation bilinearly,
            and sigma_xy with them.
        normalize: Divide the energy of each image by the affinities within its region. An image
            without a region gives 0.
        value_range: The least and the largest value that images can have; what is far outside is
            refused, and of 0-255 what looks divided by 255 or normalised. Of 16-bit images,
            (0, 65535), ``sigma_rgb`` is 257 times that of 8-bit ones. None lets any image pass.

    Returns:
        A scalar of type float32 (float64 for a float64 segmentation), with the exact gradient
        with respect to ``segmentation``. None of the arguments is modified.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: Sizes do not match, or a parameter or a map is out of its range, at the scale
            of the energy. On a GPU, which is not waited for, a later call raises it.
    """
    check_flag("normalize", normalize)
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    energy = functools.partial(densecrf_energy, normalize=normalize)
    return lattice_energy(energy, maps, sigma_rgb, sigma_xy, scale_factor, value_range)


def dense_energy_loss(
    images: Tensor,
    segmentations: Tensor,
    region_of_interest: Tensor,
    seg_label: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    value_range: Sequence[float] | None = GREY_LEVELS,
) -> Tensor:
    """The dense-CRF energy of a segmentation, gated by its confidence where there are labels.

    ``-1/N sum_n sum_k S_k' G A S_k``, where A holds the Gaussian affinities of position and colour
    of :func:`~mmseg_rloss.ops.bilateral_filter` and the gate G is 1 on pixels without a label and
    ``1 - max_k S_k`` on those with one: what the labels have settled weighs little (Zhang et al.,
    "Reliability Does Matter: An End-to-End Weakly Supervised Semantic Segmentation Approach", AAAI
    2020). Without any label, it is :func:`densecrf_loss`.

    Args:
        images: As ``image`` in :func:`densecrf_loss`.
        segmentations: As ``segmentation`` in :func:`densecrf_loss`.
        region_of_interest: As in :func:`densecrf_loss`.
        seg_label: (N, 1, H, W) or (N, H, W) labels, 255 where there is none, of any real type, on
            any device. They are scaled by nearest neighbour.
        sigma_rgb: As in :func:`densecrf_loss`.
        sigma_xy: As in :func:`densecrf_loss`.
        scale_factor: As in :func:`densecrf_loss`.
        value_range: As in :func:`densecrf_loss`.

    Returns:
        A scalar as :func:`densecrf_loss` returns it. The gate is constant for the gradient.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: As :func:`densecrf_loss` raises it.
    """
    maps = dict(images=images, segmentations=segmentations, region_of_interest=region_of_interest)
    maps["seg_label"] = without_channel(seg_label)
    return lattice_energy(dense_energy, maps, sigma_rgb, sigma_xy, scale_factor, value_range)


def normalized_cut_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    value_range: Sequence[float] | None = GREY_LEVELS,
) -> Tensor:
    """The normalized cut of a segmentation, averaged over the batch.

    ``1/N sum_n sum_k S_k' A (R - S_k) / d' S_k`` with the degrees ``d = A R`` of the region R,
    where A holds the Gaussian affinities of position and colour of
    :func:`~mmseg_rloss.ops.bilateral_filter` (Tang et al., "Normalized Cut Loss for
    Weakly-supervised CNN Segmentation", CVPR 2018): for each class, the share of its
    affinities that is cut. A small class weighs as much as a large one. It is between 0 and K,
    whatever the size, the bandwidths and the image.

    Args:
        image: As in :func:`densecrf_loss`.
        segmentation: As in :func:`densecrf_loss`.
        region_of_interest: As in :func:`densecrf_loss`.
        sigma_rgb: As in :func:`densecrf_loss`.
        sigma_xy: As in :func:`densecrf_loss`.
        scale_factor: As in :func:`densecrf_loss`.
        value_range: As in :func:`densecrf_loss`.

    Returns:
        A scalar as :func:`densecrf_loss` returns it. A class without any probability within the
        region adds 0, with a gradient of 0.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: As :func:`densecrf_loss` raises it.
    """
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    return lattice_energy(
        normalized_cut_energy, maps, sigma_rgb, sigma_xy, scale_factor, value_range
    )


def kernel_cut_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    densecrf_weight: float = 1.0,
    value_range: Sequence[float] | None = GREY_LEVELS,
) -> Tensor:
    """The normalized cut and the normalized DenseCRF energy of a segmentation, by one filtering.

    :func:`normalized_cut_loss` plus ``densecrf_weight`` times :func:`densecrf_loss` with
    ``normalize=True``, both with the same affinities (the kernel cut of Tang et al., ECCV 2018).

    Args:
        image: As in :func:`densecrf_loss`.
        segmentation: As in :func:`densecrf_loss`; it must sum to one over the classes.
        region_of_interest: As in :func:`densecrf_loss`.
        sigma_rgb: As in :func:`densecrf_loss`.
        sigma_xy: As in :func:`densecrf_loss`.
        scale_factor: As in :func:`densecrf_loss`.
        densecrf_weight: Factor of the DenseCRF energy, above 0.
        value_range: As in :func:`densecrf_loss`.

    Returns:
        A scalar as :func:`normalized_cut_loss` returns it.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: As :func:`densecrf_loss` raises it.
    """
    densecrf_weight = check_positive("densecrf_weight", densecrf_weight)
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    energy = functools.partial(kernel_cut_energy, densecrf_weight=densecrf_weight)
    return lattice_energy(energy, maps, sigma_rgb, sigma_xy, scale_factor, value_range)


def self_label_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    seg_label: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    image_tags: Tensor | None = None,
    class_balance: float = CLASS_BALANCE,
    label_balance: float = 0.0,
    value_range: Sequence[float] | None = GREY_LEVELS,
) -> Tensor:
    """The cross entropy of a segmentation with soft labels made of itself, image and scribbles.

    ``-1/N sum_n sum_k m_k^-b sum_i y_ik log s_ik / sum_k m_k^(1-b)`` over the pixels i of an image
    that lie within the region and have no label; ``m_k = sum_i y_ik`` is how many of them a class
    has, b is ``class_balance``. The soft labels y are what the network, the scribbles and the image
    agree on: a class is as likely as ``s_ik`` times its share of the labelled pixels under the
    affinities of :func:`~mmseg_rloss.ops.bilateral_filter` of the image in CIE L*a*b*, and
    impossible where it is not among the image's tags; mean-field inference with affinities 2.5
    times as wide as Potts weights then joins pixels that are close and of like colour. y is
    constant for the gradient, and labelled pixels keep their label
    (self-labelling as in Zhang and Boykov, "Soft Self-labeling and Potts Relaxations for
    Weakly-Supervised Segmentation", CVPR 2025, with another solver, unary term and weighting;
    docs/energies.md).

    Args:
        image: As in :func:`densecrf_loss`.
        segmentation: As in :func:`densecrf_loss`; it must sum to one over the classes.
        region_of_interest: As in :func:`densecrf_loss`.
        seg_label: (N, H, W) or (N, 1, H, W) labels from 0 to K - 1, 255 where there is none.
        sigma_rgb: Bandwidth of the colours, in L*a*b* with a lightness of 0-255; of images of other
            than three channels, in their grey levels (0-255).
        sigma_xy: As in :func:`densecrf_loss`.
        scale_factor: As in :func:`densecrf_loss`.
        image_tags: (N, K) of bool, the classes that each image may show; None for all of them. A
            class with a label in the image counts as shown.
        class_balance: From 0, where a class weighs by its area in the image, as in masks, to 1,
            where all classes of the image weigh alike. By the root of the area, the default, rare
            classes are not pushed aside.
        label_balance: From 0 to 1: the power of the mean of s_k over the image by which s_ik is
            divided in the labels, for classes with a label there. 1 fits points, of which the
            labels are mostly the network's own guess: one class would take the others' place.
        value_range: As in :func:`densecrf_loss`.

    Returns:
        A scalar, 0 or more, 0 where every pixel has a label. Differentiable with respect to
        ``segmentation``.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: As :func:`densecrf_loss` raises it.
    """
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    maps["seg_label"] = without_channel(seg_label)
    energy = functools.partial(
        self_label_energy,
        tags=checked_tags(image_tags, segmentation),
        class_balance=check_share("class_balance", class_balance),
        label_balance=check_share("label_balance", label_balance),
    )
    parameters = sigma_rgb, sigma_xy, scale_factor, value_range
    return lattice_energy(energy, maps, *parameters, build=_label_affinities(value_range))


@torch.no_grad()
def soft_labels(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    seg_label: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    *,
    image_tags: Tensor | None = None,
    label_balance: float = 0.0,
    value_range: Sequence[float] | None = GREY_LEVELS,
) -> Tensor:
    """The soft labels y that :func:`self_label_loss` of the same arguments trains with.

    Of a uniform segmentation, they are what scribbles and image say without a network.

    Args:
        image: As in :func:`densecrf_loss`.
        segmentation: As in :func:`self_label_loss`.
        region_of_interest: As in :func:`densecrf_loss`.
        seg_label: As in :func:`self_label_loss`.
        sigma_rgb: As in :func:`self_label_loss`.
        sigma_xy: As in :func:`densecrf_loss`.
        scale_factor: As in :func:`densecrf_loss`.
        image_tags: As in :func:`self_label_loss`.
        label_balance: As in :func:`self_label_loss`.
        value_range: As in :func:`densecrf_loss`.

    Returns:
        (N, K, h, w) at the scale, of type float32 (float64 for a float64 segmentation), without a
        gradient. They sum to one over the classes, times the region.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: As :func:`densecrf_loss` raises it.
    """
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    maps["seg_label"] = without_channel(seg_label)
    tags = checked_tags(image_tags, segmentation)
    label_balance = check_share("label_balance", label_balance)

    def labels(segmentation: Segmentation, affinities: LabelAffinities, label: Tensor) -> Tensor:
        maps = segmentation.probabilities(), segmentation.region
        return infer_labels(*maps, affinities, label, tags, label_balance)

    parameters = sigma_rgb, sigma_xy, scale_factor, value_range
    return lattice_energy(labels, maps, *parameters, build=_label_affinities(value_range))


def _label_affinities(
    value_range: Sequence[float] | None,
) -> Callable[[Tensor, float, float], LabelAffinities]:
    """What builds the affinities of soft labels from images with values in a range."""
    return functools.partial(LabelAffinities.from_image, value_range=check_value_range(value_range))


def without_channel(seg_label: Tensor) -> Tensor:
    """Labels (N, 1, H, W), as MMSegmentation's loaders have them, as (N, H, W)."""
    if isinstance(seg_label, Tensor) and seg_label.ndim == 4 and seg_label.shape[1] == 1:
        return seg_label.squeeze(1)
    return seg_label


def checked_tags(image_tags: Tensor | None, segmentation: Tensor) -> Tensor | None:
    """The tags on the device of the segmentation, if they fit it."""
    if image_tags is None:
        return None
    check_tags(image_tags, segmentation)
    return image_tags.to(segmentation.device)


def neighbour_potts_loss(
    image: Tensor,
    segmentation: Tensor,
    region_of_interest: Tensor,
    sigma_rgb: float,
    scale_factor: float,
    *,
    relaxation: str = QUADRATIC,
    value_range: Sequence[float] | None = GREY_LEVELS,
) -> Tensor:
    """The share of the affinities of neighbouring pixels that a segmentation cuts.

    ``1/N sum_n sum_ij w_ij P(S_i, S_j) / sum_ij w_ij`` over all pairs of a pixel i and one of its
    eight neighbours j, with ``w_ij = exp(-|rgb_i - rgb_j|^2 / (2 sigma_rgb^2)) R_i R_j /
    |xy_i - xy_j|`` of the region R and the distance 1 or sqrt(2), in pixels at the scale of the
    energy. P is a relaxation of the Potts model, which is 0 for neighbours of one class and 1 for
    others (after Zhang and Boykov, "Soft Self-labeling and Potts Relaxations for Weakly-Supervised
    Segmentation", CVPR 2025):

    - ``"bilinear"``: ``1 - S_i' S_j``, which decreases as equal neighbours grow more confident;
    - ``"quadratic"``: ``|S_i - S_j|^2 / 2``, which is 0 wherever neighbours are equal;
    - ``"normalized_quadratic"``: ``1 - S_i' S_j / (|S_i| |S_j|)``, which is 0 there, too, and 1 for
      neighbours without a common class.

    Args:
        image: As in :func:`densecrf_loss`.
        segmentation: As in :func:`densecrf_loss`; it must sum to one over the classes.
        region_of_interest: As in :func:`densecrf_loss`.
        sigma_rgb: As in :func:`densecrf_loss`.
        scale_factor: As in :func:`densecrf_loss`, but there is no sigma_xy.
        relaxation: P, by its name above.
        value_range: As in :func:`densecrf_loss`.

    Returns:
        A scalar as :func:`densecrf_loss` returns it, from 0 to 1, whatever the size, the bandwidth
        and the image. An image without a pair of neighbours within its region adds 0, with a
        gradient of 0.

    Raises:
        TypeError: A tensor has the wrong type, or ``relaxation`` is not a string.
        ValueError: ``relaxation`` is not one of the three, or as :func:`densecrf_loss` raises it.
    """
    check_choice("relaxation", relaxation, RELAXATIONS)
    sigma_rgb = check_positive("sigma_rgb", sigma_rgb)
    maps = dict(image=image, segmentation=segmentation, region_of_interest=region_of_interest)
    return energy_of_probabilities(
        functools.partial(neighbour_potts_energy, relaxation=relaxation),
        functools.partial(Neighbours.from_image, sigma_rgb=sigma_rgb),
        maps,
        check_scale_factor(scale_factor),
        value_range,
    )


class DenseCRFLoss(LatticeLayer):
    """The layer of rloss, callable as it was and with the same values.

    Args:
        weight: Factor of the loss; the energy is large and negative, hence weights like 2e-9.
            The normalized energy is at most 1.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        normalize: As in :func:`densecrf_loss`.
        value_range: As in :func:`densecrf_loss`.
    """

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        *,
        normalize: bool = False,
        value_range: Sequence[float] | None = GREY_LEVELS,
    ) -> None:
        super().__init__(weight, sigma_rgb, sigma_xy, scale_factor, value_range=value_range)
        check_flag("normalize", normalize)
        self.normalize = normalize

    def forward(self, images: Tensor, segmentations: Tensor, ROIs: Tensor) -> Tensor:
        """``weight`` times :func:`densecrf_loss` of the arguments, which it documents."""
        maps = images, segmentations, ROIs
        options: Any = dict(normalize=self.normalize, value_range=self.value_range)
        return self.weight * densecrf_loss(*maps, *self.bandwidths, **options)

    def energy(self, segmentation: Segmentation, affinities: Lattice) -> Tensor:
        return densecrf_energy(segmentation, affinities, normalize=self.normalize)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", normalize=True" if self.normalize else "")


class DenseEnergyLoss(LatticeLayer):
    """The layer of RRM, callable as it was: a DenseCRF energy gated by confidence and labels.

    Args:
        weight: Factor of the loss; the energy is large and negative, hence weights like 1e-7.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size images.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        value_range: As in :func:`densecrf_loss`.
    """

    def forward(
        self,
        images: Tensor,
        segmentations: Tensor,
        ROIs: Tensor,
        seg_label: Tensor,
    ) -> Tensor:
        """``weight`` times :func:`dense_energy_loss` of the arguments, which it documents."""
        maps = images, segmentations, ROIs, seg_label
        return self.weight * dense_energy_loss(
            *maps, *self.bandwidths, value_range=self.value_range
        )

    takes_labels = True
    energy = staticmethod(dense_energy)


class NormalizedCutLoss(LatticeLayer):
    """:func:`normalized_cut_loss` as a layer.

    Args:
        weight: Factor of the loss, which is between 0 and the number of classes.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        value_range: As in :func:`densecrf_loss`.
    """

    def forward(self, images: Tensor, segmentations: Tensor, ROIs: Tensor) -> Tensor:
        """``weight`` times :func:`normalized_cut_loss` of the arguments, which it documents."""
        maps = images, segmentations, ROIs
        return self.weight * normalized_cut_loss(
            *maps, *self.bandwidths, value_range=self.value_range
        )

    energy = staticmethod(normalized_cut_energy)


class KernelCutLoss(LatticeLayer):
    """:func:`kernel_cut_loss` as a layer.

    Args:
        weight: Factor of the loss.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        densecrf_weight: Factor of the DenseCRF energy within the loss, above 0.
        value_range: As in :func:`densecrf_loss`.
    """

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        *,
        densecrf_weight: float = 1.0,
        value_range: Sequence[float] | None = GREY_LEVELS,
    ) -> None:
        super().__init__(weight, sigma_rgb, sigma_xy, scale_factor, value_range=value_range)
        self.densecrf_weight = check_positive("densecrf_weight", densecrf_weight)

    def forward(self, images: Tensor, segmentations: Tensor, ROIs: Tensor) -> Tensor:
        """``weight`` times :func:`kernel_cut_loss` of the arguments, which it documents."""
        maps = images, segmentations, ROIs
        options: Any = dict(densecrf_weight=self.densecrf_weight, value_range=self.value_range)
        return self.weight * kernel_cut_loss(*maps, *self.bandwidths, **options)

    def energy(self, segmentation: Segmentation, affinities: Lattice) -> Tensor:
        return kernel_cut_energy(segmentation, affinities, densecrf_weight=self.densecrf_weight)

    def extra_repr(self) -> str:
        return super().extra_repr() + f", densecrf_weight={self.densecrf_weight}"


class SelfLabelLoss(LatticeLayer):
    """:func:`self_label_loss` as a layer.

    Args:
        weight: Factor of the loss, which is a cross entropy: 3 beside one of weight 1 on scribbles,
            1 on points or where some classes are rare (docs/self_labelling.md).
        sigma_rgb: As in :func:`self_label_loss`.
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which it is computed, in (0, 1].
        class_balance: As in :func:`self_label_loss`.
        label_balance: As in :func:`self_label_loss`.
        value_range: As in :func:`densecrf_loss`.
    """

    takes_labels = True

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        *,
        class_balance: float = CLASS_BALANCE,
        label_balance: float = 0.0,
        value_range: Sequence[float] | None = GREY_LEVELS,
    ) -> None:
        super().__init__(weight, sigma_rgb, sigma_xy, scale_factor, value_range=value_range)
        self.class_balance = check_share("class_balance", class_balance)
        self.label_balance = check_share("label_balance", label_balance)

    def forward(
        self,
        images: Tensor,
        segmentations: Tensor,
        ROIs: Tensor,
        seg_label: Tensor,
        image_tags: Tensor | None = None,
    ) -> Tensor:
        """``weight`` times :func:`self_label_loss` of the arguments, which it documents."""
        maps = images, segmentations, ROIs, seg_label
        options: Any = self._balances | dict(image_tags=image_tags, value_range=self.value_range)
        return self.weight * self_label_loss(*maps, *self.bandwidths, **options)

    @property
    def _balances(self) -> dict[str, float]:
        return dict(class_balance=self.class_balance, label_balance=self.label_balance)

    def affinities(self, scene: Scene, dtype: torch.dtype = torch.float32) -> LabelAffinities:
        return scene.label_affinities(*self.bandwidths, dtype)

    def known(self, scene: Scene) -> dict[str, Tensor | None]:
        return dict(tags=scene.image_tags)

    def energy(
        self,
        segmentation: Segmentation,
        affinities: LabelAffinities,
        label: Tensor,
        tags: Tensor | None,
    ) -> Tensor:
        return self_label_energy(segmentation, affinities, label, tags, **self._balances)

    def extra_repr(self) -> str:
        return super().extra_repr() + (
            f", class_balance={self.class_balance}, label_balance={self.label_balance}"
        )


class NeighbourPottsLoss(EnergyLayer):
    """:func:`neighbour_potts_loss` as a layer.

    Args:
        weight: Factor of the loss, which is between 0 and 1.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        relaxation: As in :func:`neighbour_potts_loss`.
        value_range: As in :func:`densecrf_loss`.
    """

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        scale_factor: float,
        *,
        relaxation: str = QUADRATIC,
        value_range: Sequence[float] | None = GREY_LEVELS,
    ) -> None:
        super().__init__(weight, sigma_rgb, scale_factor, value_range=value_range)
        check_choice("relaxation", relaxation, RELAXATIONS)
        self.relaxation = relaxation

    def forward(self, images: Tensor, segmentations: Tensor, ROIs: Tensor) -> Tensor:
        """``weight`` times :func:`neighbour_potts_loss` of the arguments, which it documents."""
        maps = images, segmentations, ROIs
        options: Any = dict(relaxation=self.relaxation, value_range=self.value_range)
        return self.weight * neighbour_potts_loss(
            *maps, self.sigma_rgb, self.scale_factor, **options
        )

    def affinities(self, scene: Scene, dtype: torch.dtype = torch.float32) -> Neighbours:
        return scene.neighbours(self.sigma_rgb, self.scale_factor, dtype)

    def energy(self, segmentation: Segmentation, affinities: Neighbours) -> Tensor:
        return neighbour_potts_energy(segmentation, affinities, self.relaxation)

    def extra_repr(self) -> str:
        return super().extra_repr() + f", relaxation={self.relaxation}"
