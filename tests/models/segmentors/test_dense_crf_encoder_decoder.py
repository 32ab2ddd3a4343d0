"""The refined prediction, against the CRF of the images and of the plain segmentor's logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.nn import functional as F

from mmseg_rloss.ops import dense_crf_inference
from tests.engine.segmentors import (
    IMAGENET,
    losses_of,
    packed_batch,
    random_images,
    segmentor_config,
)
from tests.models.every_config import find, lacks_ops_for, load

# isort: split
from mmseg.registry import MODELS

CRF = dict(iterations=3, bilateral_sigma_xy=10.0, bilateral_sigma_rgb=60.0)
CASCADE = dict(
    type="CascadeEncoderDecoder",
    num_stages=2,
    decode_head=[
        segmentor_config()["decode_head"],
        dict(
            type="OCRHead",
            in_channels=4,
            channels=4,
            ocr_channels=4,
            dropout_ratio=0,
            num_classes=3,
        ),
    ],
)
SLIDE = dict(test_cfg=dict(mode="slide", crop_size=(16, 16), stride=(8, 8)))
CONFIGS = {
    "whole": segmentor_config(**IMAGENET),
    "slide": segmentor_config(**IMAGENET) | SLIDE,
    "cascade": segmentor_config(**IMAGENET) | CASCADE,
    "BGR": segmentor_config(mean=[9.0] * 3, std=[50.0] * 3),
    "one band": segmentor_config(bands=1, mean=[127.5], std=[60.0]),
    "five bands": segmentor_config(bands=5, mean=[100.0], std=[50.0]),
}


def build(config: dict) -> torch.nn.Module:
    """With the same weights for the same layers; the logits are of several classes."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(config)).eval()
    head = model.decode_head[-1] if "num_stages" in config else model.decode_head
    torch.nn.init.normal_(head.conv_seg.weight, std=2)
    return model


def build_pair(config: dict, **dense_crf) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A segmentor of MMSeg and the one that refines, with its weights."""
    plain = build(config)
    refining = build(config | dict(type="DenseCRF" + config["type"], dense_crf=CRF | dense_crf))
    refining.load_state_dict(plain.state_dict())
    return plain, refining


def batch_for(model: torch.nn.Module, images: list[np.ndarray]) -> dict:
    batch = packed_batch(images)
    for image, sample in zip(images, batch["data_samples"], strict=True):
        sample.set_metainfo(dict(ori_shape=image.shape[:2]))
    return model.data_preprocessor(batch, False)


def infer(model: torch.nn.Module, batch: dict) -> Tensor:
    """(N, K, H, W) at the size of the batch."""
    metainfo = [sample.metainfo for sample in batch["data_samples"]]
    with torch.no_grad():
        return model.inference(batch["inputs"], metainfo)


def predict(model: torch.nn.Module, batch: dict) -> list:
    with torch.no_grad():
        return model(**batch, mode="predict")


def refined(image: np.ndarray, probabilities: Tensor) -> Tensor:
    """(K, H, W), of an image (H, W, C) as MMCV loads it, and a network's probabilities."""
    rgb = image[..., ::-1].copy() if image.shape[2] == 3 else image
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    result = dense_crf_inference(tensor[None], probabilities[None], **CRF)[0]
    assert (result - probabilities).abs().max() > 0.1, "the test needs a refinement"
    return result


def check_prediction(sample, expected: Tensor) -> None:
    """The labels are those of the probabilities (K, H, W), and so are the logits."""
    probabilities = sample.seg_logits.data.softmax(0)
    torch.testing.assert_close(probabilities, expected, rtol=0, atol=1e-4)
    assert torch.equal(sample.pred_sem_seg.data[0], expected.argmax(0))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_refines_by_the_image_as_it_was_loaded(config):
    plain, refining = build_pair(config)
    images = random_images((20, 28), (20, 28), bands=config["backbone"]["in_channels"])
    batch = batch_for(plain, images)
    logits = infer(plain, batch)
    for i, sample in enumerate(predict(refining, batch)):
        check_prediction(sample, refined(images[i], logits[i].softmax(0)))


def test_padding_takes_no_part():
    config = segmentor_config(**IMAGENET, test_cfg=dict(size_divisor=32))
    plain, refining = build_pair(config)
    images = random_images((20, 28), (20, 28))
    batch = batch_for(plain, images)
    assert batch["inputs"].shape[2:] == (32, 32)
    logits = infer(plain, batch)[..., :20, :28]
    for i, sample in enumerate(predict(refining, batch)):
        check_prediction(sample, refined(images[i], logits[i].softmax(0)))


