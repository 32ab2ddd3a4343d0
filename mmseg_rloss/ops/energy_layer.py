"""What the layers have in common: parameters, and the way from logits to an energy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import check_finite, check_positive, check_scale_factor
from .ranges import GREY_LEVELS, check_value_range
from .scene import Affinities, Scene, scale_map
from .segmentation import LogitSegmentation


class EnergyLayer(nn.Module, ABC):
    """A weighted energy with its parameters: what the layers have in common.

    Args:
        weight: Factor of the energy.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        value_range: As in :func:`~mmseg_rloss.ops.densecrf_loss`.

    Raises:
        TypeError: A parameter is not a number.
        ValueError: A parameter is out of its range.
    """

    takes_labels = False  # as a fourth map, (N, H, W)

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        scale_factor: float,
        *,
        value_range: Sequence[float] | None = GREY_LEVELS,
    ) -> None:
        super().__init__()
        self.weight = check_finite("weight", weight)
        self.sigma_rgb = check_positive("sigma_rgb", sigma_rgb)
        self.scale_factor = check_scale_factor(scale_factor)
        self.value_range = check_value_range(value_range)

    @abstractmethod
    def affinities(self, scene: Scene, dtype: torch.dtype = torch.float32) -> Affinities:
        """The affinities of a scene's pixels in a type: what the scene shares of them."""

    @abstractmethod
    def energy(self, *args: Any, **kwargs: Any) -> Tensor:
        """The energy that a subclass weighs: its formula.

        Its arguments: the Segmentation, the affinities, labels and what :meth:`known` returns.
        """

    def from_logits(self, scene: Scene, logits: Tensor, seg_label: Tensor | None = None) -> Tensor:
        """``weight`` times the energy of logits, without a map of probabilities at full size.

        Args:
            scene: The images (N, C, H, W) and their region of interest, on the device of the
                logits. Losses that share a scene share its affinities.
            logits: (N, K, h, w) of any floating-point type, scaled bilinearly to the images' size
                if they have another. One channel is taken as the logits of a foreground
                (sigmoid), more go through a softmax, in float32 (float64 for float64 logits).
            seg_label: (N, H, W) labels for a DenseEnergyLoss or SelfLabelLoss, 255 where there is
                none.

        Returns:
            A scalar, as the loss of the same probabilities returns it.

        Raises:
            ValueError: Logits are not finite. On a GPU, which is not waited for, the loss is NaN.
        """
        if logits.shape[2:] != scene.size:
            logits = F.interpolate(logits.to(_compute_type(logits)), scene.size, mode="bilinear")
        dtype = _compute_type(logits)
        region = scene.region(self.scale_factor, logits.new_empty(0, dtype=dtype))  # (N, h, w)
        affinities = self.affinities(scene, dtype)
        segmentation = LogitSegmentation(logits, region, self.scale_factor)
        labels = []
        if seg_label is not None:
            labels = [scale_map(seg_label, self.scale_factor, region)]
        try:
            return self.weight * self.energy(segmentation, affinities, *labels, **self.known(scene))
        except ValueError as error:  # they are refused where they are read, on the CPU
            raise ValueError(
                f"the logits that {type(self).__name__} is computed from must be finite (-inf "
                "stands for the probability 0), but NaN or infinity is among them: the training "
                "has diverged. Lower the learning rate or the weight of the loss"
            ) from error

    def known(self, scene: Scene) -> dict[str, Tensor | None]:
        """What :meth:`energy` takes of the images besides their affinities: nothing here."""
        return {}

    def extra_repr(self) -> str:
        return f"weight={self.weight}, sigma_rgb={self.sigma_rgb}, scale_factor={self.scale_factor}"


class LatticeLayer(EnergyLayer):
    """A weighted energy whose affinities are those of a lattice, in colour and position.

    Args:
        weight: Factor of the energy.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the full-size image.
        scale_factor: Fraction of the size at which the energy is computed, in (0, 1].
        value_range: As in :func:`~mmseg_rloss.ops.densecrf_loss`.

    Raises:
        TypeError: A parameter is not a number.
        ValueError: A parameter is out of its range.
    """

    def __init__(
        self,
        weight: float,
        sigma_rgb: float,
        sigma_xy: float,
        scale_factor: float,
        *,
        value_range: Sequence[float] | None = GREY_LEVELS,
    ) -> None:
        super().__init__(weight, sigma_rgb, scale_factor, value_range=value_range)
        self.sigma_xy = check_positive("sigma_xy", sigma_xy)

    def affinities(self, scene: Scene, dtype: torch.dtype = torch.float32) -> Affinities:
        return scene.lattice(*self.bandwidths, dtype)

    @property
    def bandwidths(self) -> tuple[float, float, float]:
        """``sigma_rgb``, ``sigma_xy`` and ``scale_factor``, by which lattices are shared."""
        return self.sigma_rgb, self.sigma_xy, self.scale_factor

    def extra_repr(self) -> str:
        return (
            f"weight={self.weight}, sigma_rgb={self.sigma_rgb}, sigma_xy={self.sigma_xy}, "
            f"scale_factor={self.scale_factor}"
        )


def _compute_type(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)
