"""The energies as functions of image, probabilities and region, which check their arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .checks import (
    check_choice,
    check_energy_maps,
    check_energy_parameters,
    check_flag,
    check_positive,
    check_scale_factor,
    check_share,
    check_tags,
)
from .energies import dense_energy, densecrf_energy, kernel_cut_energy, normalized_cut_energy
from .lattice import Lattice
from .neighbours import QUADRATIC, RELAXATIONS, Neighbours, neighbour_potts_energy
from .ranges import GREY_LEVELS, check_value_range, checked_zero
from .scene import Affinities, scale_map, scale_nearest
from .segmentation import Segmentation
from .self_labels import CLASS_BALANCE, LabelAffinities, infer_labels, self_label_energy

# Also exported by mmseg_rloss and mmseg_rloss.ops.
__all__ = [
    "dense_energy_loss",
    "densecrf_loss",
    "kernel_cut_loss",
    "neighbour_potts_loss",
    "normalized_cut_loss",
    "self_label_loss",
    "soft_labels",
]


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


def lattice_energy(
    energy: Callable[..., Tensor],
    maps: dict[str, Tensor],
    sigma_rgb: float,
    sigma_xy: float,
    scale_factor: float,
    value_range: Sequence[float] | None,
    build: Callable[[Tensor, float, float], Affinities] = Lattice.from_image,
) -> Tensor:
    """:func:`energy_of_probabilities` with the affinities of a lattice, or what else is built."""
    sigma_rgb, sigma_xy, scale_factor = check_energy_parameters(sigma_rgb, sigma_xy, scale_factor)

    def affinities(image: Tensor, region: Tensor) -> Affinities:
        return build(image, sigma_rgb, sigma_xy * scale_factor)

    return energy_of_probabilities(energy, affinities, maps, scale_factor, value_range)


def energy_of_probabilities(
    energy: Callable[..., Tensor],
    affinities: Callable[[Tensor, Tensor], Affinities],
    maps: dict[str, Tensor],
    scale_factor: float,
    value_range: Sequence[float] | None,
) -> Tensor:
    """An energy of full-size probabilities.

    Args:
        energy: Of the Segmentation, its affinities and the labels, if there are any.
        affinities: Of the scaled image (N, C, h, w) and region (N, h, w).
        maps: The arguments by their names.
        scale_factor: Has been checked.
        value_range: Is checked here.
    """
    value_range = check_value_range(value_range)
    check_energy_maps(maps, scale_factor)
    image, segmentation, region_of_interest, *labels = maps.values()
    segmentation = segmentation.to(torch.promote_types(segmentation.dtype, torch.float32))
    if scale_factor != 1:
        segmentation = F.interpolate(
            segmentation, scale_factor=scale_factor, mode="bilinear", align_corners=False
        )
    image = scale_nearest(image.detach().to(segmentation.device), scale_factor)
    region = scale_map(region_of_interest, scale_factor, segmentation).to(segmentation.dtype)
    image_name, segmentation_name, *_ = maps
    checked = checked_zero(image, region, segmentation, value_range, image_name, segmentation_name)
    image = image.to(segmentation.dtype)
    scaled = [scale_map(label, scale_factor, region) for label in labels]
    masked = Segmentation(segmentation * region.unsqueeze(1), region)
    return energy(masked, affinities(image, region), *scaled) + checked