def test_every_image_has_its_own_padding():
    plain, refining = build_pair(segmentor_config(**IMAGENET))
    images = random_images((24, 24), (16, 17))
    single = [batch_for(plain, [image]) for image in images]
    padding = (3, 4, 2, 6)  # left, right, top, bottom
    batch = dict(
        inputs=torch.cat([single[0]["inputs"], F.pad(single[1]["inputs"], padding)]),
        data_samples=single[0]["data_samples"] + single[1]["data_samples"],
    )
    for sample in batch["data_samples"]:
        sample.set_metainfo(dict(img_shape=(24, 24)))
    batch["data_samples"][1].set_metainfo(dict(padding_size=padding))
    logits = infer(plain, batch)
    first, second = predict(refining, batch)
    check_prediction(first, refined(images[0], logits[0].softmax(0)))
    check_prediction(second, refined(images[1], logits[1, :, 2:18, 3:20].softmax(0)))


def test_the_refined_logits_are_scaled_to_the_original_size():
    plain, refining = build_pair(segmentor_config(**IMAGENET))
    (image,) = random_images((16, 20))
    batch = batch_for(plain, [image])
    batch["data_samples"][0].set_metainfo(dict(ori_shape=(32, 40)))
    probabilities = refined(image, infer(plain, batch)[0].softmax(0))
    (sample,) = predict(refining, batch)
    logarithms = probabilities.clamp(min=1e-5).log()
    expected = F.interpolate(logarithms[None], (32, 40), mode="bilinear")[0]
    torch.testing.assert_close(sample.seg_logits.data, expected, rtol=0, atol=1e-2)
    assert (sample.pred_sem_seg.data[0] == expected.argmax(0)).float().mean() > 0.99


def test_one_channel_is_the_foreground_of_two():
    config = segmentor_config(losses=[], **IMAGENET)
    config["decode_head"] |= dict(
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=True),
    )
    plain, refining = build_pair(config)
    (image,) = random_images((20, 28))
    batch = batch_for(plain, [image])
    foreground = infer(plain, batch)[0, 0].sigmoid()
    expected = refined(image, torch.stack([1 - foreground, foreground]))
    (sample,) = predict(refining, batch)
    # MMSeg gives the probability as seg_logits here.
    torch.testing.assert_close(sample.seg_logits.data[0], expected[1], rtol=0, atol=1e-4)
    assert torch.equal(sample.pred_sem_seg.data[0] == 1, expected[1] > 0.5)


def test_images_without_data_samples_are_all_image():
    plain, refining = build_pair(segmentor_config(**IMAGENET))
    (image,) = random_images((20, 28))
    batch = batch_for(plain, [image])
    expected = refined(image, infer(plain, batch)[0].softmax(0))
    with torch.no_grad():
        (sample,) = refining(batch["inputs"], mode="predict")
    check_prediction(sample, expected)


def test_no_class_is_beyond_scaling():
    _, refining = build_pair(segmentor_config(**IMAGENET), gaussian_weight=1000.0)
    batch = batch_for(refining, random_images((16, 20)))
    assert infer(refining, batch).isfinite().all()


def test_logits_of_half_precision_are_refined_in_float32():
    plain, refining = build_pair(segmentor_config(**IMAGENET))
    (image,) = random_images((20, 28))
    batch = batch_for(plain, [image])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = infer(plain, batch)
        refined_logits = infer(refining, batch)
    assert logits.dtype == torch.bfloat16 and refined_logits.dtype == torch.float32
    expected = refined(image, logits[0].float().softmax(0))
    torch.testing.assert_close(refined_logits[0].softmax(0), expected, rtol=0, atol=1e-4)


def test_trains_as_the_plain_segmentor_does():
    plain, refining = build_pair(segmentor_config(losses=[], **IMAGENET))
    batch = packed_batch(random_images((16, 24)))
    assert losses_of(plain, batch) == losses_of(refining, batch)
    assert list(plain.state_dict()) == list(refining.state_dict())


def test_the_parameters_may_be_left_out():
    model = build(segmentor_config() | dict(type="DenseCRFEncoderDecoder"))
    assert model.dense_crf == {}


@pytest.mark.parametrize(
    "parameters, error, message",
    [
        (dict(sigma=3), TypeError, "unexpected keyword argument 'sigma'"),
        (dict(iterations=-1), ValueError, "iterations must be 0 or more"),
        (dict(bilateral_sigma_rgb=0), ValueError, "bilateral_sigma_rgb must be positive"),
    ],
)
def test_wrong_parameters_are_reported_when_the_network_is_built(parameters, error, message):
    with pytest.raises(error, match=message):
        build(segmentor_config() | dict(type="DenseCRFEncoderDecoder", dense_crf=parameters))


@pytest.mark.skipif(lacks_ops_for("san_vit-b16"), reason="the installed MMCV has no operators")
def test_a_head_without_logits_of_classes_is_refused():
    head = find(load("san_vit-b16"), "model.decode_head")
    with pytest.raises(ValueError, match="SideAdapterCLIPHead predicts scores of masks"):
        MODELS.build(segmentor_config() | dict(type="DenseCRFEncoderDecoder", decode_head=head))


def test_images_from_zero_to_one_are_refused():
    model = build(segmentor_config() | dict(type="DenseCRFEncoderDecoder"))
    batch = batch_for(model, [image / np.float32(255) for image in random_images((16, 24))])
    with pytest.raises(ValueError, match="grey levels from 0 to 255"):
        predict(model, batch)
