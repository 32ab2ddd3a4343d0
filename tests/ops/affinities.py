"""Small cases with their affinities as matrices, for sums by brute force."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_rloss.ops import bilateral_filter, gaussian_filter_exact
from mmseg_rloss.ops.energy_layer import EnergyLayer
from tests.ops.images import natural_image

SIGMAS = {"sigma_rgb": 30.0, "sigma_xy": 8.0}


class Case(NamedTuple):
    """What an energy is computed from. The labels leave half of the pixels out."""

    image: Tensor  # (N, 3, H, W)
    logits: Tensor  # (N, K, H, W), float64
    region: Tensor  # (N, H, W)
    label: Tensor  # (N, H, W)

    @property
    def maps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Image, probabilities and region, as the losses take them."""
        return self.image, self.logits.softmax(1), self.region

    def at_scale(self, scale_factor: float) -> Case:
        """At the full size or, of even sizes, at half of it."""
        if scale_factor == 1:
            return self
        every_other = (..., slice(None, None, 2), slice(None, None, 2))
        probabilities = F.avg_pool2d(self.logits.softmax(1), 2)
        return Case(
            self.image[every_other],
            probabilities.log(),
            self.region[every_other],
            self.label[every_other],
        )


def random_case(batch: int = 2, classes: int = 3, height: int = 6, width: int = 8) -> Case:
    """The same case at every call."""
    torch.manual_seed(0)
    label = torch.randint(0, classes, (batch, height, width))
    return Case(
        natural_image(height, width, batch=batch),
        torch.randn(batch, classes, height, width, dtype=torch.float64) * 2,
        (torch.rand(batch, height, width) < 0.8).to(torch.uint8),
        torch.where(torch.rand(batch, height, width) < 0.5, label, 255),
    )


def maps_of(layer: EnergyLayer, case: Case) -> list[Tensor]:
    """The arguments of a layer, of float32."""
    image, segmentation, region = case.maps
    maps = [image, segmentation.float(), region]
    return [*maps, case.label] if layer.takes_labels else maps


def lattice_affinities(image: Tensor, sigma_rgb: float, sigma_xy: float) -> Tensor:
    """A (N, P, P) as the lattice has it: what it makes of each pixel alone."""
    n, _, height, width = image.shape
    units = torch.eye(height * width, dtype=torch.float64).view(1, -1, height, width)
    return bilateral_filter(image, units.expand(n, -1, -1, -1), sigma_rgb, sigma_xy).flatten(2)


def exact_affinities(image: Tensor, sigma_rgb: float, sigma_xy: float) -> Tensor:
    """The Gaussian affinities (N, P, P)."""
    n, _, height, width = image.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    position = torch.stack((rows, columns)).expand(n, -1, -1, -1) / sigma_xy
    features = torch.cat((position, image / sigma_rgb), 1).flatten(2).double()
    units = torch.eye(height * width, dtype=torch.float64).expand(n, -1, -1)
    return gaussian_filter_exact(features, units)


def form(left: Tensor, affinities: Tensor, right: Tensor) -> Tensor:
    """``left' A right`` (N, K) of maps (N, K or 1, H, W)."""
    return ((left.flatten(2) @ affinities) * right.flatten(2)).sum(2)
