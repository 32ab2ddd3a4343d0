"""The neighbours' Potts loss as MMSegmentation builds it, by name, from ``loss_decode``."""

from __future__ import annotations

from mmseg.registry import MODELS

from ...ops import NeighbourPottsLoss as NeighbourPottsLayer
from ...ops.checks import check_finite
from .regularized_loss import RegularizedLoss, of_layer


@MODELS.register_module()
class NeighbourPottsLoss(RegularizedLoss):
    """Potts model over neighbouring pixels of like colour (after Zhang and Boykov, CVPR 2025).

    Args:
        loss_weight: Factor of the energy, which is from 0 to 1.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        scale_factor: Fraction of the images' size at which the energy is computed, in (0, 1].
        relaxation: Of the Potts model: ``"bilinear"``, ``"quadratic"`` or
            ``"normalized_quadratic"``, as in :func:`~mmseg_rloss.ops.neighbour_potts_loss`.
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.

    Raises:
        TypeError: A parameter is not a number, or ``relaxation`` not a string.
        ValueError: A parameter is out of its range.
    """

    relaxation = of_layer("relaxation")

    def __init__(
        self,
        loss_weight: float = 1.0,
        sigma_rgb: float = 10.0,
        scale_factor: float = 0.5,
        relaxation: str = "quadratic",
        loss_name: str = "loss_neighbour_potts",
    ) -> None:
        check_finite("loss_weight", loss_weight)
        layer = NeighbourPottsLayer(loss_weight, sigma_rgb, scale_factor, relaxation=relaxation)
        super().__init__(layer, loss_name)
