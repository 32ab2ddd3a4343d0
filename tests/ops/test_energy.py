"""What holds for every energy, as function and as layer."""

import pytest
import torch
from torch import nn

from mmseg_rloss.ops import (
    DenseCRFLoss,
    DenseEnergyLoss,
    KernelCutLoss,
    NormalizedCutLoss,
    backends,
)
from mmseg_rloss.ops.backends.reference import lattice as reference
from tests.ops.affinities import SIGMAS, random_case

PARAMETERS = SIGMAS | dict(weight=2.0, scale_factor=0.5)


@pytest.fixture(params=["DenseCRF", "normalized DenseCRF", "dense energy", "normalized", "kernel"])
def layer(request) -> nn.Module:
    return {
        "DenseCRF": lambda: DenseCRFLoss(**PARAMETERS),
        "normalized DenseCRF": lambda: DenseCRFLoss(**PARAMETERS, normalize=True),
        "dense energy": lambda: DenseEnergyLoss(**PARAMETERS),
        "normalized": lambda: NormalizedCutLoss(**PARAMETERS),
        "kernel": lambda: KernelCutLoss(**PARAMETERS, densecrf_weight=0.7),
    }[request.param]()


def maps_of(layer, case):
    """The arguments of a layer, of float32."""
    image, segmentation, region = case.maps
    maps = [image, segmentation.float(), region]
    return [*maps, case.label] if isinstance(layer, DenseEnergyLoss) else maps


def value_and_gradient(layer, maps):
    segmentation = maps[1].detach().requires_grad_()
    loss = layer(maps[0], segmentation, *maps[2:])
    return loss, torch.autograd.grad(loss, segmentation)[0]


def test_the_plain_backend_agrees(layer, monkeypatch):
    maps = maps_of(layer, random_case())
    expected = value_and_gradient(layer, maps)
    monkeypatch.setattr(backends, "select", lambda device: backends.reference)
    torch.testing.assert_close(value_and_gradient(layer, maps), expected)


def test_a_batch_is_averaged_image_by_image(layer):
    maps = maps_of(layer, random_case(3))
    maps[2][1] = 0  # one without a region
    maps[2][2] = 1  # one that is all photo
    loss, gradient = value_and_gradient(layer, maps)
    images = [[tensor[n : n + 1] for tensor in maps] for n in range(3)]
    losses, gradients = zip(*(value_and_gradient(layer, image) for image in images), strict=True)
    torch.testing.assert_close(loss, sum(losses) / 3)
    torch.testing.assert_close(gradient, torch.cat(gradients) / 3)
    assert losses[1] == 0 and (gradients[1] == 0).all()
    assert losses[0] != 0 and losses[2] != 0


def test_without_a_region_all_is_zero(layer):
    maps = maps_of(layer, random_case())
    maps[2].zero_()
    loss, gradient = value_and_gradient(layer, maps)
    assert loss == 0 and (gradient == 0).all()


def test_an_empty_batch_gives_zero(layer):
    maps = [tensor[:0] for tensor in maps_of(layer, random_case())]
    assert layer(*maps) == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float64])
def test_images_and_regions_of_any_type(layer, dtype):
    maps = maps_of(layer, random_case())
    expected = layer(*maps)
    maps[0], maps[2] = maps[0].to(dtype), maps[2].to(dtype)
    torch.testing.assert_close(layer(*maps), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32_and_gets_its_gradient_back(layer, dtype):
    maps = maps_of(layer, random_case())
    maps[1] = maps[1].to(dtype)
    loss, gradient = value_and_gradient(layer, maps)
    assert loss.dtype == torch.float32 and gradient.dtype == dtype
    maps[1] = maps[1].float()
    expected, expected_gradient = value_and_gradient(layer, maps)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_does_not_reach_it(layer, dtype):
    maps = maps_of(layer, random_case())
    expected = value_and_gradient(layer, maps)
    with torch.autocast("cpu", dtype=dtype):
        actual = value_and_gradient(layer, maps)
    torch.testing.assert_close(actual, expected)


def test_nothing_is_modified(layer):
    maps = maps_of(layer, random_case())
    kept = [tensor.clone() for tensor in maps]
    value_and_gradient(layer, maps)
    assert all(torch.equal(*pair) for pair in zip(maps, kept, strict=True))


def test_compiles_without_a_graph_break(layer):
    torch.compiler.reset()
    maps = maps_of(layer, random_case())
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    expected = value_and_gradient(layer, maps)
    torch.testing.assert_close(value_and_gradient(compiled, maps), expected)


def test_exports(layer):
    maps = maps_of(layer, random_case())
    exported = torch.export.export(layer, tuple(maps)).module()
    maps[1] = maps[1].flip(0)
    torch.testing.assert_close(exported(*maps), layer(*maps))


@pytest.mark.parametrize(
    "parameter, value",
    [("sigma_rgb", 0), ("sigma_xy", -1.0), ("scale_factor", 1.5), ("scale_factor", "1")],
)
@pytest.mark.parametrize("kind", [DenseCRFLoss, DenseEnergyLoss, NormalizedCutLoss, KernelCutLoss])
def test_parameters_are_checked_when_the_layer_is_built(kind, parameter, value):
    with pytest.raises((TypeError, ValueError), match=f"{parameter} must be"):
        kind(**PARAMETERS | {parameter: value})


def test_the_parameters_are_shown(layer):
    assert "weight=2.0, sigma_rgb=30.0, sigma_xy=8.0, scale_factor=0.5" in repr(layer)
    if isinstance(layer, KernelCutLoss):
        assert "densecrf_weight=0.7" in repr(layer)
    if isinstance(layer, DenseCRFLoss):
        assert ("normalize" in repr(layer)) == layer.normalize
