"""What is told before training of pipelines that lose track of the region of interest."""

import pytest
from mmengine.dataset import ConcatDataset
from mmseg.datasets import MultiImageMixDataset

from mmseg_rloss.datasets.transforms.pipeline_check import untracked_padding
from tests.datasets.transforms.pipelines import (
    CUT_OUT,
    FLIP,
    LOAD,
    PACK,
    PACK_BY_MMSEG,
    PAD,
    ROTATE,
    Images,
    tracked,
)


@pytest.mark.parametrize(
    "pipeline, names",
    [
        ([FLIP, PACK_BY_MMSEG], []),
        ([ROTATE, FLIP, PAD, PAD, PACK_BY_MMSEG], ["RandomRotate", "Pad"]),
        ([LOAD, ROTATE, PACK_BY_MMSEG], ["RandomRotate"]),
        ([PAD, PACK], ["Pad"]),
        ([CUT_OUT, PACK_BY_MMSEG], ["RandomCutOut"]),
        ([dict(type="RandomRotFlip", rotate_prob=0.0), PACK_BY_MMSEG], ["RandomRotFlip"]),
        ([dict(type="CenterCrop", crop_size=16, auto_pad=True), PACK], ["CenterCrop"]),
        ([dict(type="CenterCrop", crop_size=16), PACK], []),
        ([LOAD, ROTATE, PAD, PACK], []),
        ([LOAD, CUT_OUT | dict(seg_fill_in=255), PACK], []),
        ([dict(type="RandomApply", transforms=[ROTATE]), PACK_BY_MMSEG], ["RandomRotate"]),
        ([dict(type="RandomChoice", transforms=[[FLIP], [PAD]]), PACK_BY_MMSEG], ["Pad"]),
    ],
)
def test_padding_that_would_count_as_image_is_named(pipeline, names):
    assert untracked_padding(Images(pipeline=pipeline)) == names


def test_padding_is_found_behind_wrappers_of_data_sets():
    tracked, untracked = Images(pipeline=[LOAD, PAD, PACK]), Images(pipeline=[PAD, PACK])
    assert untracked_padding(ConcatDataset([tracked, untracked])) == ["Pad"]
    mosaic = dict(type="RandomMosaic", prob=1.0, img_scale=(8, 8))
    for loaded, names in [([LOAD], []), ([FLIP], ["RandomMosaic"])]:
        images = ConcatDataset([Images(pipeline=loaded)])
        mixed = MultiImageMixDataset(images, pipeline=[mosaic, PACK])
        assert mixed[0]["data_samples"].gt_sem_seg.shape == (16, 16)
        assert untracked_padding(mixed) == names


@pytest.mark.parametrize(
    "pipeline, message",
    [
        ([PAD, LOAD, PACK], "comes after Pad.*right after LoadAnnotations"),
        ([LOAD, CUT_OUT, PACK], "RandomCutOut.*set its seg_fill_in=255"),
    ],
)
def test_what_would_falsify_the_region_is_refused_with_the_remedy(pipeline, message):
    with pytest.raises(ValueError, match=message):
        untracked_padding(Images(pipeline=pipeline))


@pytest.mark.parametrize(
    "step",
    [
        dict(type="mmcv.RandomFlip", prob=0.5),
        dict(type="mmcv.Resize", scale=(8, 8)),
        dict(type="mmcv.Pad", size=(16, 16)),
        dict(type="mmcv.CenterCrop", crop_size=8),
        dict(type="RandomResize", scale=(8, 8), resize_type="mmcv.Resize"),
    ],
)
def test_transforms_that_know_the_label_map_alone_are_refused(step):
    with pytest.raises(ValueError, match=r"of MMCV does not move the region.*default_scope"):
        untracked_padding(tracked(after=[PAD, step]))


def test_depth_that_is_painted_into_the_image_is_refused():
    with pytest.raises(ValueError, match="RandomDepthMix paints the depth"):
        untracked_padding(tracked(after=[dict(type="RandomDepthMix")]))
    pipeline = [dict(type="RandomDepthMix"), PACK_BY_MMSEG]
    assert untracked_padding(Images(pipeline=pipeline)) == ["RandomDepthMix"]
