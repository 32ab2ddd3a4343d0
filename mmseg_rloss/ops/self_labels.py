"""Soft labels for unlabelled pixels, from scribbles, image and network together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .colours import to_lab
from .lattice import Lattice
from .mean_field import MIN_PROBABILITY
from .ranges import GREY_LEVELS
from .segmentation import UNLABELLED, Segmentation

# Of the mean field. The weight is pydensecrf's; more iterations change next to nothing. It reaches
# farther than the scribbles: how far a like colour means the same class, and how far it means the
# class of the scribble, are two questions.
_PAIRWISE_WEIGHT = 10.0
_ITERATIONS = 3
_MEAN_FIELD_REACH = 2.5

# How many labelled pixels it takes to outweigh having seen none: the scribbles decide within
# their reach, and the network in the rest of the image.
_PSEUDO_COUNT = 0.05

# Of an image, below which a class is not favoured any more.
_LEAST_SHARE = 0.01

CLASS_BALANCE = 0.5


class LabelAffinities(NamedTuple):
    """The affinities that soft labels are made with.

    Attributes:
        of_scribbles: Between pixels and the scribbles that may tell their class.
        of_pixels: Of the mean field, 2.5 times as wide.
    """

    of_scribbles: Lattice
    of_pixels: Lattice

    @classmethod
    def from_image(
        cls,
        image: Tensor,
        sigma_rgb: float,
        sigma_xy: float,
        value_range: tuple[float, float] | None = GREY_LEVELS,
    ) -> LabelAffinities:
        """The lattices of position and colour, told apart as by :func:`.colours.to_lab`.

        The arguments are those of :meth:`Lattice.from_image` and of that function.
        """
        image = to_lab(image, value_range)
        sigmas = sigma_xy, _MEAN_FIELD_REACH * sigma_xy
        return cls(*(Lattice.from_image(image, sigma_rgb, sigma) for sigma in sigmas))


@torch.no_grad()
def infer_labels(
    probabilities: Tensor,
    region: Tensor,
    affinities: LabelAffinities,
    label: Tensor,
    tags: Tensor | None = None,
    label_balance: float = 0.0,
) -> Tensor:
    """Distribute the pixels of a region over the classes.

    A class is as likely as the network's probability times the share of the class among the
    labelled pixels under the affinities A of the scribbles,
    ``(A L_k + c / |tags|) / (sum_j A L_j + c)`` with L_k those labelled k; classes that are not
    among the image's tags are impossible. From these on, mean-field inference with the affinities
    of the pixels as the Potts model's weights draws pixels that are close and of like colour to the
    same class. Labelled pixels keep their label throughout.

    Args:
        probabilities: (N, K, h, w) of the network, times the region.
        region: (N, h, w), 1 on pixels that count and 0 elsewhere.
        affinities: Of the images at this scale.
        label: (N, h, w), a class from 0 to K - 1 or UNLABELLED.
        tags: (N, K) of bool or wider, the classes that an image may show; None for all of them.
        label_balance: From 0 to 1. The probabilities of a class with a label in the image are
            divided by their mean there to this power: what the network has of a class everywhere
            does not speak for it anywhere.

    Returns:
        (N, K, h, w) that sum to 1 over the classes within the region and are 0 outside.
    """
    region = region.unsqueeze(1)  # (N, 1, h, w)
    labelled = (label != UNLABELLED).unsqueeze(1)
    classes = torch.arange(probabilities.shape[1], device=label.device).view(-1, 1, 1)
    hard = (label.unsqueeze(1) == classes).to(probabilities.dtype) * region
    hard = torch.where(probabilities.isnan(), probabilities, hard)  # the filter refuses NaN
    seen = hard.flatten(2).amax(2)[:, :, None, None] > 0  # (N, K, 1, 1)
    allowed = _allowed_classes(seen, tags)

    evidence = affinities.of_scribbles.filter(hard, symmetric=False)
    prior = _PSEUDO_COUNT * allowed / allowed.sum(1, keepdim=True)
    shares = (evidence + prior) / (evidence.sum(1, keepdim=True) + _PSEUDO_COUNT)
    scores = probabilities.clamp(min=MIN_PROBABILITY).log() + shares.clamp(MIN_PROBABILITY).log()
    scores = scores - label_balance * _log_shares(probabilities, region) * seen
    scores = scores.masked_fill(~allowed, -torch.inf)

    norm = affinities.of_pixels.filter(region.to(hard.dtype), symmetric=False)
    norm = torch.where(norm > 0, norm, 1).rsqrt() * region  # D^-1/2, 0 outside the region
    soft = torch.where(labelled, hard, scores.softmax(1))
    for _ in range(_ITERATIONS):
        drawn = affinities.of_pixels.filter(norm * soft, symmetric=False)
        soft = torch.addcmul(scores, norm, drawn, value=_PAIRWISE_WEIGHT).softmax(1)
        soft = torch.where(labelled, hard, soft)
    return soft * region


def _log_shares(probabilities: Tensor, region: Tensor) -> Tensor:
    """(N, K, 1, 1): of each class in the image, by the network."""
    areas = probabilities.sum((2, 3), keepdim=True)
    return (areas / region.sum((2, 3), keepdim=True).clamp(min=1) + _LEAST_SHARE).log()


def _allowed_classes(seen: Tensor, tags: Tensor | None) -> Tensor:
    """(N, K, 1, 1) of bool. A class with a label is allowed, whatever the tags say."""
    if tags is None:
        return torch.ones_like(seen)
    return tags[:, : seen.shape[1], None, None] | seen


def self_label_energy(
    segmentation: Segmentation,
    affinities: LabelAffinities,
    label: Tensor,
    tags: Tensor | None = None,
    class_balance: float = CLASS_BALANCE,
    label_balance: float = 0.0,
) -> Tensor:
    """The cross entropy of the segmentation with its own soft labels, on pixels without a label.

    A class weighs by its number of pixels in the image to the power ``1 - class_balance``. By
    default that is the root, as in scribbles, which grow with the length of an object and not with
    its area. A class of less than one pixel, as classes have that the image hardly shows, weighs no
    more than that.
    """
    probabilities, region = segmentation.probabilities(), segmentation.region
    soft = infer_labels(probabilities, region, affinities, label, tags, label_balance)
    unlabelled = (region * (label == UNLABELLED)).unsqueeze(1)  # (N, 1, h, w)
    counts = (soft * unlabelled).sum((2, 3))  # (N, K), in pixels
    weights = counts.clamp(min=1) ** -class_balance
    entropies = -(soft * unlabelled * (probabilities + MIN_PROBABILITY).log()).sum((2, 3))  # (N, K)
    totals = (weights * counts).sum(1)  # (N,)
    means = (weights * entropies).sum(1) / torch.where(totals > 0, totals, 1)
    return means.sum() / len(segmentation)
