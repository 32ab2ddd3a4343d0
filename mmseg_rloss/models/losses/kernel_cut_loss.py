"""The kernel cut as MMSegmentation builds it, by name, from ``loss_decode``."""

from __future__ import annotations

from mmseg.registry import MODELS

from ...ops import KernelCutLoss as KernelCutLayer
from ...ops.checks import check_finite
from .regularized_loss import RegularizedLoss, of_layer


@MODELS.register_module()
class KernelCutLoss(RegularizedLoss):
    """Normalized cut and normalized DenseCRF energy over all pixels (Tang et al., ECCV 2018).

    Args:
        loss_weight: Factor of the sum of both.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the images the network sees.
        scale_factor: Fraction of the images' size at which both are computed, in (0, 1].
        densecrf_weight: Factor of the DenseCRF energy within the sum, above 0.
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.

    Raises:
        TypeError: A parameter is not a number.
        ValueError: A parameter is out of its range.
    """

    densecrf_weight = of_layer("densecrf_weight")

    def __init__(
        self,
        loss_weight: float = 0.1,
        sigma_rgb: float = 15.0,
        sigma_xy: float = 100.0,
        scale_factor: float = 0.5,
        densecrf_weight: float = 15.0,
        loss_name: str = "loss_kernel_cut",
    ) -> None:
        check_finite("loss_weight", loss_weight)
        layer = KernelCutLayer(
            loss_weight, sigma_rgb, sigma_xy, scale_factor, densecrf_weight=densecrf_weight
        )
        super().__init__(layer, loss_name)
