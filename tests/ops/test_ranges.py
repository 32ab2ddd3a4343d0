"""Maps that are not what the energies are meant for are refused, with the remedy."""

import copy
import pickle

import pytest
import torch

from mmseg_rloss.ops import DenseCRFLoss, dense_crf_inference, densecrf_loss
from mmseg_rloss.ops.energy_layer import EnergyLayer
from mmseg_rloss.ops.ranges import RangeCheck
from tests.ops.affinities import SIGMAS, form, lattice_affinities, maps_of, random_case
from tests.ops.energies import ENERGIES, Energy

PARAMETERS = SIGMAS | dict(weight=1.0, scale_factor=0.5)
FRACTIONS = "image.? has values from 0 to 1,\nbut sigma_rgb .* from 0 to 255.\n.*divided by 255"

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="about a real GPU")


@pytest.fixture(params=ENERGIES.values(), ids=ENERGIES)
def energy(request) -> Energy:
    return request.param


@pytest.fixture
def layer(energy) -> EnergyLayer:
    return energy.layer(**energy.parameters(**PARAMETERS))


def changed_maps(layer, **changes):
    """The arguments of a layer, changed by functions of them."""
    maps = maps_of(layer, random_case())
    for i, name in enumerate(("image", "segmentation", "region")):
        if name in changes:
            maps[i] = changes[name](maps[i])
    return maps


def zero_to_one(image):
    return (image - image.min()) / (image.max() - image.min())


