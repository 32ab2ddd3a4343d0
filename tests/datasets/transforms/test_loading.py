"""Loading the region of interest, and what is told of labels that do not fit an image."""

import numpy as np
import pytest
from mmengine.dataset import Compose, ConcatDataset
from mmseg.datasets import BaseSegDataset, MultiImageMixDataset
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_rloss.datasets import DatasetFilesError
from mmseg_rloss.datasets.transforms.pipeline_check import untracked_padding
from tests.datasets.transforms.pipelines import (
    CLASSES,
    FLIP,
    LOAD,
    PACK,
    UNLABELLED,
    region_of,
    run,
    sample,
)


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


def test_volumes_are_refused():
    results = dict(img=np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(ValueError, match=r"not of volumes.*Remove LoadRegionOfInterest"):
        run([LOAD], results)


@pytest.mark.parametrize(
    "arguments",
    [dict(ignore_index=256), dict(ignore_index="4"), dict(num_classes=0), dict(num_classes=2.5)],
)
def test_arguments_of_the_region_are_checked_when_it_is_built(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} must be .*, got {arguments[name]!r}"):
        TRANSFORMS.build(LOAD | arguments)


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
