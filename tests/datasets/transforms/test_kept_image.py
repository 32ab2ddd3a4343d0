"""The image as KeepImage keeps it for the losses, before its colours are distorted."""

import numpy as np
import pytest
import torch

from mmseg_rloss.datasets.transforms.pipeline_check import traps_of_pipelines, untracked_padding
from tests.datasets.transforms.pipelines import (
    CUT_OUT,
    DISTORT,
    KEEP,
    LEAVE_MAPS_ALONE,
    LOAD,
    PACK,
    PACK_BY_MMSEG,
    PAD,
    TRANSFORM,
    Images,
    run,
    sample,
    tracked,
)


@pytest.mark.parametrize("bands", [3, 1])
def test_a_kept_image_has_been_moved_but_not_distorted(bands):
    crop, flip = dict(type="RandomCrop", crop_size=(9, 12)), dict(type="RandomFlip", prob=0.5)
    distort = DISTORT if bands == 3 else dict(type="Normalize", mean=[9.0], std=[2.0])
    image = np.random.default_rng(0).integers(0, 256, (20, 30, bands)).astype(np.uint8)
    results = sample((20, 30), 1) | dict(img=image if bands == 3 else image[..., 0])
    packed = run([LOAD, crop, flip, KEEP, distort, PACK], dict(results, seg_fields=["gt_seg_map"]))
    plain = run([LOAD, crop, flip, PACK], dict(results, seg_fields=["gt_seg_map"]))
    kept = packed["data_samples"].kept_image.data
    assert kept.shape == (bands, 9, 12)
    assert np.array_equal(kept, plain["inputs"])
    assert not np.array_equal(kept, packed["inputs"])
    assert "kept_image" not in plain["data_samples"]


@pytest.mark.parametrize("step", LEAVE_MAPS_ALONE, ids=lambda step: step["type"])
def test_an_image_may_be_kept_before_transforms_of_colours(step):
    assert untracked_padding(tracked(after=[PAD, KEEP, DISTORT, step])) == []


@pytest.mark.parametrize("name", sorted(TRANSFORM.keys() - {"PhotoMetricDistortion"}))
def test_an_image_kept_before_its_pixels_are_moved_is_refused(name):
    needed = {
        "CenterCrop": dict(crop_size=8),
        "Pad": dict(size=(16, 16)),
        "RandomChoiceResize": dict(scales=[(8, 8)]),
        "RandomCrop": dict(crop_size=(8, 8)),
        "RandomCutOut": CUT_OUT | dict(seg_fill_in=255),
        "RandomFlip": dict(prob=0.5),
        "RandomMosaic": dict(prob=1.0, img_scale=(8, 8), seg_pad_val=255),
        "RandomResize": dict(scale=(8, 8)),
        "RandomRotate": dict(prob=1.0, degree=9),
        "Resize": dict(scale=(8, 8)),
        "ResizeShortestEdge": dict(scale=8, max_size=60),
        "ResizeToMultiple": dict(size_divisor=4),
    }
    moved = tracked(after=[KEEP, DISTORT, dict(needed[name], type=name)])
    with pytest.raises(ValueError, match=f"KeepImage comes before {name}.*put it after all"):
        untracked_padding(moved)


def test_a_kept_image_of_16_bits_keeps_its_values():
    image = np.arange(108, dtype=np.uint16).reshape(9, 12) * 600
    packed = run([LOAD, KEEP, PACK], sample((9, 12), 1) | dict(img=image))
    kept = packed["data_samples"].kept_image.data
    assert kept.dtype == torch.float32
    assert np.array_equal(kept[0], image)


def test_a_kept_image_must_be_packed():
    with pytest.raises(ValueError, match="packed by PackScribbleInputs alone"):
        untracked_padding(Images(pipeline=[KEEP, PACK_BY_MMSEG]))
    with pytest.raises(ValueError, match=r"image of KeepImage is \(9, 12\) but .* \(8, 8\)"):
        run([KEEP, dict(type="RandomCrop", crop_size=(8, 8)), PACK], sample((9, 12), 1))


def test_distorted_colours_are_reported_unless_the_image_was_kept_before():
    for pipeline, told in ([DISTORT], True), ([KEEP, DISTORT], False), ([DISTORT, KEEP], True):
        traps = traps_of_pipelines(tracked(after=pipeline))
        assert any("put dict(type='KeepImage') before it" in trap for trap in traps) == told