WRONG = {
    "image of 0-1": (dict(image=zero_to_one), FRACTIONS),
    "z-scored image": (
        dict(image=lambda image: (image - image.mean()) / image.std()),
        r"image.? has values from -[\d.]+ to [\d.]+,\n",
    ),
    "16-bit image": (
        dict(image=lambda image: image * 257),
        r"image.? has values from .*value_range=\(0, 65535\)",
    ),
    "image far below 0": (  # as of computed tomography
        dict(image=lambda image: image - 1024),
        r"image.? has values from -1024 to -[\d.]+,\n",
    ),
    "logits": (
        dict(segmentation=lambda s: s.log()),
        r"probabilities in segmentations? must be in \[0, 1\], but range from -.*softmax\(dim=1",
    ),
    "NaN": (dict(segmentation=lambda s: s * torch.nan), r"probabilities in segm.* from nan to nan"),
    "region of 0 and 255": (
        dict(region=lambda region: region * 255),
        r"region_of_interest must be 1 on .* from 0 to 255: pass region > 0",
    ),
    "region below 0": (dict(region=lambda region: -region.float()), "region_of_interest must be"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_maps_are_named_with_what_was_found_and_the_remedy(layer, name):
    changes, message = WRONG[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        layer(*changed_maps(layer, **changes))


FINE = {
    "black image": dict(image=torch.zeros_like),
    "dark image": dict(image=lambda image: (image / 100).round()),
    "image a little beyond 255": dict(image=lambda image: image * 1.2 - 20),
    "no region": dict(region=torch.zeros_like),
    "region of bool": dict(region=lambda region: region.bool()),
    "rounded": dict(segmentation=lambda s: s.bfloat16().float() * 1.004),
    "not summing to one": dict(segmentation=lambda s: s * 0.3),
    "0-1 image outside the region": dict(image=zero_to_one, region=torch.zeros_like),
}


@pytest.mark.parametrize("name", FINE)
def test_what_may_be_is_taken(layer, name):
    assert layer(*changed_maps(layer, **FINE[name])).isfinite()


def test_sigma_rgb_has_the_units_of_the_value_range(energy, layer):
    expected = layer(*changed_maps(layer))
    parameters = energy.parameters(**PARAMETERS)
    ranges = [(257, (0, 65535)), (1 / 255, [0.0, 1.0])]
    if energy.name != "self_label":  # it compares colours of no known range as they are
        ranges.append((257, None))
    for factor, value_range in ranges:
        parameters["sigma_rgb"] = layer.sigma_rgb * factor
        other = energy.layer(**parameters, value_range=value_range)
        maps = changed_maps(layer, image=lambda image, factor=factor: image.double() * factor)
        torch.testing.assert_close(other(*maps), expected)
    with pytest.raises(ValueError, match="grey levels from 0 to 1"):
        energy.layer(**parameters, value_range=(0, 1))(*changed_maps(layer))


def test_a_fraction_in_the_region_weighs_the_pixel():
    case = random_case()
    region = torch.rand(case.region.shape)
    weighted = case.maps[1] * region.unsqueeze(1)
    affinities = lattice_affinities(case.image, **SIGMAS)
    loss = densecrf_loss(case.image, case.maps[1], region, **SIGMAS, scale_factor=1)
    torch.testing.assert_close(-loss, form(weighted, affinities, weighted).sum() / 2)


def test_a_large_image_is_looked_at_too():
    """Of many pixels, only some are."""
    image, region = torch.rand(1, 3, 301, 201), torch.ones(1, 301, 201)
    with pytest.raises(ValueError, match="has values from .* to [01]"):
        RangeCheck()(image, region)
    region[..., ::2, ::2] = 0
    RangeCheck()(image, region)


@pytest.mark.parametrize("name", ["image of 0-1", "logits", "region of 0 and 255"])
def test_compiled_and_exported_graphs_check_as_well(name):
    torch.compiler.reset()
    layer = DenseCRFLoss(**PARAMETERS)
    changes, message = WRONG[name]
    wrong = changed_maps(layer, **changes)
    right = changed_maps(layer)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    exported = torch.export.export(layer, tuple(right)).module()
    for graph in (compiled, exported):
        torch.testing.assert_close(graph(*right), layer(*right))
        with pytest.raises(ValueError, match=f"(?s){message}"):
            graph(*wrong)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_op_keeps_to_the_rules_of_ops(dtype):
    image, segmentation, region = changed_maps(DenseCRFLoss(**PARAMETERS))
    maps = image.to(dtype), region.to(dtype), segmentation.to(dtype)
    op = torch.ops.mmseg_rloss.check_ranges.default
    torch.library.opcheck(op, (*maps, 0.0, 255.0, "image", "segmentation"))
    torch.library.opcheck(op, (*maps, None, None, "image", "segmentation"))


def test_inference_refuses_images_of_another_range():
    case = random_case()
    probabilities = case.maps[1]
    with pytest.raises(ValueError, match=f"(?s){FRACTIONS}"):
        dense_crf_inference(zero_to_one(case.image), probabilities)
    expected = dense_crf_inference(case.image, probabilities)
    parameters = dict(bilateral_sigma_rgb=13 * 257, value_range=(0, 65535))
    actual = dense_crf_inference(case.image.double() * 257, probabilities, **parameters)
    torch.testing.assert_close(actual, expected)


def test_it_can_be_copied_and_saved():
    for check in (copy.deepcopy(RangeCheck((0, 1))), pickle.loads(pickle.dumps(RangeCheck()))):
        with pytest.raises(ValueError):
            check(torch.full((1, 3, 4, 4), 999.0), torch.ones(1, 4, 4))


@needs_gpu
def test_a_gpu_is_not_waited_for_and_a_later_call_reports():
    device = torch.device("cuda")
    layer = DenseCRFLoss(**PARAMETERS)
    right = [tensor.to(device) for tensor in changed_maps(layer)]
    wrong = [tensor.to(device) for tensor in changed_maps(layer, segmentation=torch.log)]
    layer(*right)
    torch.cuda.synchronize()
    layer(*wrong)
    torch.cuda.synchronize()
    with pytest.raises(ValueError, match="probabilities in segmentation must"):
        layer(*right)
    layer(*right)  # reported once
    check = RangeCheck()
    torch.cuda._sleep(1_000_000_000)
    check(torch.full((1, 3, 4, 4), 999.0, device=device), torch.ones(1, 4, 4, device=device))
    check.raise_pending(wait=False)
    with pytest.raises(ValueError, match="image has values"):
        copy.deepcopy(check).raise_pending(wait=True)  # an event cannot be copied
        check.raise_pending(wait=True)
