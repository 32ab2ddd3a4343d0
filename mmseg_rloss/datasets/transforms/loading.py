"""Starts the region of interest: the pixels of a sample that show the photo."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

# The map's value on the photo. Neither a label that transforms fill in (0, 254, 255, a class) nor
# one they swap (RandomFlip's swap_seg_labels), so that whatever differs from it is outside.
INSIDE = 200
OUTSIDE = 255


@TRANSFORMS.register_module()
class LoadRegionOfInterest(BaseTransform):
    """Add the region of interest, which MMSeg's transforms then move like the label map.

    It starts as the whole image. What a transform adds around or inside the photo is outside.
    Goes right after LoadAnnotations; PackScribbleInputs packs the result.

    Required keys:

    - img: (H, W) or (H, W, C)

    Added keys:

    - gt_roi_map: (H, W) uint8, ``INSIDE`` on the photo

    Modified keys:

    - seg_fields
    """

    def transform(self, results: dict) -> dict:
        shape = results["img"].shape
        if len(shape) not in (2, 3):
            raise ValueError(
                f"img must be (H, W) or (H, W, C), but its shape is {shape}: the region of "
                "interest is one of images, not of volumes. Remove LoadRegionOfInterest"
            )
        results["gt_roi_map"] = np.full(shape[:2], INSIDE, dtype=np.uint8)
        seg_fields = results.setdefault("seg_fields", [])
        if "gt_roi_map" not in seg_fields:
            seg_fields.append("gt_roi_map")
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
