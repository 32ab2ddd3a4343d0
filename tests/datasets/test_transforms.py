"""The region of interest through MMSeg's pipelines, pixel by pixel.

The truth is a second run of the same pipeline with the same random numbers, in which MMSeg itself
moves a label map of ones and knows nothing of a region.
"""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset, Compose, ConcatDataset
from mmseg.datasets import BaseSegDataset, MultiImageMixDataset
from mmseg.datasets.transforms import Albu
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_rloss.datasets import DatasetFilesError
from mmseg_rloss.datasets.transforms.pipeline_check import traps_of_pipelines, untracked_padding

LOAD, PACK = dict(type="LoadRegionOfInterest"), dict(type="PackScribbleInputs")
UNLABELLED = 255


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


sides = st.integers(8, 40)
sizes = st.tuples(sides, sides)
large_sizes = st.tuples(st.integers(40, 90), st.integers(40, 90))
fillings = st.sampled_from([0, 254, 255])


def arguments(**strategies):
    return st.fixed_dictionaries(strategies)


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


CLASSES = dict(classes=("ground", "leaf", "fruit"))
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


def test_grey_images_have_a_region():
    results = sample((9, 12), 1)
    results["img"] = results["img"][..., 0]
    assert region_of([], results).shape == (9, 12)


def test_loading_twice_does_not_move_the_region_twice():
    rotate = dict(type="RandomRotFlip", rotate_prob=0.0, flip_prob=1.0)
    results = run([LOAD, LOAD], sample((9, 12), 1))
    results["gt_roi_map"][:3] = UNLABELLED
    results["gt_seg_map"][:3] = UNLABELLED
    packed = run([rotate, PACK], results, seed=3)["data_samples"]
    assert np.array_equal(packed.gt_roi.data == 1, packed.gt_sem_seg.data == 1)


def test_a_pipeline_without_a_region_packs_what_mmseg_packs():
    ours = run([PACK], sample((9, 12), 1))
    mmseg = run([dict(type="PackSegInputs")], sample((9, 12), 1))
    assert (ours["inputs"] == mmseg["inputs"]).all()
    assert ours["data_samples"].keys() == mmseg["data_samples"].keys() == ["gt_sem_seg"]
    assert ours["data_samples"].metainfo == mmseg["data_samples"].metainfo


def test_a_region_that_nobody_packs_does_no_harm():
    packed = run(
        [LOAD, dict(type="Pad", size=(16, 16)), dict(type="PackSegInputs")], sample((9, 12), 1)
    )
    assert packed["data_samples"].keys() == ["gt_sem_seg"]


