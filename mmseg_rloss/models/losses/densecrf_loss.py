"""The DenseCRF loss as MMSegmentation builds it, by name, from ``loss_decode``."""

from __future__ import annotations

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...ops import DenseCRFLoss as DenseCRFLayer

_NO_IMAGES = """\
DenseCRFLoss has no images: MMSegmentation passes logits and labels to a loss, not the photo.
Add to the config

    custom_imports = dict(imports=['mmseg_rloss'])
    custom_hooks = [dict(type='ProvideImagesHook')]

or, in a training loop of your own, before it starts

    from mmseg_rloss import provide_images
    provide_images(model)

and compute the losses by calling the model: model(inputs, data_samples, mode='loss')."""


@MODELS.register_module()
class DenseCRFLoss(nn.Module):
    """Energy of the relaxed dense CRF over all pixels of the photo (Tang et al., ECCV 2018).

    Stands beside a cross entropy in ``loss_decode`` of any head that computes its losses on maps
    of logits. The images come from :class:`~mmseg_rloss.engine.ProvideImagesHook` or
    :func:`~mmseg_rloss.engine.provide_images`. Softmax and filter run in float32 (float64 for
    float64 logits) whatever the autocast.

    Args:
        loss_weight: Factor of the energy, which is negative and grows with the square of the
            number of pixels within the bandwidths.
        sigma_rgb: Bandwidth of the colours, in grey levels (0-255).
        sigma_xy: Bandwidth of the position, in pixels of the images the network sees.
        scale_factor: Fraction of the images' size at which the energy is computed, in (0, 1].
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.

    Raises:
        TypeError: A parameter is no number.
        ValueError: A parameter is out of its range.
    """

    def __init__(
        self,
        loss_weight: float = 1.5e-9,
        sigma_rgb: float = 15.0,
        sigma_xy: float = 100.0,
        scale_factor: float = 0.5,
        loss_name: str = "loss_densecrf",
    ) -> None:
        super().__init__()
        self.layer = DenseCRFLayer(loss_weight, sigma_rgb, sigma_xy, scale_factor)
        self._loss_name = loss_name
        self._batch: tuple[Tensor, Tensor] | None = None

    @property
    def loss_name(self) -> str:
        """Name of the loss in the log."""
        return self._loss_name

    def provide(self, image: Tensor, region_of_interest: Tensor) -> None:
        """Hand over the batch whose logits come next.

        Args:
            image: (N, C, H, W), 0-255.
            region_of_interest: (N, H, W), 1 on the pixels that show the photo, 0 elsewhere.
        """
        self._batch = image, region_of_interest

    def take_back(self) -> None:
        """Forget the batch, so that its memory is free."""
        self._batch = None

    def forward(
        self,
        seg_logits: Tensor,
        seg_label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
    ) -> Tensor:
        """Compute the weighted energy, as ``BaseDecodeHead.loss_by_feat`` asks for it.

        Args:
            seg_logits: (N, K, h, w) logits, scaled to the images' size if they have another.
                One channel is taken as the logits of a foreground (sigmoid).
            seg_label: Not used: all pixels of the photo count, labelled or not.
            weight: Not used: a pixel sampler weighs pixels, the energy is one of pairs.
            ignore_index: Not used, for the same reason as ``seg_label``.

        Returns:
            A scalar.

        Raises:
            RuntimeError: The loss was not provided with images.
            ValueError: ``seg_logits`` are not maps, or not of the batch provided.
        """
        if self._batch is None:
            raise RuntimeError(_NO_IMAGES)
        image, region_of_interest = self._batch
        _check_logits(seg_logits, image)
        with torch.autocast(seg_logits.device.type, enabled=False):
            logits = seg_logits.to(torch.promote_types(seg_logits.dtype, torch.float32))
            if logits.shape[2:] != image.shape[2:]:
                logits = F.interpolate(logits, image.shape[2:], mode="bilinear")
            return self.layer(image, _probabilities(logits), region_of_interest)


def _probabilities(logits: Tensor) -> Tensor:
    """(N, K, H, W), or (N, 2, H, W) background and foreground of one-channel logits."""
    if logits.shape[1] == 1:
        return torch.cat([-logits, logits], dim=1).sigmoid()
    return logits.softmax(dim=1)


def _check_logits(seg_logits: Tensor, image: Tensor) -> None:
    if seg_logits.ndim != 4:
        raise ValueError(
            f"seg_logits must be maps (N, K, H, W), but their shape is {tuple(seg_logits.shape)}. "
            "A head that computes its losses on sampled points, such as PointHead, cannot use "
            "DenseCRFLoss: list it in loss_decode of a head that predicts maps"
        )
    if len(seg_logits) != len(image):
        raise ValueError(
            f"seg_logits {tuple(seg_logits.shape)} and the images provided {tuple(image.shape)} "
            "must be of the same batch, but differ in N"
        )
