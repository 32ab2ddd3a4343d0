"""The loss as MMSegmentation's heads call it, against the layer it stands for."""

import pytest
import torch
from mmseg.registry import MODELS
from torch._dynamo.testing import CompileCounterWithBackend


def build(**overrides):
    config = dict(
        type="DenseCRFLoss", loss_weight=1e-4, sigma_rgb=15.0, sigma_xy=10.0, scale_factor=0.5
    )
    return MODELS.build(config | overrides)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    image = torch.randint(0, 256, (2, 3, 12, 16)).float()
    region = torch.ones(2, 12, 16)
    region[0, :, 13:] = 0
    return image, region


def call(loss, logits):
    label = torch.full((len(logits), *logits.shape[2:]), 255)
    return loss(logits, label, weight=None, ignore_index=255)


def test_default_parameters_are_the_published_ones():
    layer = MODELS.build(dict(type="DenseCRFLoss")).layer
    assert (layer.weight, layer.sigma_rgb, layer.sigma_xy, layer.scale_factor) == (
        1.5e-9,
        15,
        100,
        0.5,
    )


def test_name_in_the_log_can_be_chosen():
    assert build().loss_name == "loss_densecrf"
    assert build(loss_name="loss_far").loss_name == "loss_far"


def test_one_channel_is_the_foreground_of_two(batch):
    foreground = torch.randn(2, 1, 12, 16, dtype=torch.float64)
    loss = build()
    loss.provide(*batch)
    two_channels = torch.cat([torch.zeros_like(foreground), foreground], dim=1)
    torch.testing.assert_close(call(loss, foreground), call(loss, two_channels))


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_extreme_logits_stay_finite(batch, channels, dtype):
    signs = torch.randint(0, 2, (2, channels, 12, 16)) * 2 - 1
    logits = (1e4 * signs).to(dtype).requires_grad_()
    loss = build()
    loss.provide(*batch)
    value = call(loss, logits)
    value.backward()
    assert value.isfinite() and value < 0
    assert logits.grad.isfinite().all()


def test_logits_of_another_size_are_scaled_to_the_images(batch):
    logits = torch.randn(2, 4, 3, 4)
    loss = build()
    loss.provide(*batch)
    full_size = torch.nn.functional.interpolate(logits, (12, 16), mode="bilinear")
    torch.testing.assert_close(call(loss, logits), call(loss, full_size))


def test_without_images_it_says_which_lines_to_add():
    with pytest.raises(RuntimeError) as error:
        call(build(), torch.zeros(1, 2, 4, 4))
    for line in (
        "custom_imports = dict(imports=['mmseg_rloss'])",
        "custom_hooks = [dict(type='ProvideImagesHook')]",
        "provide_images(model)",
        "mode='loss'",
    ):
        assert line in str(error.value)


def test_images_are_gone_once_taken_back(batch):
    loss = build()
    loss.provide(*batch)
    loss.take_back()
    with pytest.raises(RuntimeError, match="has no images"):
        call(loss, torch.zeros(2, 2, 12, 16))


def test_points_are_refused_with_the_way_out(batch):
    loss = build()
    loss.provide(*batch)
    with pytest.raises(ValueError, match=r"\(2, 4, 7\).*PointHead.*a head that predicts maps"):
        loss(torch.zeros(2, 4, 7), torch.zeros(2, 7))


def test_another_batch_is_refused(batch):
    loss = build()
    loss.provide(*batch)
    with pytest.raises(ValueError, match=r"seg_logits \(3, 4, 12, 16\).*differ in N"):
        call(loss, torch.zeros(3, 4, 12, 16))


@pytest.mark.parametrize(
    "parameter, value", [("sigma_rgb", 0.0), ("sigma_xy", -1.0), ("scale_factor", 1.5)]
)
def test_bad_parameters_are_named_when_the_network_is_built(parameter, value):
    with pytest.raises(ValueError, match=parameter):
        build(**{parameter: value})


def test_nothing_of_it_is_saved_with_the_network(batch):
    loss = build()
    loss.provide(*batch)
    assert loss.state_dict() == {}


def test_it_compiles_once_for_all_batches_without_a_graph_break(batch):
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    check_compiled(build(), batch, counter)
    assert counter.frame_count == 1


def test_losses_of_several_parameters_compile_without_a_graph_break(batch):
    torch.compiler.reset()
    for sigma_xy in (3.0, 10.0, 7.0):
        check_compiled(build(sigma_xy=sigma_xy), batch, "aot_eager")


def check_compiled(loss, batch, backend):
    compiled = torch.compile(loss, backend=backend, fullgraph=True)
    for seed in range(3):
        torch.manual_seed(seed)
        logits = torch.randn(2, 4, 12, 16, requires_grad=True)
        loss.provide(batch[0].roll(seed, dims=3), batch[1])
        (actual,) = torch.autograd.grad(call(compiled, logits), logits)
        (expected,) = torch.autograd.grad(call(loss, logits), logits)
        torch.testing.assert_close(actual, expected)
        loss.take_back()
