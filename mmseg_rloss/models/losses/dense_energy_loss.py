"""The dense energy loss of RRM as MMSegmentation builds it, by name, from ``loss_decode``."""

from __future__ import annotations

from mmseg.registry import MODELS
from torch import Tensor

from ...ops import DenseEnergyLoss as DenseEnergyLayer
from ...ops.checks import check_finite
from ...ops.segmentation import UNLABELLED
from .regularized_loss import RegularizedLoss, is_unlabelled, scale_label


@MODELS.register_module()
class DenseEnergyLoss(RegularizedLoss):
    """DenseCRF energy that leaves confident pixels with a label alone (Zhang et al., AAAI 2020).

    A pixel has no label where that is the ``ignore_index`` of the head.

    Args:
        loss_weight: Factor of the energy, which is negative and grows with the square of the
            number of pixels within the bandwidths.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the images the network sees.
        scale_factor: Fraction of the images' size at which the energy is computed, in (0, 1].
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.

    Raises:
        TypeError: A parameter is not a number.
        ValueError: A parameter is out of its range.
    """

    def __init__(
        self,
        loss_weight: float = 1.5e-9,
        sigma_rgb: float = 15.0,
        sigma_xy: float = 100.0,
        scale_factor: float = 0.5,
        loss_name: str = "loss_dense_energy",
    ) -> None:
        check_finite("loss_weight", loss_weight)
        layer = DenseEnergyLayer(loss_weight, sigma_rgb, sigma_xy, scale_factor)
        super().__init__(layer, loss_name)

    def layer_label(
        self, seg_label: Tensor, ignore_index: int | None, size: tuple[int, int]
    ) -> Tensor:
        """The labels at the images' size: 255 without one, 0 for every class."""
        return scale_label(UNLABELLED * is_unlabelled(seg_label, ignore_index).float(), size)
