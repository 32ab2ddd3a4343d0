"""Hands every RegularizedLoss of a network the images whose logits come next."""

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

from ..models.losses import losses_by_name
from ..models.scene_of_batch import LoadedRangeCheck, scene_of
from ..ops.ranges import GREY_LEVELS, check_value_range
from ..ops.segmentation import UNLABELLED


def provide_images(
    model: nn.Module, *, value_range: Sequence[float] | None = GREY_LEVELS
) -> ImageProvider:
    """Provide every RegularizedLoss in a segmentor with its images, from now on.

    Each forward in mode ``loss`` gets the batch as 0-255 RGB, computed back from the data
    preprocessor's mean, std and channel order, or as KeepImage kept it in the pipeline, and the
    region of interest; both are taken back when it returns. The lattices that the losses need are
    launched before the network computes its logits; losses with the same bandwidths and scale share
    one. Calling this twice for a model is harmless.

    Args:
        model: The segmentor, or what wraps it (distributed, compiled).
        value_range: The least and the largest value of the images as they are loaded; others are
            refused, on a GPU one batch late. The losses' ``sigma_rgb`` has the same unit: of 16-bit
            images, (0, 65535), it is 257 times that of 8-bit ones. None accepts any.

    Returns:
        A handle whose ``remove()`` ends it. It also serves as a context manager.

    Raises:
        TypeError: ``model`` holds no segmentor, or ``value_range`` is not a pair of numbers.
        ValueError: ``value_range`` does not rise.
    """
    return ImageProvider(model, value_range)


class ImageProvider:
    """The handle that :func:`provide_images` returns."""

    def __init__(self, model: nn.Module, value_range: Sequence[float] | None) -> None:
        segmentor = find_segmentor(model)
        self._losses = list(losses_by_name(segmentor).values())
        if not self._losses:
            warnings.warn(
                f"{type(segmentor).__name__} has no DenseCRFLoss or other loss to provide "
                "with images: list dict(type='DenseCRFLoss') in loss_decode of a head",
                stacklevel=3,
            )
        for loss in self._losses:
            loss.take_back()  # what a training that was interrupted has left
        self._check_range = LoadedRangeCheck(value_range)
        self._value_range = check_value_range(value_range)
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
        region_of_interest = regions_of_interest(inputs, data_samples)
        tags = image_tags(inputs, data_samples)
        kept = kept_images(inputs, data_samples)
        scene = scene_of(
            inputs, region_of_interest, segmentor.data_preprocessor, tags, kept, self._value_range
        )
        # A quarter of the pixels is enough.
        scale_factor = 0.5 if min(scene.size) > 1 else 1.0
        self._check_range(scene.image(scale_factor), scene.region(scale_factor, inputs))
        for loss in self._losses:
            loss.provide_scene(scene)

    def _take_back(self, segmentor: BaseModel, args: tuple, output: object) -> None:
        for loss in self._losses:
            loss.take_back()


def find_segmentor(model: nn.Module) -> BaseModel:
    """The segmentor itself within its wrappers.

    Raises:
        TypeError: It holds no segmentor.
    """
    for module in model.modules() if isinstance(model, nn.Module) else ():
        if isinstance(module, BaseModel):
            return module
    raise TypeError(
        f"model must be a segmentor of MMSegmentation or hold one, but {type(model).__name__} does "
        "not. Without MMSegmentation, call mmseg_rloss.ops.DenseCRFLoss on the images yourself"
    )


def regions_of_interest(inputs: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor:
    """The pixels of a batch that show an image.

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


def kept_images(inputs: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor | None:
    """The images of a batch as KeepImage kept them.

    Args:
        inputs: (N, C, H, W) batch as the network gets it.
        data_samples: N data samples.

    Returns:
        (N, C, H, W) as they were loaded, 0 in the padding, on the device of ``inputs``; None where
        none was kept.

    Raises:
        ValueError: Some were kept and others were not.
    """
    kept = ["kept_image" in sample for sample in data_samples]
    if not any(kept):
        return None
    if not all(kept):
        raise ValueError(
            f"{kept.count(False)} of {len(kept)} images of the batch were not kept: put KeepImage "
            "into the pipeline of every training set, or of none"
        )
    images = [
        _padded(sample.kept_image.data.to(inputs.device, non_blocking=True), inputs, sample)
        for sample in data_samples
    ]
    return torch.stack(images)


def image_tags(inputs: Tensor, data_samples: Sequence[SegDataSample]) -> Tensor | None:
    """The labels that the images of a batch may show, as noted by LoadImageTags.

    Args:
        inputs: (N, C, H, W) batch as the network gets it.
        data_samples: N data samples.

    Returns:
        (N, 255) of bool on the device of ``inputs``; None where nothing was noted. An image of
        which nothing was noted may show all.
    """
    noted = [sample.metainfo.get("image_tags") for sample in data_samples]
    if all(tags is None for tags in noted):
        return None
    possible = torch.zeros(len(noted), UNLABELLED, dtype=torch.bool)
    for row, tags in zip(possible, noted, strict=True):
        row[slice(None) if tags is None else tags] = True
    if inputs.is_cuda:  # so that nothing waits
        return possible.pin_memory().to(inputs.device, non_blocking=True)
    return possible


def _region_of_interest(inputs: Tensor, sample: SegDataSample) -> Tensor:
    height, width = inputs.shape[-2:]
    if "gt_roi" in sample:
        region = sample.gt_roi.data.to(inputs.device)  # (1, h, w)
    else:
        size = sample.metainfo.get("img_shape", (height, width))[:2]
        region = inputs.new_ones((1, *size), dtype=torch.uint8)
    return _padded(region, inputs, sample)[0]


def _padded(maps: Tensor, inputs: Tensor, sample: SegDataSample) -> Tensor:
    """Maps of a sample, (C, h, w), at the size of the batch, and 0 in its padding."""
    height, width = inputs.shape[-2:]
    at_the_end = (0, width - maps.shape[-1], 0, height - maps.shape[-2])
    padding = sample.metainfo.get("padding_size", at_the_end)  # left, right, top, bottom
    maps = F.pad(maps, tuple(padding))
    if maps.shape[-2:] != (height, width):  # An augmentation of batches has scaled them.
        maps = F.interpolate(maps[None], (height, width))[0]
    return maps
