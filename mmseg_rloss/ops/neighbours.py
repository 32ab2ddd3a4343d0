"""The affinities of neighbouring pixels, and the energy of the Potts model with them."""

# Not from __future__ import annotations: PyTorch 2.4 cannot read the ops' types from strings.
from collections.abc import Iterator
from typing import Any, NamedTuple

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
        weights: (4, N, h, w), for each step from a pixel to a neighbour; 0 where there is none. All
            are 0 in an image without a pair within its region.
    """

    weights: Tensor

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
        weights = image.new_zeros((len(_STEPS), *region.shape))
        pairs = zip(_STEPS, _weights_of_pairs(weights), _pairs(image), _pairs(region), strict=True)
        for (rows, columns), weight, (colour, other), (counts, other_counts) in pairs:
            distance = (rows**2 + columns**2) ** 0.5
            counts = counts * other_counts
            affinity = torch.exp((colour - other).square().sum(1) * -steepness)
            weight.copy_(torch.where(counts > 0, affinity * (counts / distance), 0))
        total = weights.sum((0, 2, 3))  # (N,)
        total = total + _finite_zero(total, _WRONG_IMAGE)
        return cls(weights / torch.where(total > 0, total, 1)[:, None, None])


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
    if relaxation == "bilinear":
        pairs = zip(_weights_of_pairs(neighbours.weights), _pairs(probabilities), strict=True)
        cuts = [(weight * (1 - (near * far).sum(1))).sum() for weight, (near, far) in pairs]
        cut = torch.stack(cuts).sum()
    else:
        cut, _ = _cut_op(probabilities, neighbours.weights)
    energy = cut / len(segmentation)
    return energy + _finite_zero(energy.detach(), _WRONG_SEGMENTATION)


def _pairs(maps: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Of maps (..., h, w), for each step, the pixels with such a neighbour, and the neighbours."""
    for rows, columns in _STEPS:
        yield _pair(maps, rows, columns)


def _weights_of_pairs(weights: Tensor) -> Iterator[Tensor]:
    """Of (4, N, h, w), for each step, those of the pixels that have such a neighbour."""
    for weight, (rows, columns) in zip(weights, _STEPS, strict=True):
        near, _ = _pair(weight, rows, columns)
        yield near


def _pair(maps: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    height, width = maps.shape[-2:]
    right, left = max(columns, 0), max(-columns, 0)
    near = maps[..., : height - rows, left : width - right]
    return near, maps[..., rows:, right : width - left]


# Autograd would fill and copy whole maps for each slice of a step.
@torch.library.custom_op("mmseg_rloss::cut_of_neighbours", mutates_args=())
def _cut_op(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """``sum_ij w_ij |V_i - V_j|^2 / 2`` of (N, K, h, w), and its gradient, the Laplacian of V."""
    cut, laplacian = values.new_zeros(()), torch.zeros_like(values)
    pairs = zip(_weights_of_pairs(weights), _pairs(values), _pairs(laplacian), strict=True)
    for weight, (near, far), (to_near, to_far) in pairs:
        difference = near - far
        pull = difference * weight.unsqueeze(1)
        cut += 0.5 * (difference * pull).sum()
        to_near += pull
        to_far -= pull
    return cut, laplacian


@_cut_op.register_fake
def _(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    return values.new_empty(()), torch.empty_like(values)


def _save_cut(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], inputs[1])
    ctx.set_materialize_grads(False)


def _cut_backward(
    ctx: Any, grad_cut: Tensor | None, grad_laplacian: Tensor | None
) -> tuple[Tensor | None, None]:
    laplacian, weights = ctx.saved_tensors
    grad = None if grad_cut is None else grad_cut * laplacian
    if grad_laplacian is not None:  # The Laplacian is symmetric.
        further = _cut_op(grad_laplacian, weights)[1]
        grad = further if grad is None else grad + further
    return grad, None


_cut_op.register_autograd(_cut_backward, setup_context=_save_cut)


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
