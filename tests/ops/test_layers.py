"""What holds for every energy, as function and as layer."""

import numpy as np
import pytest
import torch
from torch import nn

from mmseg_rloss.ops import (
    DenseCRFLoss,
    NormalizedCutLoss,
    Scene,
    SelfLabelLoss,
    backends,
    densecrf_loss,
)
from mmseg_rloss.ops.backends.native import lattice as native
from mmseg_rloss.ops.energy_layer import EnergyLayer, LatticeLayer
from tests.ops.affinities import SIGMAS, maps_of, random_case
from tests.ops.energies import ENERGIES

PARAMETERS = SIGMAS | dict(weight=2.0, scale_factor=0.5)
OPTIONS = {"normalized DenseCRFLoss": dict(normalize=True)}
OPTIONS |= {"KernelCutLoss": dict(densecrf_weight=0.7)}


@pytest.fixture(params=[*ENERGIES, "normalized DenseCRFLoss"])
def layer(request) -> nn.Module:
    energy = ENERGIES[request.param.split()[-1]]
    return energy.layer(**energy.parameters(**PARAMETERS), **OPTIONS.get(request.param, {}))


def value_and_gradient(layer, maps):
    segmentation = maps[1].detach().requires_grad_()
    loss = layer(maps[0], segmentation, *maps[2:])
    return loss, torch.autograd.grad(loss, segmentation)[0]


def test_the_arguments_have_the_names_of_the_original_layers(layer):
    maps = maps_of(layer, random_case())
    names = ("images", "segmentations", "ROIs", "seg_label", "image_tags")
    assert layer(**dict(zip(names, maps, strict=False))) == layer(*maps)


@pytest.mark.parametrize("place, name", [(0, "image"), (2, "region_of_interest")])
def test_an_array_of_numpy_is_refused_with_the_remedy(layer, place, name):
    maps = maps_of(layer, random_case())
    maps[place] = maps[place].numpy()
    with pytest.raises(TypeError, match=rf"{name}\w* must be .*: pass torch\.from_numpy\({name}"):
        layer(*maps)


def test_the_plain_backend_agrees(layer, monkeypatch):
    maps = maps_of(layer, random_case())
    expected = value_and_gradient(layer, maps)
    monkeypatch.setattr(backends, "select", lambda device: backends.reference)
    torch.testing.assert_close(value_and_gradient(layer, maps), expected)


def test_a_batch_is_averaged_image_by_image(layer):
    maps = maps_of(layer, random_case(3))
    maps[2][1] = 0  # one without a region
    maps[2][2] = 1  # one that is all image
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


def counted(monkeypatch):
    """The names of the lattice's functions, as they are called from now on."""
    calls = []
    for name in ("build", "filter", "associate"):
        function = getattr(native, name)

        def call(*args, name=name, function=function, **options):
            calls.append(name)
            return function(*args, **options)

        monkeypatch.setattr(native, name, call)
    return calls


FILTERINGS = {  # forward and backward
    "DenseCRFLoss": (["build", "associate"], []),
    "normalized DenseCRFLoss": (["build", "associate"], []),
    "DenseEnergyLoss": (["build", "filter"], ["filter"]),
    "NormalizedCutLoss": (["build", "associate"], ["filter"]),  # of the region
    "KernelCutLoss": (["build", "associate"], ["filter"]),
    "SelfLabelLoss": (
        ["build", "build", "filter", "filter", *["filter"] * 3],  # scribbles, degrees, mean field
        [],
    ),
}


@pytest.mark.parametrize("layer, filterings", FILTERINGS.items(), indirect=["layer"])
def test_it_filters_once_and_backward_only_what_the_forward_has_not(layer, filterings, monkeypatch):
    maps = maps_of(layer, random_case())
    calls = counted(monkeypatch)
    segmentation = maps[1].requires_grad_()
    loss = layer(*maps)
    forward, backward = filterings
    assert calls == forward
    torch.autograd.grad(loss, segmentation)
    assert calls == [*forward, *backward]


def from_logits(layer, case, logits, scene=None):
    """The loss of logits, and its gradient with respect to them."""
    scene = scene or Scene(case.image, case.region)
    labels = (case.label,) if layer.takes_labels else ()
    logits = logits.detach().requires_grad_()
    loss = layer.from_logits(scene, logits, *labels)
    return loss, torch.autograd.grad(loss, logits)[0]


def from_probabilities(layer, case, logits):
    """The same through a map of probabilities at full size, in float32 at least."""
    logits = logits.detach().requires_grad_()
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if wide.shape[2:] != case.image.shape[2:]:
        wide = nn.functional.interpolate(wide, case.image.shape[2:], mode="bilinear")
    one_channel = wide.shape[1] == 1
    wide = torch.cat([-wide, wide], 1).sigmoid() if one_channel else wide.softmax(1)
    labels = (case.label,) if layer.takes_labels else ()
    loss = layer(case.image, wide, case.region, *labels)
    return loss, torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale_factor", [1.0, 0.5, 0.7])
