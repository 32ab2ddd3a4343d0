"""The checks of custom data sets' files before an evaluation."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.evaluation import IoUMetric
from PIL import Image

from mmseg_rloss.datasets import DatasetFilesError, PascalScribbleDataset
from mmseg_rloss.datasets.own_data import check_evaluation_files
from mmseg_rloss.datasets.transforms.pipeline_check import untracked_padding
from tests.engine.training import train, training_config, write_data_set

CLASSES = dict(classes=("ground", "leaf", "fruit"), palette=[[0] * 3] * 3)
PIPELINE = [  # as in the configs: the image is resized, its labels are not
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(24, 18)),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]


def own_set(folder, labels, kind=BaseSegDataset, **arguments):
    for name in ("images", "labels"):
        (folder / name).mkdir(exist_ok=True)
    Image.new("RGB", (12, 9)).save(folder / "images" / "0.jpg")
    Image.fromarray(labels).save(folder / "labels" / "0.png")
    return kind(
        data_root=str(folder),
        data_prefix=dict(img_path="images", seg_map_path="labels"),
        **dict(metainfo=CLASSES, pipeline=PIPELINE) | arguments,
    )


def evaluate(dataset, **metric):
    """Look at a set as the loop that would evaluate on it."""
    evaluator = SimpleNamespace(metrics=[IoUMetric(**metric)])
    dataloader = SimpleNamespace(dataset=dataset)
    check_evaluation_files(SimpleNamespace(dataloader=dataloader, evaluator=evaluator))


def mask(*labels, size=(9, 12)):
    result = np.zeros(size, np.uint8)
    for row, label in enumerate(labels):
        result[row] = label
    return result


class Plants(BaseSegDataset):
    """A class of one's own, as MMSeg's documentation has it."""

    METAINFO = CLASSES


@pytest.mark.parametrize("kind", [BaseSegDataset, Plants])
@pytest.mark.parametrize(
    "labels, told",
    [
        (mask(1, size=(9, 13)), r"0\.png: \(13, 9\) pixels, its image 0\.jpg has \(12, 9\)"),
        (np.zeros((9, 12, 3), np.uint8), r"0\.png: 3 channels"),
        (mask(1, 3), r"0\.png: label 3, which is not one of the 3 classes"),
    ],
)
def test_masks_that_cannot_be_evaluated_on_are_named(tmp_path, kind, labels, told):
    images = own_set(tmp_path, labels, kind)
    with pytest.raises(DatasetFilesError, match=told):
        evaluate(ConcatDataset([images]))


def test_masks_of_the_right_form_pass(tmp_path):
    evaluate(own_set(tmp_path, mask(1, 2, 255)))
    evaluate(own_set(tmp_path, mask(1, 2, 3), reduce_zero_label=True))


def test_what_stands_for_unlabelled_is_what_the_metric_leaves_out(tmp_path):
    images = own_set(tmp_path, mask(1, 2, 7), ignore_index=7)  # which MMSeg does not pass on
    with pytest.raises(DatasetFilesError, match="say ignore_index=7 of the metric"):
        evaluate(images)
    evaluate(images, ignore_index=7)


def test_binary_masks_are_asked_about(tmp_path):
    with pytest.warns(UserWarning, match="hold 0 and 255 alone"):
        evaluate(own_set(tmp_path, mask(255)))


def test_public_sets_of_mmseg_are_taken_as_they_come(tmp_path):
    suffixes = dict(img_suffix=".jpg", seg_map_suffix=".png", metainfo=None)
    evaluate(own_set(tmp_path, mask(33), CityscapesDataset, **suffixes))


def test_an_empty_set_is_refused_by_the_name_of_its_list(tmp_path):
    for folder in ("JPEGImages", "pascal_2012_scribble", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/train_aug.txt").write_text("\n")
    with pytest.warns(UserWarning, match="names no image"):
        images = PascalScribbleDataset(tmp_path)
    for check in (untracked_padding, evaluate):
        with pytest.raises(DatasetFilesError, match=r"train_aug\.txt names no image.*one a line"):
            check(ConcatDataset([images]))


@pytest.fixture
def config(tmp_path):
    """A training whose masks for validation and test have a label that is not a class."""
    write_data_set(tmp_path / "set", count=2)
    config = training_config(tmp_path / "set", tmp_path / "work")
    own_set(tmp_path, mask(3))
    data = dict(
        type="BaseSegDataset",
        data_root=str(tmp_path),
        data_prefix=dict(img_path="images", seg_map_path="labels"),
        metainfo=CLASSES,
        pipeline=PIPELINE,
    )
    sampler = dict(type="DefaultSampler", shuffle=False)
    for name in ("val", "test"):
        config[f"{name}_dataloader"] = dict(batch_size=1, sampler=sampler, dataset=data)
        config[f"{name}_evaluator"] = dict(type="IoUMetric")
        config[f"{name}_cfg"] = dict(type=f"{name.title()}Loop")
    return config


def test_a_training_begins_with_masks_that_it_can_be_validated_on(config):
    with pytest.raises(DatasetFilesError, match=r"0\.png: label 3, which is not one of"):
        train(config)


def test_a_test_begins_with_masks_that_fit(config):
    training = ("optim_wrapper", "train", "val")
    config = {name: value for name, value in config.items() if not name.startswith(training)}
    with pytest.raises(DatasetFilesError, match=r"0\.png: label 3, which is not one of"):
        Runner.from_cfg(config).test()
