"""The self-label loss as MMSegmentation builds it, by name, from ``loss_decode``."""

from __future__ import annotations

import torch
from mmseg.registry import MODELS
from torch import Tensor

from ...ops import SelfLabelLoss as SelfLabelLayer
from ...ops.checks import check_finite
from ...ops.segmentation import UNLABELLED
from .regularized_loss import RegularizedLoss, is_unlabelled, of_layer, scale_label


@MODELS.register_module()
class SelfLabelLoss(RegularizedLoss):
    """Cross entropy with soft labels that scribbles, image and network agree on.

    A pixel has no label where that is the ``ignore_index`` of the head. With LoadImageTags in the
    training pipeline, a class that an image has no scribble of is impossible everywhere in it.

    Args:
        loss_weight: Factor of the cross entropy, a weighted mean over the pixels without a label.
            1.5 fits scribbles beside a cross entropy of weight 1 (docs/self_labelling.md).
        sigma_rgb: Bandwidth of the colours, in CIE L*a*b* with a lightness of 0-255.
        sigma_xy: Bandwidth of the position, in pixels of the images the network sees: an eighth of
            the crop.
        scale_factor: Fraction of the images' size at which it is computed, in (0, 1].
        class_balance: From 0, where a class weighs by its area in the image, to 1, where all
            classes of the image weigh alike. By the root of the area, the default, rare classes are
            not pushed aside; where none is rare, 0 gave a little more mIoU (docs/results.md).
        label_balance: From 0 to 1, how far the labels disregard what the network has of a class
            throughout the image. 1 fits points, with a ``loss_weight`` of 1 and a ``class_balance``
            of 0: most of their labels are the network's own guess, and one class would take the
            others' place.
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.

    Raises:
        TypeError: A parameter is not a number.
        ValueError: A parameter is out of its range.
    """

    class_balance = of_layer("class_balance")
    label_balance = of_layer("label_balance")

    def __init__(
        self,
        loss_weight: float = 1.5,
        sigma_rgb: float = 12.0,
        sigma_xy: float = 64.0,
        scale_factor: float = 0.5,
        class_balance: float = 0.5,
        label_balance: float = 0.0,
        loss_name: str = "loss_self_label",
    ) -> None:
        check_finite("loss_weight", loss_weight)
        layer = SelfLabelLayer(
            loss_weight,
            sigma_rgb,
            sigma_xy,
            scale_factor,
            class_balance=class_balance,
            label_balance=label_balance,
        )
        super().__init__(layer, loss_name)

    def layer_label(
        self, seg_label: Tensor, ignore_index: int | None, size: tuple[int, int]
    ) -> Tensor:
        """The labels at the images' size, 255 where there is none."""
        unlabelled = is_unlabelled(seg_label, ignore_index)
        return scale_label(torch.where(unlabelled, UNLABELLED, seg_label), size)