def test_from_logits_it_is_the_loss_of_their_probabilities(layer, scale_factor, dtype):
    layer.scale_factor = scale_factor
    case = random_case(height=11, width=9)
    logits = case.logits.to(dtype)
    torch.testing.assert_close(
        from_logits(layer, case, logits), from_probabilities(layer, case, logits)
    )


def test_one_channel_of_logits_is_a_foreground(layer):
    case = random_case(classes=1)
    torch.testing.assert_close(
        from_logits(layer, case, case.logits), from_probabilities(layer, case, case.logits)
    )


def test_logits_of_another_size_are_scaled_to_the_images(layer):
    case = random_case(height=12, width=16)
    logits = torch.randn(2, 3, 3, 4)
    torch.testing.assert_close(
        from_logits(layer, case, logits), from_probabilities(layer, case, logits)
    )


def test_from_logits_compiles_without_a_graph_break(layer):
    torch.compiler.reset()
    case = random_case()
    labels = (case.label,) if layer.takes_labels else ()

    def loss(logits):
        return layer.from_logits(Scene(case.image, case.region), logits, *labels)

    logits = case.logits.float().requires_grad_()
    value = torch.compile(loss, fullgraph=True, backend="aot_eager")(logits)
    torch.testing.assert_close(
        (value, torch.autograd.grad(value, logits)[0]), from_logits(layer, case, logits)
    )


def test_losses_of_one_scene_share_its_lattices(monkeypatch):
    case = random_case()
    logits = case.logits.float()
    scene = Scene(case.image, case.region)
    layers = [DenseCRFLoss(**PARAMETERS), NormalizedCutLoss(**PARAMETERS)]
    expected = [from_logits(layer, case, logits) for layer in layers]
    calls = counted(monkeypatch)
    shared = [from_logits(layer, case, logits, scene) for layer in layers]
    torch.testing.assert_close(shared, expected, rtol=0, atol=0)
    assert calls.count("build") == 1
    from_logits(DenseCRFLoss(**PARAMETERS | dict(sigma_xy=5.0)), case, logits, scene)
    assert calls.count("build") == 2
    for balance in (0, 1):  # of two heads
        labelling = SelfLabelLoss(**PARAMETERS, class_balance=balance)
        from_logits(labelling, case, logits, scene)
        assert calls.count("build") == 4


def test_a_scene_of_normalized_images_is_that_of_the_images():
    case = random_case()
    mean, std = torch.tensor([123.7, 116.3, 103.5]), torch.tensor([58.4, 57.1, 57.4])
    mean, std = mean.view(3, 1, 1), std.view(3, 1, 1)
    scene = Scene((case.image - mean) / std, case.region, mean=mean, std=std)
    torch.testing.assert_close(scene.image(), case.image)
    torch.testing.assert_close(scene.image(0.5), case.image[..., ::2, ::2])
    layer = DenseCRFLoss(**PARAMETERS)
    torch.testing.assert_close(
        from_logits(layer, case, case.logits, scene), from_logits(layer, case, case.logits)
    )


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_numbers_of_numpy_are_numbers(kind):
    case = random_case()
    parameters = {name: kind(value) for name, value in (PARAMETERS | dict(scale_factor=1)).items()}
    expected = DenseCRFLoss(**PARAMETERS | dict(scale_factor=1))(*case.maps)
    torch.testing.assert_close(DenseCRFLoss(**parameters)(*case.maps), expected)
    del parameters["weight"]
    torch.testing.assert_close(2 * densecrf_loss(*case.maps, **parameters), expected)


def test_a_layer_without_an_energy_cannot_be_built():
    for kind in (EnergyLayer, LatticeLayer):
        with pytest.raises(TypeError, match="abstract method.* '?energy"):
            kind(**PARAMETERS)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_named_with_the_loss(layer, bad):
    case = random_case()
    logits = case.logits.float()
    logits[0, 1, 2, 3] = bad
    with pytest.raises(ValueError, match=f"logits that {type(layer).__name__} .* must be finite"):
        from_logits(layer, case, logits)


def test_the_parameters_are_shown(layer):
    position = "sigma_xy=8.0, " if isinstance(layer, LatticeLayer) else ""
    assert f"weight=2.0, sigma_rgb=30.0, {position}scale_factor=0.5" in repr(layer)
    for option in ENERGIES[type(layer).__name__].options:
        value = getattr(layer, option)
        assert (f", {option}={value}" in repr(layer)) == (value is not False)
