"""Loads what the losses need besides images and labels: regions of interest, tags, true colours."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..label_png import UNLABELLED, check_label

# The map's value on the image. Neither a label that transforms fill in (0, 254, 255, a class) nor
# one they swap (RandomFlip's swap_seg_labels), so that whatever differs from it is outside.
INSIDE = 200
OUTSIDE = 255


@TRANSFORMS.register_module()
class LoadRegionOfInterest(BaseTransform):
    """Add the region of interest, which MMSeg's transforms then move like the label map.

    It starts as the whole image. What a transform adds around or inside the image is outside.
    Place it right after LoadAnnotations, whose label map it checks; PackScribbleInputs packs the
    result.

    Args:
        ignore_index: What stands for unlabelled in the label maps, if not 255. It becomes 255,
            which MMSeg's losses ignore and its transforms fill in.
        num_classes: Refuse labels from there on. Without it, ProvideImagesHook refuses those
            that the data set has no class for, when training starts.

    Required keys:

    - img: (H, W) or (H, W, C)

    Added keys:

    - gt_roi_map: (H, W) uint8, ``INSIDE`` on the image

    Modified keys:

    - gt_seg_map, if ignore_index is not 255
    - seg_fields

    Raises:
        ValueError: The image is a volume, or the label map does not fit the image.
    """

    def __init__(self, ignore_index: int = UNLABELLED, num_classes: int | None = None) -> None:
        check_label("ignore_index", ignore_index)
        if num_classes is not None:
            number = isinstance(num_classes, Integral) and not isinstance(num_classes, bool)
            if not (number and num_classes > 0):
                raise ValueError(f"num_classes must be None or 1 or more, got {num_classes!r}")
        self.ignore_index = ignore_index
        self.num_classes = num_classes

    def transform(self, results: dict) -> dict:
        shape = results["img"].shape
        if len(shape) not in (2, 3):
            raise ValueError(
                f"img must be (H, W) or (H, W, C), but its shape is {shape}: the region of "
                "interest is one of images, not of volumes. Remove LoadRegionOfInterest"
            )
        if "gt_seg_map" in results:
            results["gt_seg_map"] = self._checked_labels(results)
        results["gt_roi_map"] = np.full(shape[:2], INSIDE, dtype=np.uint8)
        seg_fields = results.setdefault("seg_fields", [])
        if "gt_roi_map" not in seg_fields:
            seg_fields.append("gt_roi_map")
        return results

    def _checked_labels(self, results: dict) -> np.ndarray:
        labels, size = results["gt_seg_map"], results["img"].shape[:2]
        name = results.get("seg_map_path", "gt_seg_map")
        image = f"its image {results.get('img_path', '')}".rstrip()
        if labels.ndim != 2:
            raise ValueError(
                f"{name}: the label map is {labels.shape}, but must be (H, W): a label for each "
                "pixel, not a colour. Write the index of its class into each pixel"
            )
        if labels.shape != size:
            raise ValueError(
                f"{name}: the label map is {labels.shape}, but {image} {size} (height, width). "
                "LoadRegionOfInterest goes right after LoadAnnotations, before any transform"
            )
        if self.ignore_index != UNLABELLED:
            labels = np.where(labels == self.ignore_index, np.uint8(UNLABELLED), labels)
        if self.num_classes is not None:
            known = labels[labels != UNLABELLED]
            if known.size and known.max() >= self.num_classes:
                raise ValueError(
                    f"{name}: label {known.max()}, which is not one of the {self.num_classes} "
                    "classes. If it stands for unlabelled, say ignore_index"
                )
        return labels

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(ignore_index={self.ignore_index}, "
            f"num_classes={self.num_classes})"
        )


@TRANSFORMS.register_module()
class LoadImageTags(BaseTransform):
    """Note which classes an image has labels of, before it is cropped.

    Where scribbles touch every object, a class without one is not in the image, and SelfLabelLoss
    rules it out. Leave this out if annotators skipped objects. Place it right after
    LoadRegionOfInterest; PackScribbleInputs packs the result.

    Required keys:

    - gt_seg_map: (H, W)
    - gt_roi_map

    Added keys:

    - image_tags: list of int, in order

    Raises:
        ValueError: LoadRegionOfInterest has not come before.
    """

    def transform(self, results: dict) -> dict:
        if "gt_roi_map" not in results:
            raise ValueError("LoadImageTags goes right after LoadRegionOfInterest in the pipeline")
        labels = np.unique(results["gt_seg_map"])
        results["image_tags"] = labels[labels != UNLABELLED].tolist()
        return results


@TRANSFORMS.register_module()
class KeepImage(BaseTransform):
    """Keep the image as it is here for the regularized losses, whatever its colours become.

    The network gets what the transforms after this one make of it. Place it after all that move
    pixels and before those that change colours, such as PhotoMetricDistortion. PackScribbleInputs
    packs the result.

    Required keys:

    - img: (H, W) or (H, W, C)

    Added keys:

    - kept_img: a copy of it
    """

    def transform(self, results: dict) -> dict:
        results["kept_img"] = results["img"].copy()
        return results
