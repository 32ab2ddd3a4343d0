"""The images of a batch with what the energies, heads and losses of the batch share of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .checks import check_energy_parameters, check_positive, check_scale_factor
from .lattice import Lattice
from .neighbours import Neighbours
from .ranges import GREY_LEVELS
from .self_labels import LabelAffinities

Affinities = Lattice | Neighbours | LabelAffinities


class Scene:
    """The images of a batch and their region of interest, at any scale.

    Lattices and neighbours are built when they are first asked for and kept as long as the scene:
    losses and heads with the same bandwidths and scale share them.

    Args:
        image: (N, C, H, W), any real type, constant for the gradient.
        region_of_interest: (N, H, W), 1 on pixels that count and 0 elsewhere (padding), any type.
        mean: (C, 1, 1) by which ``image`` was normalised: ``image * std + mean`` has values 0-255.
            None where it has them itself.
        std: (C, 1, 1), as ``mean``.
        image_tags: (N, K) of bool or wider, the classes that each image may show, for losses that
            make use of it. None where it is not known.
        value_range: The least and the largest value of the images, if it is not 0-255; None where
            it is not known, and soft labels compare colours as they are.
    """

    def __init__(
        self,
        image: Tensor,
        region_of_interest: Tensor,
        *,
        mean: Tensor | None = None,
        std: Tensor | None = None,
        image_tags: Tensor | None = None,
        value_range: tuple[float, float] | None = GREY_LEVELS,
    ) -> None:
        self._image = image.detach()
        self._region_of_interest = region_of_interest
        self._mean, self._std = mean, std
        self.image_tags = image_tags
        self._value_range = value_range
        self._lattices: dict[tuple, Lattice] = {}
        self._neighbours: dict[tuple, Neighbours] = {}
        self._label_affinities: dict[tuple, LabelAffinities] = {}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self._image.shape[2:]
        return height, width

    def __len__(self) -> int:
        return len(self._image)

    @property
    def region_of_interest(self) -> Tensor:
        """(N, H, W) as given."""
        return self._region_of_interest

    def image(self, scale_factor: float = 1.0) -> Tensor:
        """The images (N, C, h, w) in 0-255, of floating point, scaled by nearest neighbour."""
        image = scale_nearest(self._image, scale_factor)
        if self._mean is None or self._std is None:
            return image
        return image * self._std + self._mean

    def region(self, scale_factor: float, like: Tensor) -> Tensor:
        """The region (N, h, w) in the type and on the device of ``like``."""
        return scale_map(self._region_of_interest, scale_factor, like).to(like.dtype)

    def lattice(
        self,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        dtype: torch.dtype = torch.float32,
    ) -> Lattice:
        """The lattice of the images at a scale, built now unless it has been.

        Args:
            sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
            sigma_xy: Bandwidth of the position, in pixels at full size.
            scale_factor: Fraction of the size, in (0, 1].
            dtype: In which it filters, float32 or float64.

        Raises:
            TypeError: A parameter is not a number.
            ValueError: A parameter is out of its range.
        """
        sigma_rgb, sigma_xy, scale_factor = check_energy_parameters(
            sigma_rgb, sigma_xy, scale_factor
        )
        key = sigma_rgb, sigma_xy, scale_factor, dtype
        if key not in self._lattices:
            image = self.image(scale_factor).to(dtype)
            self._lattices[key] = Lattice.from_image(image, sigma_rgb, sigma_xy * scale_factor)
        return self._lattices[key]

    def label_affinities(
        self,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        dtype: torch.dtype = torch.float32,
    ) -> LabelAffinities:
        """The two lattices of soft labels, built now unless they have been.

        Arguments and errors are those of :meth:`lattice`.
        """
        sigma_rgb, sigma_xy, scale_factor = check_energy_parameters(
            sigma_rgb, sigma_xy, scale_factor
        )
        key = sigma_rgb, sigma_xy, scale_factor, dtype
        if key not in self._label_affinities:
            image = self.image(scale_factor).to(dtype)
            self._label_affinities[key] = LabelAffinities.from_image(
                image, sigma_rgb, sigma_xy * scale_factor, self._value_range
            )
        return self._label_affinities[key]

    def neighbours(
        self, sigma_rgb: float, scale_factor: float, dtype: torch.dtype = torch.float32
    ) -> Neighbours:
        """The affinities of neighbouring pixels at a scale, computed now unless they have been.

        Args:
            sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
            scale_factor: Fraction of the size, in (0, 1].
            dtype: Of the affinities, float32 or float64.

        Raises:
            TypeError: A parameter is not a number.
            ValueError: A parameter is out of its range.
        """
        sigma_rgb = check_positive("sigma_rgb", sigma_rgb)
        scale_factor = check_scale_factor(scale_factor)
        key = sigma_rgb, scale_factor, dtype
        if key not in self._neighbours:
            image = self.image(scale_factor).to(dtype)
            region = self.region(scale_factor, like=image)
            self._neighbours[key] = Neighbours.from_image(image, region, sigma_rgb)
        return self._neighbours[key]


def scale_nearest(tensor: Tensor, scale_factor: float) -> Tensor:
    """Scale (N, C, H, W) of any real type by nearest neighbour, in floating point."""
    if scale_factor == 1:
        return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    if tensor.dtype != torch.uint8:  # which torch scales as it is
        tensor = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    scaled = F.interpolate(tensor, scale_factor=scale_factor)
    return scaled.to(torch.promote_types(tensor.dtype, torch.float32))


def scale_map(tensor: Tensor, scale_factor: float, like: Tensor) -> Tensor:
    """Scale (N, H, W) by nearest neighbour, on the device of ``like``, in floating point."""
    return scale_nearest(tensor.to(like.device).unsqueeze(1), scale_factor).squeeze(1)
