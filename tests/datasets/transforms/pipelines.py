"""Images in memory and the pipelines of MMSegmentation that they go through."""

import random

import numpy as np
from hypothesis import strategies as st
from mmengine.dataset import BaseDataset, Compose

LOAD, PACK = dict(type="LoadRegionOfInterest"), dict(type="PackScribbleInputs")
PACK_BY_MMSEG = dict(type="PackSegInputs")
KEEP, DISTORT = dict(type="KeepImage"), dict(type="PhotoMetricDistortion")
FLIP = dict(type="RandomFlip", prob=0.5)
ROTATE, PAD = dict(type="RandomRotate", prob=1.0, degree=9), dict(type="Pad", size=(16, 16))
CUT_OUT = dict(type="RandomCutOut", prob=1.0, n_holes=1, cutout_shape=(2, 2))
UNLABELLED = 255
CLASSES = dict(classes=("ground", "leaf", "fruit"))
# They change colours alone.
LEAVE_MAPS_ALONE = [
    dict(type="AdjustGamma"),
    dict(type="CLAHE"),
    dict(type="GenerateEdge"),
    dict(type="Normalize", mean=[9.0] * 3, std=[2.0] * 3),
    dict(type="RGB2Gray"),
    dict(type="RandomGrayscale", prob=1.0),
    dict(type="Rerange"),
]
sides = st.integers(8, 40)
sizes = st.tuples(sides, sides)
large_sizes = st.tuples(st.integers(40, 90), st.integers(40, 90))
fillings = st.sampled_from([0, 254, 255])


def arguments(**strategies):
    return st.fixed_dictionaries(strategies)


# What pipelines are drawn from, with the arguments of each.
TRANSFORM = {
    "CenterCrop": arguments(crop_size=sizes, auto_pad=st.booleans()),
    "Pad": st.one_of(
        arguments(size=large_sizes),
        arguments(pad_to_square=st.just(True)),
        arguments(
            size_divisor=st.integers(1, 16),
            pad_val=arguments(img=st.just(0), seg=fillings),
        ),
    ),
    "PhotoMetricDistortion": st.just({}),
    "RandomChoiceResize": arguments(scales=st.lists(sizes, min_size=1, max_size=3)),
    "RandomCrop": arguments(crop_size=sizes),
    "RandomCutOut": arguments(
        prob=st.just(1.0),
        n_holes=st.integers(1, 3),
        cutout_shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
        seg_fill_in=fillings,
    ),
    "RandomFlip": arguments(
        prob=st.just(0.7), direction=st.sampled_from(["horizontal", "vertical"])
    ),
    "RandomMosaic": arguments(prob=st.just(0.7), img_scale=sizes, seg_pad_val=fillings),
    "RandomResize": arguments(
        scale=sizes, ratio_range=st.just((0.5, 2.0)), keep_ratio=st.booleans()
    ),
    "RandomRotate": arguments(
        prob=st.just(0.8),
        degree=st.integers(1, 180),
        seg_pad_val=fillings,
        auto_bound=st.booleans(),
    ),
    "Resize": arguments(scale=sizes, keep_ratio=st.booleans()),
    "ResizeShortestEdge": arguments(scale=sides, max_size=st.just(60)),
    "ResizeToMultiple": arguments(size_divisor=st.integers(1, 16)),
}
transforms = st.sampled_from(sorted(TRANSFORM)).flatmap(
    lambda name: TRANSFORM[name].map(lambda config: dict(type=name) | config)
)


def sample(size, label, grey_level=90):
    """What LoadImageFromFile and LoadAnnotations leave of an image."""
    return dict(
        img=np.full((*size, 3), grey_level, np.uint8),
        img_shape=size,
        ori_shape=size,
        gt_seg_map=np.full(size, label, np.uint8),
        seg_fields=["gt_seg_map"],
    )


def run(pipeline, results, seed=0):
    random.seed(seed)
    np.random.seed(seed)
    return Compose(pipeline)(results)


def region_of(pipeline, results, seed=0):
    packed = run([LOAD, *pipeline, PACK], results, seed)
    region = packed["data_samples"].gt_roi.data
    assert region.shape == (1, *packed["inputs"].shape[1:])
    return region[0].numpy()


class Images(BaseDataset):
    """Images in memory, through a pipeline of MMSeg."""

    def load_data_list(self):
        return [sample((9, 12), 1), sample((10, 8), 1)]


def tracked(before=(), after=()):
    return Images(pipeline=[*before, LOAD, *after, PACK], metainfo=CLASSES)
