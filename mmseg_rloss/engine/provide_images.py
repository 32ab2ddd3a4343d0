"""Hands every DenseCRFLoss of a network the images whose logits it is about to judge."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import DenseCRFLoss

_FRACTIONAL_IMAGES = """\
The images have values from 0 to 1, but sigma_rgb of DenseCRFLoss counts grey levels from 0 to 255.
Leave the images as they are loaded (uint8) and let data_preprocessor normalise them with mean and
std in grey levels; drop the transform that divides them by 255."""


def provide_images(model: nn.Module) -> ImageProvider:
    """Provide every DenseCRFLoss in a segmentor with its images, from now on.

    Each forward in mode ``loss`` gets the batch as 0-255 RGB, computed back from the data
    preprocessor's mean, std and channel order, and the region of interest; both are taken back
    when it returns. Calling this twice for a model does no harm.

    Args:
        model: The segmentor, or what wraps it (distributed, compiled).

    Returns:
        A handle whose ``remove()`` ends it. It also serves as a context manager.

    Raises:
        TypeError: ``model`` holds no segmentor.
    """
    return ImageProvider(model)


class ImageProvider:
    """The handle that :func:`provide_images` returns."""

    def __init__(self, model: nn.Module) -> None:
        segmentor = find_segmentor(model)
        self._losses = [loss for loss in segmentor.modules() if isinstance(loss, DenseCRFLoss)]
        if not self._losses:
            warnings.warn(
                f"{type(segmentor).__name__} has no DenseCRFLoss to provide with images: list "
                "dict(type='DenseCRFLoss') in loss_decode of a head",
                stacklevel=3,
            )
        self._range_checked = False
        self._handles = [
            segmentor.register_forward_pre_hook(self._provide, with_kwargs=True),
            segmentor.register_forward_hook(self._take_back, always_call=True),
        ]

    def remove(self) -> None:
        """Provide no more images; harmless if repeated."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> ImageProvider:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def _provide(self, segmentor: BaseModel, args: tuple, kwargs: dict[str, Any]) -> None:
        call = inspect.signature(type(segmentor).forward).bind(segmentor, *args, **kwargs)
        if not self._losses or call.arguments.get("mode") != "loss":
            return
        inputs, data_samples = call.arguments["inputs"], call.arguments["data_samples"]
        image = denormalize(inputs, segmentor.data_preprocessor)
        if not self._range_checked:
            _check_range(image)
            self._range_checked = True
        region_of_interest = regions_of_interest(inputs, data_samples)
        for loss in self._losses:
            loss.provide(image, region_of_interest)

    def _take_back(self, segmentor: BaseModel, args: tuple, output: object) -> None:
        for loss in self._losses:
            loss.take_back()


def find_segmentor(model: nn.Module) -> BaseModel:
    """The segmentor itself within its wrappers.

    Raises:
        TypeError: There is none.
    """
    for module in model.modules():
        if isinstance(module, BaseModel):
            return module
    raise TypeError(
        f"model must be a segmentor of MMSegmentation or hold one, but {type(model).__name__} does "
        "not. Without MMSegmentation, call mmseg_rloss.ops.DenseCRFLoss on the images yourself"
    )


def denormalize(inputs: Tensor, data_preprocessor: nn.Module) -> Tensor:
    """Undo what a data preprocessor did to the values of the images.

    Args:
        inputs: (N, C, H, W) batch as the network gets it.
        data_preprocessor: The one that made it, of MMSegmentation or MMEngine.

    Returns:
        (N, C, H, W) float32 images in the range in which they were loaded, RGB if C is 3.
    """
    image = inputs.detach().float()
    if getattr(data_preprocessor, "mean", None) is not None:
        image = image * data_preprocessor.std + data_preprocessor.mean
    if image.shape[1] == 3 and not _converts_to_rgb(data_preprocessor):
        image = image.flip(1)  # MMCV loads BGR.
    return image


def _converts_to_rgb(data_preprocessor: nn.Module) -> bool:
    # The official stack has the name without the underscore, MMEngine and the fork the other. It
    # stands for rgb_to_bgr as well; the colours' distances are the same in either order.
    return any(
        getattr(data_preprocessor, flag, False)
        for flag in ("channel_conversion", "_channel_conversion")
    )


def regions_of_interest(inputs: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor:
    """Tell the pixels of a batch that show a photo.

    They are those of ``gt_roi``, which PackScribbleInputs packs, or else the whole of each image
    as its pipeline left it (``img_shape``); the padding of the batch is outside.

    Args:
        inputs: (N, C, H, W) batch as the network gets it.
        data_samples: N data samples.

    Returns:
        (N, H, W) uint8, 1 inside and 0 outside, on the device of ``inputs``.
    """
    regions = [_region_of_interest(inputs, sample) for sample in data_samples]
    return torch.stack(regions)


def _region_of_interest(inputs: Tensor, sample: SegDataSample) -> Tensor:
    height, width = inputs.shape[-2:]
    if "gt_roi" in sample:
        region = sample.gt_roi.data.to(inputs.device)  # (1, h, w)
    else:
        size = sample.metainfo.get("img_shape", (height, width))[:2]
        region = inputs.new_ones((1, *size), dtype=torch.uint8)
    at_the_end = (0, width - region.shape[-1], 0, height - region.shape[-2])
    padding = sample.metainfo.get("padding_size", at_the_end)  # left, right, top, bottom
    region = F.pad(region, tuple(padding))
    if region.shape[-2:] != (height, width):  # An augmentation of batches has scaled them.
        region = F.interpolate(region[None], (height, width))[0]
    return region[0]


def _check_range(image: Tensor) -> None:
    """Refuse images of 0-1, but not dark ones of 0-255: those hold whole grey levels."""
    rounding_error = 0.01  # of a grey level, after normalising in float32 and back
    whole = torch.all((image - image.round()).abs() < rounding_error)
    if image.max() <= 1 + rounding_error and not whole:
        raise ValueError(_FRACTIONAL_IMAGES)
