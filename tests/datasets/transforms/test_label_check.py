"""What is told before training of pipelines that label pixels which nobody drew."""

import pytest
from mmengine.dataset import ConcatDataset

from mmseg_rloss.datasets.transforms.pipeline_check import untracked_padding
from tests.datasets.transforms.pipelines import CLASSES, LOAD, PACK, PACK_BY_MMSEG, Images

REFUSED = {
    "RandomRotFlip blends labels": dict(type="RandomRotFlip", rotate_prob=0.1),
    "SegRescale scales the label map": dict(type="SegRescale", scale_factor=0.5),
    "RandomRotate would label .* as 0, ground": dict(
        type="RandomRotate", prob=1.0, degree=9, seg_pad_val=0
    ),
    "Pad would label .* as 2, fruit": dict(type="Pad", size=(16, 16), pad_val=dict(img=0, seg=2)),
    "CenterCrop would label .* as 0, ground": dict(
        type="CenterCrop",
        crop_size=16,
        auto_pad=True,
        pad_cfg=dict(type="Pad", pad_val=dict(seg=0)),
    ),
    "RandomMosaic would label .* as 1, leaf": dict(
        type="RandomMosaic", prob=1.0, img_scale=(8, 8), seg_pad_val=1
    ),
    "BioMedical3DPad would label .* as 0, ground": dict(
        type="BioMedical3DPad", pad_shape=(8, 8, 8)
    ),
    "RandomCutOut would label .* as 0, ground": dict(
        type="RandomCutOut", prob=1.0, n_holes=1, cutout_shape=(2, 2), seg_fill_in=0
    ),
}


@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.parametrize("tracked", [True, False])
def test_transforms_that_invent_labels_are_refused(message, tracked):
    step = dict(type="RandomApply", transforms=[REFUSED[message]])
    pipeline = [LOAD, step, PACK] if tracked else [step, PACK_BY_MMSEG]
    with pytest.raises(ValueError, match=message):
        untracked_padding(ConcatDataset([Images(pipeline=pipeline, metainfo=CLASSES)]))


def test_transforms_that_keep_labels_are_not_refused():
    pipeline = [
        LOAD,
        dict(type="RandomRotFlip", rotate_prob=0.0),
        dict(type="SegRescale", scale_factor=1),
        dict(type="Pad", size=(16, 16), padding_mode="reflect", pad_val=dict(img=0, seg=0)),
        dict(type="RandomRotate", prob=1.0, degree=9),
        PACK,
    ]
    assert untracked_padding(Images(pipeline=pipeline, metainfo=CLASSES)) == []
