"""Packs the region of interest, the image's tags and its true colours with the sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

from ..label_png import UNLABELLED
from .loading import INSIDE


@TRANSFORMS.register_module()
class PackScribbleInputs(PackSegInputs):
    """MMSeg's PackSegInputs, which also packs the region of interest as ``gt_roi``.

    ``data_sample.gt_roi.data`` is (1, H, W) uint8, 1 on the pixels that show the image and 0
    elsewhere. ``data_sample.image_tags`` are those of LoadImageTags, and
    ``data_sample.kept_image.data`` is the image of KeepImage, (C, H, W) as it was loaded. Without
    them in the pipeline, it packs what PackSegInputs packs.

    Args:
        meta_keys: As in PackSegInputs.

    Raises:
        TypeError: ``meta_keys`` is one string, whose letters would be taken for keys.
        ValueError: The region, the label map or the kept image has another size than the image, or
            there are labels that are not among the tags.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.meta_keys, str):
            raise TypeError(f"meta_keys must be a tuple of names, not the str {self.meta_keys!r}")

    def transform(self, results: dict) -> dict:
        _check_label_map(results)
        packed = super().transform(results)
        if "gt_roi_map" in results:
            _check_size(results)
            region = (results["gt_roi_map"] == INSIDE).astype(np.uint8)
            packed["data_samples"].gt_roi = PixelData(data=torch.from_numpy(region)[None])
        if "kept_img" in results:
            _check_kept_image(results)
            image = np.atleast_3d(results["kept_img"]).transpose(2, 0, 1)
            # PyTorch hardly supports uint16.
            image = np.ascontiguousarray(image, np.uint8 if image.dtype == np.uint8 else np.float32)
            packed["data_samples"].kept_image = PixelData(data=torch.from_numpy(image))
        if "image_tags" in results:
            _check_tags(results)
            packed["data_samples"].set_metainfo(dict(image_tags=results["image_tags"]))
        return packed


def _check_size(results: dict) -> None:
    size, image_size = results["gt_roi_map"].shape, results["img"].shape[:2]
    if size != image_size:
        raise ValueError(
            f"The region of interest is {size} but the image is {image_size}: a transform between "
            "LoadRegionOfInterest and PackScribbleInputs scales or crops the image without the "
            "maps named in results['seg_fields']. Put LoadRegionOfInterest after it if it adds no "
            "padding, or let it treat those maps like gt_seg_map; check that "
            "default_scope = 'mmseg', since MMCV's own Resize and RandomFlip do not"
        )


def _check_kept_image(results: dict) -> None:
    size, image_size = results["kept_img"].shape[:2], results["img"].shape[:2]
    if size != image_size:
        raise ValueError(
            f"The image of KeepImage is {size} but the network's {image_size}: a transform between "
            "KeepImage and PackScribbleInputs moves pixels. Put KeepImage after it"
        )


def _check_label_map(results: dict) -> None:
    if "gt_seg_map" not in results or results["img"].ndim > 3:  # a volume
        return
    shape, size = results["gt_seg_map"].shape, results["img"].shape[:2]
    if shape != size:
        raise ValueError(
            f"{results.get('seg_map_path', 'gt_seg_map')}: the label map is {shape}, but the image "
            f"{size} (height, width) when it is packed. Its file does not fit its image, which "
            "LoadRegionOfInterest right after LoadAnnotations would report, or a transform moves "
            "one without the other"
        )


def _check_tags(results: dict) -> None:
    labels = np.unique(results["gt_seg_map"])
    unknown = np.setdiff1d(labels[labels != UNLABELLED], results["image_tags"])
    if unknown.size:
        raise ValueError(
            f"{results.get('seg_map_path', 'gt_seg_map')}: label {unknown[0]} is not among the "
            f"image's tags {results['image_tags']}. A transform after LoadImageTags, such as "
            "RandomMosaic, brought in labels of another image: leave one of the two out"
        )
