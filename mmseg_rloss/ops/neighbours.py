"""The affinities of neighbouring pixels, and the energy of the Potts model with them."""

# Not from __future__ import annotations: PyTorch 2.4 cannot read the ops' types from strings.
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .segmentation import Segmentation

RELAXATIONS = ("bilinear", "quadratic", "normalized_quadratic")
QUADRATIC = "quadratic"

# Rows and columns from a pixel to half of its eight neighbours: each pair counts once.
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))

_WRONG_IMAGE = "image over the bandwidth must be finite within the region: use a larger bandwidth"
_WRONG_SEGMENTATION = "segmentation must be finite, but NaN or infinity is among it"


class Neighbours(NamedTuple):
    """The affinities of all pairs of neighbours, which sum to one in each image.

    Attributes:
        weights: For each step to a neighbour, (N, h - rows, w - columns). All are 0 in an image
            without a pair within its region.
    """

    weights: tuple[Tensor, ...]

    @classmethod
    def from_image(cls, image: Tensor, region: Tensor, sigma_rgb: float) -> "Neighbours":
        """``exp(-|rgb_i - rgb_j|^2 / (2 sigma_rgb^2)) R_i R_j / |xy_i - xy_j|``, over their sum.

        Args:
            image: (N, C, h, w) of floating point, constant for the gradient.
            region: (N, h, w), 1 on pixels that count and 0 elsewhere, in the same type.
            sigma_rgb: Bandwidth of the colours, in the units of the image.

        Raises:
            ValueError: The image is not finite within the region, or the bandwidth so small that
                its type does not hold their ratio. On a GPU, which is not waited for, weights are
                NaN.
        """
        steepness = 0.5 / sigma_rgb / sigma_rgb
        weights = []
        pairs = zip(_STEPS, _pairs(image), _pairs(region), strict=True)
        for (rows, columns), (colour, other), (counts, other_counts) in pairs:
            distance = (rows**2 + columns**2) ** 0.5
            counts = counts * other_counts
            affinity = torch.exp((colour - other).square().sum(1) * -steepness)
            weights.append(torch.where(counts > 0, affinity * (counts / distance), 0))
        total = torch.stack([weight.sum((1, 2)) for weight in weights]).sum(0)  # (N,)
        total = total + _finite_zero(total, _WRONG_IMAGE)
        total = torch.where(total > 0, total, 1)[:, None, None]
        return cls(tuple(weight / total for weight in weights))


def neighbour_potts_energy(
    segmentation: Segmentation, neighbours: Neighbours, relaxation: str = QUADRATIC
) -> Tensor:
    """``sum_ij w_ij P(S_i, S_j)`` over neighbours i and j, where w sums to one in each image.

    A pixel whose region is a fraction counts less, by w, but its S are the probabilities as they
    are, for P compares the pixels' distributions.
    """
    region = segmentation.region.unsqueeze(1)  # (N, 1, h, w)
    probabilities = segmentation.probabilities() / torch.where(region > 0, region, 1)
    if relaxation == "normalized_quadratic":  # the quadratic of vectors of length one
        squares = probabilities.square().sum(1, keepdim=True)
        probabilities = probabilities * torch.where(squares > 0, squares, 1).rsqrt()
    energies = []
    for weight, (near, far) in zip(neighbours.weights, _pairs(probabilities), strict=True):
        if relaxation == "bilinear":
            cut = 1 - (near * far).sum(1)
        else:
            cut = 0.5 * (near - far).square().sum(1)
        energies.append((weight * cut).sum())
    energy = torch.stack(energies).sum() / len(segmentation)
    return energy + _finite_zero(energy.detach(), _WRONG_SEGMENTATION)


def _pairs(maps: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Of maps (..., h, w), for each step, the pixels with such a neighbour, and the neighbours."""
    height, width = maps.shape[-2:]
    for rows, columns in _STEPS:
        right, left = max(columns, 0), max(-columns, 0)
        near = maps[..., : height - rows, left : width - right]
        yield near, maps[..., rows:, right : width - left]


# As an op, it is part of compiled and exported graphs.
@torch.library.custom_op("mmseg_rloss::finite_zero", mutates_args=())
def _finite_zero(values: Tensor, otherwise: str) -> Tensor:
    """A zero () to add to ``values``; a ValueError, on the CPU, unless they are finite."""
    if values.device.type == "cpu" and not values.isfinite().all():  # a GPU would have to wait
        raise ValueError(otherwise)
    return values.new_zeros(())


@_finite_zero.register_fake
def _(values: Tensor, otherwise: str) -> Tensor:
    return values.new_zeros(())
