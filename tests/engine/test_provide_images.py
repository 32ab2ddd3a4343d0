"""What the losses are provided with, against the images that the pipeline loaded."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from mmseg_rloss import provide_images
from mmseg_rloss.engine.provide_images import find_segmentor
from mmseg_rloss.models import DenseCRFLoss
from mmseg_rloss.ops import densecrf_loss
from mmseg_rloss.ops.backends.native import lattice as native
from tests.engine.segmentors import (
    DENSECRF,
    IMAGENET,
    build_segmentor,
    losses_of,
    packed_batch,
    random_images,
)


def densecrf_of(model):
    return next(m for m in model.modules() if isinstance(m, DenseCRFLoss))


def watch(loss):
    """Record images and region of the loss whenever it is called."""
    seen = []

    def record(module, args):
        seen.append((module.scene.image(), module.scene.region_of_interest))

    loss.register_forward_pre_hook(record)
    return seen


def padded(image, size):
    """(C, H, W) float image at the top left of a canvas of zeros."""
    canvas = np.zeros((*size, image.shape[2]), np.float32)
    canvas[: image.shape[0], : image.shape[1]] = image
    return torch.from_numpy(canvas).permute(2, 0, 1)


@pytest.mark.parametrize(
    "preprocessor, bands",
    [
        (IMAGENET, 3),
        (dict(bgr_to_rgb=True), 3),
        (dict(mean=[103.5, 116.3, 123.7], std=[1.0, 1.0, 1.0]), 3),
        (dict(), 3),
        (dict(mean=[127.5], std=[60.0]), 1),
        (dict(), 1),
        (dict(mean=[100.0], std=[50.0], bgr_to_rgb=True), 5),
        (dict(), 5),
    ],
)
def test_the_images_come_back_as_rgb(preprocessor, bands):
    images = random_images((14, 22), (16, 10), bands=bands)
    model = build_segmentor(bands=bands, **preprocessor)
    seen = watch(densecrf_of(model))
    with provide_images(model):
        losses_of(model, packed_batch(images))
    ((image, region),) = seen
    for i, loaded in enumerate(images):
        rgb = loaded[..., ::-1] if bands == 3 else loaded
        inside = torch.zeros(16, 24, dtype=torch.uint8)
        inside[: loaded.shape[0], : loaded.shape[1]] = 1
        torch.testing.assert_close(image[i] * inside, padded(rgb, (16, 24)), atol=1e-3, rtol=0)
        assert torch.equal(region[i], inside)


def test_the_loss_is_that_of_the_images_and_the_prediction():
    images = random_images((16, 24), (13, 21))
    model = build_segmentor(**IMAGENET)
    batch = model.data_preprocessor(packed_batch(images), True)
    with provide_images(model):
        loss = model(**batch, mode="loss")["decode.loss_densecrf"]

    logits = model(batch["inputs"], mode="tensor")
    probabilities = nn.functional.interpolate(logits, (16, 24), mode="bilinear").softmax(1)
    image = torch.stack([padded(loaded[..., ::-1], (16, 24)) for loaded in images])
    region = torch.ones(2, 16, 24)
    region[1, 13:] = 0
    region[1, :, 21:] = 0
    expected = 1e-6 * densecrf_loss(image, probabilities, region, 15.0, 20.0, 0.5)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


def test_a_packed_region_is_padded_like_the_image():
    images = random_images((14, 22), (16, 10))
    regions = [(image[..., 0] > 100).astype(np.uint8) for image in images]
    model = build_segmentor(**IMAGENET, size=(32, 32), size_divisor=None)
    seen = watch(densecrf_of(model))
    with provide_images(model):
        losses_of(model, packed_batch(images, regions))
    ((_, provided),) = seen
    for i, region in enumerate(regions):
        assert torch.equal(provided[i].float(), padded(region[..., None], (32, 32))[0])


def test_the_losses_see_the_images_that_were_kept():
    distorted, loaded = random_images((14, 22), (16, 10)), random_images((14, 22), (16, 10))
    distorted[0] //= 2
    model = build_segmentor(**IMAGENET, size=(32, 32), size_divisor=None)
    seen = watch(densecrf_of(model))
    batch = packed_batch(distorted)
    for sample, image in zip(batch["data_samples"], loaded, strict=True):
        sample.kept_image = PixelData(data=torch.from_numpy(image.transpose(2, 0, 1).copy()))
    with provide_images(model):
        losses_of(model, batch)
        for i, image in enumerate(loaded):
            assert torch.equal(seen[0][0][i], padded(image[..., ::-1], (32, 32))), "as RGB"
        del batch["data_samples"][0].kept_image
        with pytest.raises(ValueError, match="1 of 2 images of the batch were not kept: put KeepI"):
            losses_of(model, batch)


def test_a_padding_on_the_left_and_on_top_is_outside():
    model = build_segmentor(**IMAGENET)
    batch = model.data_preprocessor(
        packed_batch(random_images((16, 16)), [np.ones((16, 16), np.uint8)])
    )
    batch["inputs"] = nn.functional.pad(batch["inputs"], (3, 5, 2, 6))
    sample = batch["data_samples"][0]
    sample.gt_sem_seg = PixelData(data=torch.zeros(1, 24, 24, dtype=torch.long))
    sample.set_metainfo(dict(padding_size=(3, 5, 2, 6)))
    seen = watch(densecrf_of(model))
    with provide_images(model):
        model(**batch, mode="loss")
    expected = torch.zeros(24, 24, dtype=torch.uint8)
    expected[2:18, 3:19] = 1
    assert torch.equal(seen[0][1][0], expected)


def test_a_region_follows_a_batch_that_was_scaled():
    def double(inputs, data_samples):
        for sample in data_samples:
            sample.gt_sem_seg = PixelData(data=torch.zeros(1, 32, 32, dtype=torch.long))
        return nn.functional.interpolate(inputs, scale_factor=2), data_samples

    model = build_segmentor(**IMAGENET, batch_augments=double)
    seen = watch(densecrf_of(model))
    with provide_images(model):
        losses_of(model, packed_batch(random_images((16, 16), (12, 10))))
    expected = torch.zeros(2, 32, 32, dtype=torch.uint8)
    expected[0] = 1
    expected[1, :24, :20] = 1
    assert torch.equal(seen[0][1], expected)


def test_images_without_metainfo_are_all_image():
    model = build_segmentor()
    batch = model.data_preprocessor(packed_batch(random_images((16, 16))), True)
    for key in list(batch["data_samples"][0].metainfo_keys()):
        delattr(batch["data_samples"][0], key)
    seen = watch(densecrf_of(model))
    with provide_images(model):
        model(**batch, mode="loss")
    assert seen[0][1].all()


@pytest.mark.parametrize("positional", [True, False])
def test_forward_may_be_called_with_names_or_without(positional):
    model = build_segmentor()
    batch = model.data_preprocessor(packed_batch(random_images((16, 16))), True)
    with provide_images(model):
        if positional:
            losses = model(batch["inputs"], batch["data_samples"], "loss")
        else:
            losses = model(**batch, mode="loss")
    assert losses["decode.loss_densecrf"] < 0


def test_the_other_modes_are_left_alone():
    model = build_segmentor(test_cfg=dict(size_divisor=32))
    batch = packed_batch(random_images((16, 20)))
    batch["data_samples"][0].set_metainfo(dict(ori_shape=(16, 20)))
    batch = model.data_preprocessor(batch, False)
    assert batch["inputs"].shape[2:] == (32, 32)
    with provide_images(model):
        model(batch["inputs"])
        (prediction,) = model.eval()(**batch, mode="predict")
    assert prediction.pred_sem_seg.shape == (16, 20)


def test_images_are_taken_back_after_the_forward():
    model = build_segmentor(**IMAGENET)
    loss = densecrf_of(model)
    memory = []
    loss.register_forward_pre_hook(lambda m, args: memory.append(weakref.ref(m.scene)))
    with provide_images(model):
        losses = losses_of(model, packed_batch(random_images((16, 16))))
        assert loss.scene is None
        sum(value for name, value in losses.items() if "loss" in name).backward()
        del losses
        gc.collect()
    assert [reference() for reference in memory] == [None]


def test_images_are_taken_back_after_a_failure():
    model = build_segmentor()
    loss = densecrf_of(model)

    def fail(module, args):
        assert module.scene is not None
        raise FloatingPointError

    loss.register_forward_pre_hook(fail)
    with provide_images(model), pytest.raises(FloatingPointError):
        losses_of(model, packed_batch(random_images((16, 16))))
    assert loss.scene is None


def test_removing_ends_it_and_may_be_repeated():
    model = build_segmentor()
    handle = provide_images(model)
    losses_of(model, packed_batch(random_images((16, 16))))
    handle.remove()
    handle.remove()
    assert not model._forward_pre_hooks and not model._forward_hooks
    with pytest.raises(RuntimeError, match="has no images"):
        losses_of(model, packed_batch(random_images((16, 16))))


def test_several_handles_do_no_harm():
    model = build_segmentor()
    batch = random_images((16, 16))
    with provide_images(model):
        once = losses_of(model, packed_batch(batch))["decode.loss_densecrf"]
        with provide_images(model):
            twice = losses_of(model, packed_batch(batch))["decode.loss_densecrf"]
        again = losses_of(model, packed_batch(batch))["decode.loss_densecrf"]
    assert once == twice == again


def test_the_lattice_is_built_before_the_network_and_once_for_all_losses(monkeypatch):
    events = []
    build = native.build
    monkeypatch.setattr(native, "build", lambda *args: events.append("build") or build(*args))
    again = DENSECRF | dict(loss_weight=1e-3, loss_name="loss_again")
    model = build_segmentor(losses=[DENSECRF, again], **IMAGENET)
    model.backbone.register_forward_pre_hook(lambda *args: events.append("network"))
    with provide_images(model):
        losses_of(model, packed_batch(random_images((16, 16))))
    assert events == ["build", "network"]


def test_a_lattice_that_no_loss_asks_for_is_gone_after_the_forward(monkeypatch):
    lattices = []
    build = native.build

    def record(*args):
        lattice = build(*args)
        lattices.append(weakref.ref(lattice.native))
        return lattice

    monkeypatch.setattr(native, "build", record)
    model = build_segmentor(**IMAGENET)
    monkeypatch.setattr(model.decode_head, "loss_by_feat", lambda *args, **kwargs: {})
    with provide_images(model):
        losses_of(model, packed_batch(random_images((16, 16))))
    gc.collect()
    assert [reference() for reference in lattices] == [None]


def test_every_loss_of_every_head_is_provided():
    second = DENSECRF | dict(sigma_xy=5.0, loss_name="loss_near")
    model = build_segmentor(losses=[DENSECRF, second])
    with provide_images(model):
        losses = losses_of(model, packed_batch(random_images((16, 16))))
    assert losses["decode.loss_densecrf"] < losses["decode.loss_near"] < 0


class Wrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


def test_the_segmentor_is_found_in_a_wrapper():
    model = build_segmentor()
    wrapped = Wrapper(Wrapper(model))
    assert find_segmentor(wrapped) is model
    batch = model.data_preprocessor(packed_batch(random_images((16, 16))), True)
    with provide_images(wrapped):
        assert wrapped(**batch, mode="loss")["decode.loss_densecrf"] < 0


def test_a_compiled_model_is_provided_without_compiling_for_every_size_of_image():
    model = build_segmentor(**IMAGENET)
    counter = CompileCounterWithBackend("eager")
    torch.compiler.reset()
    compiled = torch.compile(model, backend=counter)
    frames = []
    with provide_images(compiled):
        for height in (15, 14, 13, 12):
            batch = model.data_preprocessor(
                packed_batch(random_images((16, 16), (height, 13))), True
            )
            expected = model(**batch, mode="loss")["decode.loss_densecrf"]
            actual = compiled(**batch, mode="loss")["decode.loss_densecrf"]
            torch.testing.assert_close(actual, expected)
            frames.append(counter.frame_count)
    assert frames[-1] == frames[-2]  # MMSeg itself compiles once more for the second batch


def test_a_copy_of_the_model_is_provided_with_its_own_images():
    model = build_segmentor()
    provide_images(model)
    duplicate = copy.deepcopy(model)
    expected = losses_of(model, packed_batch(random_images((16, 16))))["decode.loss_densecrf"]
    actual = losses_of(duplicate, packed_batch(random_images((16, 16))))["decode.loss_densecrf"]
    assert actual == expected


FRACTIONS = random_images((16, 16))[0].astype(np.float32) / 255
GREY = random_images((16, 16))[0].astype(np.float32)
WRONG_RANGES = {
    "0 to 1": (FRACTIONS, {}, r"(?s)0 to 255.*divides them by 255"),
    "0 to 1, normalised": (
        FRACTIONS,
        dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        r"(?s)0 to 255.*divides them by 255",
    ),
    "z-scored": ((GREY - GREY.mean()) / GREY.std(), {}, r"(?s)from -\d.*value_range"),
    "16 bits": (GREY * 257, {}, r"(?s)from .* to \d+e?.*value_range"),
}


@pytest.mark.parametrize("name", WRONG_RANGES)
def test_images_of_another_range_are_refused_with_the_remedy_in_any_batch(name):
    image, preprocessor, message = WRONG_RANGES[name]
    model = build_segmentor(**preprocessor)
    black = np.zeros_like(image)
    with provide_images(model):
        losses_of(model, packed_batch([black]))
        with pytest.raises(ValueError, match=message):
            losses_of(model, packed_batch([image]))


@pytest.mark.parametrize("value_range", [None, (0, 65535)])
def test_another_range_can_be_named(value_range):
    model = build_segmentor()
    with provide_images(model, value_range=value_range):
        losses_of(model, packed_batch([GREY * 257]))
    with provide_images(model, value_range=(0, 1)):
        losses_of(model, packed_batch([FRACTIONS]))
        with pytest.raises(ValueError, match=r"(?s)from 0 to 255,.*from 0 to 1\."):
            losses_of(model, packed_batch([GREY]))


def test_self_labelling_sees_the_same_colours_in_another_range():
    losses = []
    for factor in (1, 257):
        self_label = dict(type="SelfLabelLoss", sigma_rgb=60 * factor, sigma_xy=8)
        model = build_segmentor(losses=[self_label], mean=[0] * 3, std=[factor] * 3)
        images = [image.astype(np.float32) * factor for image in random_images((16, 16))]
        batch = packed_batch(images)
        batch["data_samples"][0].gt_sem_seg.data[:, 2:] = 255
        with provide_images(model, value_range=(0, 255 * factor)):
            losses.append(losses_of(model, batch)["decode.loss_self_label"])
    assert losses[0] > 0
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("value_range", [(1, 0), (0, float("nan"))])
def test_a_range_that_does_not_rise_is_refused(value_range):
    with pytest.raises(ValueError, match="value_range"):
        provide_images(build_segmentor(), value_range=value_range)


@pytest.mark.parametrize("preprocessor", [dict(), IMAGENET])
def test_dark_images_are_not_mistaken_for_zero_to_one(preprocessor):
    model = build_segmentor(**preprocessor)
    images = [image // 128 for image in random_images((16, 16))]
    with provide_images(model):
        losses_of(model, packed_batch(images))


def test_a_network_without_the_loss_is_warned_of():
    model = build_segmentor(losses=[])
    with pytest.warns(UserWarning, match="EncoderDecoder has no DenseCRFLoss"):
        handle = provide_images(model)
    losses_of(model, packed_batch([image / np.float32(255) for image in random_images((16, 16))]))
    handle.remove()


def test_images_may_require_a_gradient():
    model = build_segmentor(**IMAGENET)
    batch = model.data_preprocessor(packed_batch(random_images((16, 16))), True)
    batch["inputs"].requires_grad_()
    with provide_images(model):
        model(**batch, mode="loss")["decode.loss_densecrf"].backward()
    assert batch["inputs"].grad.isfinite().all()


def test_what_is_not_a_segmentor_is_refused():
    with pytest.raises(TypeError, match="Conv2d does not"):
        provide_images(nn.Conv2d(3, 3, 1))
