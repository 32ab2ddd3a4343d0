"""The normalized cut as MMSegmentation builds it, by name, from ``loss_decode``."""

from __future__ import annotations

from mmseg.registry import MODELS

from ...ops import NormalizedCutLoss as NormalizedCutLayer
from ...ops.checks import check_finite
from .regularized_loss import RegularizedLoss


@MODELS.register_module()
class NormalizedCutLoss(RegularizedLoss):
    """Normalized cut over all pixels of the image (Tang et al., CVPR 2018).

    Args:
        loss_weight: Factor of the cut, which is from 0 to the number of classes.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the images the network sees.
        scale_factor: Fraction of the images' size at which the cut is computed, in (0, 1].
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.

    Raises:
        TypeError: A parameter is not a number.
        ValueError: A parameter is out of its range.
    """

    def __init__(
        self,
        loss_weight: float = 0.1,
        sigma_rgb: float = 15.0,
        sigma_xy: float = 100.0,
        scale_factor: float = 0.5,
        loss_name: str = "loss_normalized_cut",
    ) -> None:
        check_finite("loss_weight", loss_weight)
        layer = NormalizedCutLayer(loss_weight, sigma_rgb, sigma_xy, scale_factor)
        super().__init__(layer, loss_name)
