"""What the losses over all pixels of the photo share, as MMSegmentation's heads call them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...ops.energy import EnergyLayer
from ..logits import to_probabilities

_NO_IMAGES = """\
{loss} has no images: MMSegmentation passes logits and labels to a loss, not the photo.
Add to the config

    custom_imports = dict(imports=['mmseg_rloss'])
    custom_hooks = [dict(type='ProvideImagesHook')]

or, in a training loop of your own, before it starts

    from mmseg_rloss import provide_images
    provide_images(model)

and compute the losses by calling the model: model(inputs, data_samples, mode='loss')."""


class RegularizedLoss(nn.Module):
    """An energy of the probabilities of all pixels, given the photo.

    Stands beside a cross entropy in ``loss_decode`` of any head that computes its losses on maps
    of logits. The images come from :class:`~mmseg_rloss.engine.ProvideImagesHook` or
    :func:`~mmseg_rloss.engine.provide_images`. Softmax and filter run in float32 (float64 for
    float64 logits) whatever the autocast.

    Args:
        layer: Computes the weighted energy.
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.
    """

    def __init__(self, layer: EnergyLayer, loss_name: str) -> None:
        super().__init__()
        self.layer = layer
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
            seg_label: (N, h, w) labels. All pixels of the photo count, labelled or not; see the
                loss for what else it does with them.
            weight: Not used: a pixel sampler weighs pixels, the energy is one of pairs.
            ignore_index: The label of the pixels without one.

        Returns:
            A scalar.

        Raises:
            RuntimeError: The loss was not provided with images.
            ValueError: ``seg_logits`` are not maps, or not of the batch provided.
        """
        if self._batch is None:
            raise RuntimeError(_NO_IMAGES.format(loss=type(self).__name__))
        image, region_of_interest = self._batch
        self._check_logits(seg_logits, image)
        with torch.autocast(seg_logits.device.type, enabled=False):
            logits = seg_logits.to(torch.promote_types(seg_logits.dtype, torch.float32))
            if logits.shape[2:] != image.shape[2:]:
                logits = F.interpolate(logits, image.shape[2:], mode="bilinear")
            labels = self.layer_labels(seg_label, ignore_index, image)
            return self.layer(image, to_probabilities(logits), region_of_interest, *labels)

    def layer_labels(
        self, seg_label: Tensor, ignore_index: int | None, image: Tensor
    ) -> tuple[Tensor, ...]:
        """What the layer takes of the labels, after the region of interest: nothing here."""
        return ()

    def _check_logits(self, seg_logits: Tensor, image: Tensor) -> None:
        if seg_logits.ndim != 4:
            raise ValueError(
                "seg_logits must be maps (N, K, H, W), but their shape is "
                f"{tuple(seg_logits.shape)}. A head that computes its losses on sampled points, "
                f"such as PointHead, cannot use {type(self).__name__}: list it in loss_decode of "
                "a head that predicts maps"
            )
        if len(seg_logits) != len(image):
            raise ValueError(
                f"seg_logits {tuple(seg_logits.shape)} and the images provided "
                f"{tuple(image.shape)} must be of the same batch, but differ in N"
            )
