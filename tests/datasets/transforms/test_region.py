"""The region of interest through MMSegmentation's pipelines, pixel by pixel.

The truth is a second run of the same pipeline with the same random numbers, in which MMSegmentation
itself moves a label map of ones and knows nothing of a region.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.registry import TRANSFORMS

from tests.datasets.transforms.pipelines import (
    LEAVE_MAPS_ALONE,
    LOAD,
    PACK,
    TRANSFORM,
    UNLABELLED,
    region_of,
    run,
    sample,
    sizes,
    transforms,
)


@settings(max_examples=300, deadline=None)
@given(
    pipeline=st.lists(transforms, min_size=1, max_size=5),
    image_sizes=st.lists(sizes, min_size=4, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_region_is_where_a_map_of_ones_ends_up(pipeline, image_sizes, seed):
    ones, *other_ones = [sample(size, 1) for size in image_sizes]
    ones["mix_results"] = other_ones
    moved = run([*pipeline, dict(type="PackSegInputs")], ones, seed)
    truth = moved["data_samples"].gt_sem_seg.data[0].numpy() == 1

    unlabelled, *others = [sample(size, UNLABELLED) for size in image_sizes]
    unlabelled["mix_results"] = [run([LOAD], other) for other in others]
    assert np.array_equal(region_of(pipeline, unlabelled, seed), truth)


@settings(max_examples=200, deadline=None)
@given(
    pipeline=st.lists(transforms, min_size=1, max_size=5),
    image_sizes=st.lists(sizes, min_size=4, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_transform_invents_labels(pipeline, image_sizes, seed):
    """Each image has labels of its own, up to 120 of them: none is blended into another."""
    names = ("pad_val", "seg_fill_in", "seg_pad_val")
    pipeline = [{k: v for k, v in step.items() if k not in names} for step in pipeline]
    for step in pipeline:
        if step["type"] == "RandomCutOut":
            step["seg_fill_in"] = UNLABELLED
    images = []
    for size in image_sizes:
        images.append(sample(size, 0))
        images[-1]["gt_seg_map"] = (np.arange(np.prod(size)).reshape(size) % 120 * 2).astype("u1")
    first, *others = images
    first["mix_results"] = others
    moved = run([*pipeline, dict(type="PackSegInputs")], first, seed)
    labels = np.unique(moved["data_samples"].gt_sem_seg.data.numpy())
    assert set(labels.tolist()) <= {*range(0, 240, 2), UNLABELLED}


@pytest.mark.parametrize("seed", range(20))
def test_rotated_borders_that_blend_with_the_image_are_outside(seed):
    """RandomRotFlip rotates maps bilinearly, like the image; its border is black."""
    results = sample((30, 44), UNLABELLED, grey_level=200)
    rotate = dict(type="RandomRotFlip", rotate_prob=0.5, flip_prob=1.0)
    packed = run([LOAD, rotate, PACK], results, seed)
    whole = packed["inputs"][0].numpy() == 200
    assert np.array_equal(packed["data_samples"].gt_roi.data[0].numpy(), whole)


def test_labels_that_are_swapped_do_not_change_the_region():
    labels = range(256)
    swap = list(zip(labels[:128], labels[128:], strict=True))
    swap = [pair for pair in swap if 200 not in pair]
    flip = dict(type="RandomFlip", prob=1.0, swap_seg_labels=swap)
    assert region_of([flip], sample((9, 12), 1)).all()


@pytest.mark.parametrize("mode", ["reflect", "edge", "symmetric"])
def test_padding_with_the_image_itself_is_image(mode):
    pad = dict(type="Pad", size=(16, 16), padding_mode=mode)
    assert region_of([pad], sample((12, 12), UNLABELLED)).all()


REFUSED_TYPES = {"Albu", "BioMedical3DPad", "RandomDepthMix", "RandomRotFlip", "SegRescale"}
WRAPPERS = {"Compose", "KeyMapper", "RandomApply", "RandomChoice", "TransformBroadcaster"}
OF_TESTS = {"InferencerLoader", "MultiScaleFlipAug", "TestTimeAug"}
OF_VOLUMES = {
    "BioMedical3DRandomCrop",
    "BioMedical3DRandomFlip",
    "BioMedicalGaussianBlur",
    "BioMedicalGaussianNoise",
    "BioMedicalRandomGamma",
}


def test_every_transform_of_mmseg_and_mmcv_is_looked_at():
    registries = (TRANSFORMS, TRANSFORMS.parent)
    types = [kind for registry in registries for kind in registry.module_dict.values()]
    names = {t.__name__ for t in types if t.__module__.split(".")[0] in ("mmseg", "mmcv")}
    names -= {*TRANSFORM, *REFUSED_TYPES, *WRAPPERS, *OF_TESTS, *OF_VOLUMES}
    names -= {step["type"] for step in LEAVE_MAPS_ALONE}
    rest = {name for name in names if not name.startswith(("Load", "Pack"))}
    assert rest == {"ConcatCDInput", "ImageToTensor", "ToTensor"}  # of channels and types


@pytest.mark.parametrize("step", LEAVE_MAPS_ALONE, ids=lambda step: step["type"])
def test_transforms_of_colours_leave_the_maps_alone(step):
    results = sample((9, 12), 0)
    results["img"][0] = 200  # Rerange needs two levels
    results["gt_seg_map"] = np.arange(108, dtype=np.uint8).reshape(9, 12)
    packed = run([LOAD, step, PACK], results)["data_samples"]
    assert packed.gt_sem_seg.data.flatten().tolist() == list(range(108))
    assert packed.gt_roi.data.all()
