"""MMCV's transforms that move ``gt_seg_map`` alone, made to move the region of interest too.

MMSeg has its own Resize and RandomFlip for every map in ``seg_fields``, but no Pad and no
CenterCrop: its pipelines get MMCV's. These take their place under MMSeg's scope and do the same to
everything else.
"""

from __future__ import annotations

import mmcv
import numpy as np
from mmcv.transforms import CenterCrop as MMCVCenterCrop
from mmcv.transforms import Pad as MMCVPad
from mmseg.registry import TRANSFORMS

from .loading import OUTSIDE


@TRANSFORMS.register_module()
class Pad(MMCVPad):
    """MMCV's Pad, whose padding is outside the region of interest."""

    def _pad_seg(self, results: dict) -> None:
        super()._pad_seg(results)
        if "gt_roi_map" in results:
            results["gt_roi_map"] = mmcv.impad(
                results["gt_roi_map"],
                shape=results["pad_shape"][:2],
                pad_val=OUTSIDE,
                padding_mode=self.padding_mode,
            )


@TRANSFORMS.register_module()
class CenterCrop(MMCVCenterCrop):
    """MMCV's CenterCrop, which crops the region of interest too."""

    def _crop_seg_map(self, results: dict, bboxes: np.ndarray) -> None:
        super()._crop_seg_map(results, bboxes)
        if "gt_roi_map" in results:
            results["gt_roi_map"] = mmcv.imcrop(results["gt_roi_map"], bboxes)
