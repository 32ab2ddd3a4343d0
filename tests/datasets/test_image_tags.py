"""The tags of an image, from its label map through MMSeg's pipeline to the loss."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_rloss import SelfLabelLoss as SelfLabelLayer
from mmseg_rloss import provide_images
from mmseg_rloss.ops import Scene
from tests.engine.segmentors import IMAGENET, build_segmentor, losses_of

LOADED = ["LoadRegionOfInterest", "LoadImageTags"]


def sample(labels: dict[int, tuple[int, int]], size=(16, 24)) -> dict:
    """An image as LoadAnnotations leaves it, with a pixel of each label."""
    label_map = np.full(size, 255, np.uint8)
    for label, place in labels.items():
        label_map[place] = label
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return dict(
        img=image, img_shape=size, gt_seg_map=label_map, seg_fields=["gt_seg_map"], img_path="1.jpg"
    )


def pack(results: dict, *between: dict, ignore_index: int = 255) -> dict:
    steps = [dict(type="LoadRegionOfInterest", ignore_index=ignore_index)]
    steps += [dict(type="LoadImageTags"), *between, dict(type="PackScribbleInputs", meta_keys=())]
    return Compose([TRANSFORMS.build(step) for step in steps])(results)


def test_they_are_the_classes_of_the_whole_image_though_a_crop_shows_fewer():
    results = sample({2: (0, 0), 0: (15, 23), 1: (15, 22)})
    packed = pack(results, dict(type="CenterCrop", crop_size=(4, 4)))
    assert packed["data_samples"].image_tags == [0, 1, 2]
    assert (packed["data_samples"].gt_sem_seg.data == 255).all()


def test_what_stands_for_unlabelled_is_not_a_tag():
    packed = pack(sample({0: (0, 0), 1: (1, 1), 7: (2, 2)}), ignore_index=0)
    assert packed["data_samples"].image_tags == [1, 7]


def test_they_come_after_the_region_of_interest():
    with pytest.raises(ValueError, match="LoadImageTags goes right after LoadRegionOfInterest"):
        TRANSFORMS.build(dict(type="LoadImageTags"))(sample({}))


def test_labels_that_another_image_brings_in_are_refused():
    steps = [TRANSFORMS.build(dict(type=kind)) for kind in LOADED]
    results = Compose(steps)(sample({0: (0, 0)}))
    results["gt_seg_map"][3, 3] = 2  # as RandomMosaic would
    with pytest.raises(ValueError, match=r"label 2 is not among the image's tags \[0\]"):
        TRANSFORMS.build(dict(type="PackScribbleInputs", meta_keys=()))(results)


def test_the_loss_of_a_network_is_given_those_of_its_images():
    loss = dict(type="SelfLabelLoss", loss_weight=2, sigma_rgb=15.0, sigma_xy=8.0, scale_factor=0.5)
    model = build_segmentor(losses=[loss], **IMAGENET)
    packed = [pack(sample({0: (0, 0), 1: (5, 5)})), pack(sample({2: (3, 4)}))]
    batch = dict(
        inputs=[one["inputs"] for one in packed],
        data_samples=[one["data_samples"] for one in packed],
    )
    with provide_images(model):
        value = losses_of(model, batch)["decode.loss_self_label"]

    inputs = model.data_preprocessor(batch, True)["inputs"]
    logits = torch.nn.functional.interpolate(
        model(inputs, mode="tensor"), (16, 24), mode="bilinear"
    )
    image = torch.stack([one["inputs"].flip(0) for one in packed])
    label = torch.cat([one["data_samples"].gt_sem_seg.data for one in packed])
    layer = SelfLabelLayer(2.0, 15.0, 8.0, 0.5)
    tags = torch.tensor([[True, True, False], [False, False, True]])
    expected = layer(image, logits.softmax(1), torch.ones(2, 16, 24), label, tags)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=0)
    untagged = layer(image, logits.softmax(1), torch.ones(2, 16, 24), label)
    assert abs(value - untagged) > 0.1


def test_an_image_without_tags_may_show_every_class():
    loss = MODELS.build(dict(type="SelfLabelLoss", sigma_xy=8.0))
    image, label = torch.rand(1, 3, 16, 24) * 255, torch.full((1, 16, 24), 255)
    logits = torch.randn(1, 3, 16, 24)
    values = []
    for tags in (None, torch.ones(1, 255, dtype=torch.bool)):
        loss.provide_scene(Scene(image, torch.ones(1, 16, 24), image_tags=tags))
        values.append(loss(logits, label))
    assert values[0] == values[1]
