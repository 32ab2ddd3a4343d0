"""The DenseCRF loss as MMSegmentation builds it, by name, from ``loss_decode``."""

from __future__ import annotations

from mmseg.registry import MODELS

from ...ops import DenseCRFLoss as DenseCRFLayer
from ...ops.checks import check_finite, check_flag
from .regularized_loss import RegularizedLoss, of_layer


@MODELS.register_module()
class DenseCRFLoss(RegularizedLoss):
    """Energy of the relaxed dense CRF over all pixels of the image (Tang et al., ECCV 2018).

    Args:
        loss_weight: Factor of the energy; by default 1.5e-9, the original's, or 1.5 where it is
            normalized (docs/parameters.md says why). Unless it is normalized, the energy is
            negative and grows with the square of the number of pixels within the bandwidths.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the images the network sees.
        scale_factor: Fraction of the images' size at which the energy is computed, in (0, 1].
        normalize: Divide the energy of each image by its affinities: from 0 to 1, so that one
            weight serves every size and bandwidth.
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.

    Raises:
        TypeError: A parameter is not a number.
        ValueError: A parameter is out of its range.
    """

    normalize = of_layer("normalize")

    def __init__(
        self,
        loss_weight: float | None = None,
        sigma_rgb: float = 15.0,
        sigma_xy: float = 100.0,
        scale_factor: float = 0.5,
        normalize: bool = False,
        loss_name: str = "loss_densecrf",
    ) -> None:
        check_flag("normalize", normalize)
        if loss_weight is None:
            loss_weight = 1.5 if normalize else 1.5e-9
        check_finite("loss_weight", loss_weight)
        layer = DenseCRFLayer(loss_weight, sigma_rgb, sigma_xy, scale_factor, normalize=normalize)
        super().__init__(layer, loss_name)