def test_volumes_are_refused():
    results = dict(img=np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(ValueError, match=r"not of volumes.*Remove LoadRegionOfInterest"):
        run([LOAD], results)


@TRANSFORMS.register_module()
class CropImageAndLabels(BaseTransform):
    """A user's transform that ignores ``seg_fields``."""

    def transform(self, results):
        for key in ("img", "gt_seg_map"):
            results[key] = results[key][2:]
        return results


def test_a_transform_that_leaves_the_region_behind_is_refused():
    with pytest.raises(ValueError, match=r"\(9, 12\) but the image is \(7, 12\).*default_scope"):
        run([LOAD, dict(type="CropImageAndLabels"), PACK], sample((9, 12), 1))


class Images(BaseDataset):
    """Images in memory, through a pipeline of MMSeg."""

    def load_data_list(self):
        return [sample((9, 12), 1), sample((10, 8), 1)]


ROTATE, PAD = dict(type="RandomRotate", prob=1.0, degree=9), dict(type="Pad", size=(16, 16))
CUT_OUT = dict(type="RandomCutOut", prob=1.0, n_holes=1, cutout_shape=(2, 2))
FLIP = dict(type="RandomFlip", prob=0.5)
PACK_BY_MMSEG = dict(type="PackSegInputs")


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


class BaseCompose:
    """Named like Albumentations' classes, by whose names its transforms are told apart.

    Albumentations itself replaces the OpenCV of MMCV by another one when it is installed.
    """

    def __init__(self, transforms):
        self.transforms = transforms


class ImageOnlyTransform:
    pass


class DualTransform:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Morphological(DualTransform):
    pass


def albu(*transforms, **keymap):
    result = Albu.__new__(Albu)
    result.aug = BaseCompose(list(transforms))
    result.keymap_to_albu = dict(img="image", gt_seg_map="mask") | keymap
    return result


@pytest.mark.parametrize("moved", [DualTransform(), BaseCompose([DualTransform()])])
def test_albu_that_moves_the_image_is_refused_whatever_its_keymap_says(moved):
    colours = ImageOnlyTransform()
    step = albu(colours, moved, gt_roi_map="mask2")
    with pytest.raises(ValueError, match=r"Albu does not move the region.*colours alone"):
        untracked_padding(tracked(after=[step]))
    with pytest.raises(ValueError, match=r"comes after Albu"):
        untracked_padding(tracked(before=[step]))
    assert untracked_padding(Images(pipeline=[step, PACK_BY_MMSEG])) == ["Albu"]


def test_albu_that_changes_colours_alone_may_stand_anywhere():
    step = albu(ImageOnlyTransform(), BaseCompose([ImageOnlyTransform()]))
    assert untracked_padding(tracked(before=[step], after=[step])) == []
    assert untracked_padding(Images(pipeline=[step, PACK_BY_MMSEG])) == []


@pytest.mark.parametrize(
    "attributes, message",
    [
        (dict(fill_mask=0.0, border_mode=0), "Albu would label .* as 0, ground"),
        (dict(cval_mask=1, mode=0), "Albu would label .* as 1, leaf"),
        (dict(mask_fill_value=2), "Albu would label .* as 2, fruit"),
        (dict(mask_interpolation=1), "Albu's DualTransform blends labels"),
        (dict(mask_value=0, border_mode=4), None),  # a mirrored border is image
        (dict(fill_mask=255, border_mode=0, mask_interpolation=0), None),
        (dict(fill_mask=None), None),
    ],
)
def test_albu_that_invents_labels_is_refused(attributes, message):
    pipeline = [albu(BaseCompose([DualTransform(**attributes)])), PACK_BY_MMSEG]
    images = Images(pipeline=pipeline, metainfo=CLASSES)
    if message is None:
        assert untracked_padding(images) == ["Albu"]
    else:
        with pytest.raises(ValueError, match=message):
            untracked_padding(images)


def test_albu_that_grows_labels_is_refused():
    images = Images(pipeline=[albu(Morphological()), PACK_BY_MMSEG])
    with pytest.raises(ValueError, match="Albu's Morphological blends labels"):
        untracked_padding(images)


def tracked(before=(), after=()):
    return Images(pipeline=[*before, LOAD, *after, PACK], metainfo=CLASSES)


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


# What the two tests of the maps do not go through, and why that does no harm.
LEAVE_MAPS_ALONE = [
    dict(type="AdjustGamma"),
    dict(type="CLAHE"),
    dict(type="GenerateEdge"),
    dict(type="Normalize", mean=[9.0] * 3, std=[2.0] * 3),
    dict(type="RGB2Gray"),
    dict(type="RandomGrayscale", prob=1.0),
    dict(type="Rerange"),
]
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


KEEP, DISTORT = dict(type="KeepImage"), dict(type="PhotoMetricDistortion")


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


def test_depth_that_is_painted_into_the_image_is_refused():
    with pytest.raises(ValueError, match="RandomDepthMix paints the depth"):
        untracked_padding(tracked(after=[dict(type="RandomDepthMix")]))
    pipeline = [dict(type="RandomDepthMix"), PACK_BY_MMSEG]
    assert untracked_padding(Images(pipeline=pipeline)) == ["RandomDepthMix"]


def own_data(folder, labels, image_size=(9, 12), **region):
    """A BaseSegDataset of one image, as docs/data.md has it for data of one's own."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    Image.new("RGB", image_size[::-1]).save(folder / "images" / "0.jpg")
    Image.fromarray(labels).save(folder / "labels" / "0.png")
    return BaseSegDataset(
        data_root=str(folder),
        data_prefix=dict(img_path="images", seg_map_path="labels"),
        metainfo=CLASSES,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            LOAD | region,
            dict(type="RandomCrop", crop_size=(8, 8)),
            PACK,
        ],
    )


def label_map(*labels, size=(9, 12)):
    result = np.full(size, UNLABELLED, np.uint8)
    for row, label in enumerate(labels):
        result[row] = label
    return result


def test_own_data_of_the_right_form_pass(tmp_path):
    images = own_data(tmp_path, label_map(0, 1, 2))
    assert untracked_padding(images) == []
    assert images[0]["inputs"].shape == (3, 8, 8)


@pytest.mark.parametrize(
    "labels, in_training, at_the_start",
    [
        (label_map(1, size=(9, 13)), r"\(9, 13\), but its image .*0\.jpg \(9, 12\)", "13, 9"),
        (label_map(1, size=(12, 9)), r"\(12, 9\), but its image", "9, 12"),
        (np.zeros((9, 12, 3), np.uint8), r"\(9, 12, 3\), but must be \(H, W\)", "3 channels"),
    ],
)
def test_own_labels_that_do_not_fit_are_named(tmp_path, labels, in_training, at_the_start):
    images = own_data(tmp_path, labels)
    with pytest.raises(ValueError, match=rf"0\.png: the label map is {in_training}"):
        images[0]
    with pytest.raises(DatasetFilesError, match=rf"0\.png: .*{at_the_start}"):
        untracked_padding(ConcatDataset([images]))


def test_own_labels_that_are_of_no_class_are_named(tmp_path):
    images = own_data(tmp_path, label_map(1, 3))
    told = TRANSFORMS.build(LOAD | dict(num_classes=3))
    with pytest.raises(ValueError, match=r"0\.png: label 3, which is not one of .*ignore_index"):
        told(Compose(images.pipeline.transforms[:2])(images.get_data_info(0)))
    with pytest.raises(
        DatasetFilesError, match=r"0\.png: label 3,.*\n.*say ignore_index=3 of LoadRegionOfInterest"
    ):
        untracked_padding(MultiImageMixDataset(ConcatDataset([images]), pipeline=[FLIP]))


def test_own_labels_may_have_another_value_for_unlabelled(tmp_path):
    labels = np.full((9, 12), 3, np.uint8)
    labels[2:7] = 1
    images = own_data(tmp_path, labels, ignore_index=3, num_classes=3)
    assert untracked_padding(images) == []
    assert np.unique(images[0]["data_samples"].gt_sem_seg.data).tolist() == [1, 255]


@pytest.mark.parametrize(
    "arguments",
    [dict(ignore_index=256), dict(ignore_index="4"), dict(num_classes=0), dict(num_classes=2.5)],
)
def test_arguments_of_the_region_are_checked_when_it_is_built(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} must be .*, got {arguments[name]!r}"):
        TRANSFORMS.build(LOAD | arguments)


def test_labels_that_a_transform_leaves_behind_are_refused_when_packed():
    results = sample((9, 12), 1)
    results["gt_seg_map"] = results["gt_seg_map"][2:]
    results["seg_map_path"] = "labels/7.png"
    with pytest.raises(
        ValueError, match=r"labels/7\.png: the label map is \(7, 12\), but the image"
    ):
        run([PACK], results)
