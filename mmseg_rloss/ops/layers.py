"""The energies as layers for plain PyTorch, called with the arguments of rloss's and RRM's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .checks import check_choice, check_flag, check_positive, check_share
from .energies import dense_energy, densecrf_energy, kernel_cut_energy, normalized_cut_energy
from .energy_layer import EnergyLayer, LatticeLayer
from .functional import (
    dense_energy_loss,
    densecrf_loss,
    kernel_cut_loss,
    neighbour_potts_loss,
    normalized_cut_loss,
    self_label_loss,
)
from .lattice import Lattice
from .neighbours import QUADRATIC, RELAXATIONS, Neighbours, neighbour_potts_energy
from .ranges import GREY_LEVELS
from .scene import Scene
from .segmentation import Segmentation
from .self_labels import CLASS_BALANCE, LabelAffinities, self_label_energy

# Also exported by mmseg_rloss and mmseg_rloss.ops.
__all__ = [
    "DenseCRFLoss",
    "DenseEnergyLoss",
    "KernelCutLoss",
    "NeighbourPottsLoss",
    "NormalizedCutLoss",
    "SelfLabelLoss",
]


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
        weight: Factor of the loss, which is a cross entropy: 1.5 beside one of weight 1 on
            scribbles, 1 on points (docs/self_labelling.md).
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
