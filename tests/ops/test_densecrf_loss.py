"""The layer against the original's, against brute force, and its gradient."""

import pytest
import torch
from torch.nn import functional as F

from mmseg_rloss import DenseCRFLoss, densecrf_loss
from mmseg_rloss.ops import bilateral_filter
from tests.ops.affinities import (
    SIGMAS,
    exact_affinities,
    form,
    lattice_affinities,
    random_case,
)
from tests.ops.golden import NAMES, load, relative_error

PARAMETERS = {"sigma_rgb": 15.0, "sigma_xy": 20.0, "scale_factor": 0.5}


def random_maps(batch=2, classes=3, height=10, width=12):
    """Image, probabilities of float32 and region."""
    image, segmentation, region = random_case(batch, classes, height, width).maps
    return image, segmentation.float(), region


# In all of these the scaled image has a multiple of 4 pixels, so the original adds no phantoms.
@pytest.mark.parametrize("name", NAMES)
def test_loss_is_the_originals(name):
    golden = load(name)
    loss = DenseCRFLoss(**golden.parameters)(golden.image, golden.segmentation, golden.roi)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(golden.loss, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_differs_from_the_originals_by_its_asymmetry_alone(name):
    golden = load(name)
    segmentation = golden.segmentation.clone().requires_grad_()
    DenseCRFLoss(**golden.parameters)(golden.image, segmentation, golden.roi).backward()
    assert 0.01 < relative_error(segmentation.grad, golden.grad) < 0.06


def test_function_and_layer_agree():
    image, segmentation, region = random_maps()
    loss = DenseCRFLoss(weight=2e-9, **PARAMETERS)(image, segmentation, region)
    torch.testing.assert_close(
        loss, 2e-9 * densecrf_loss(image, segmentation, region, **PARAMETERS)
    )


def test_loss_is_the_quadratic_form_of_the_filter():
    image, segmentation, region = random_maps()
    scaled_image = image[:, :, ::2, ::2]
    scaled = F.avg_pool2d(segmentation, 2) * region[:, None, ::2, ::2]
    filtered = bilateral_filter(scaled_image, scaled, 15, 10)
    loss = densecrf_loss(image, segmentation, region, **PARAMETERS)
    torch.testing.assert_close(loss, -(scaled * filtered).sum() / 2)


@pytest.mark.parametrize("scale_factor", [1.0, 0.5, 0.3])
@pytest.mark.parametrize("size", [(1, 2, 6, 5), (2, 3, 9, 8)])
def test_gradcheck(size, scale_factor):
    image, segmentation, region = random_maps(*size)
    segmentation = segmentation.double().requires_grad_()

    def loss(segmentation):
        return densecrf_loss(image, segmentation, region, 30, 8, scale_factor)

    assert torch.autograd.gradcheck(loss, segmentation)
    assert torch.autograd.gradgradcheck(loss, segmentation)


def cut_share(segmentation, region, affinities):
    """``sum_k S_k' A (R - S_k) / R' A R``, averaged over the batch."""
    region = region.unsqueeze(1).double()
    segmentation = segmentation * region
    cut = form(segmentation, affinities, region - segmentation).sum(1, keepdim=True)
    return (cut / form(region, affinities, region)).mean()


@pytest.mark.parametrize("size, scale_factor", [((2, 3, 7, 6), 1), ((2, 4, 12, 8), 0.5)])
def test_normalized_value_and_gradient_are_those_of_the_sums(size, scale_factor):
    case = random_case(*size)
    case.logits.requires_grad_()
    loss = densecrf_loss(*case.maps, **SIGMAS, scale_factor=scale_factor, normalize=True)
    (gradient,) = torch.autograd.grad(loss, case.logits)

    small = case.at_scale(scale_factor)
    affinities = lattice_affinities(small.image, 30.0, 8.0 * scale_factor)
    expected = cut_share(small.logits.softmax(1), small.region, affinities)
    (expected_gradient,) = torch.autograd.grad(expected, case.logits)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9)


def test_normalized_energy_is_close_to_that_of_the_exact_gaussian():
    """The lattice has half of the Gaussian's sums; a ratio does not show it."""
    case = random_case(2, 3, 12, 10)
    _, segmentation, region = case.maps
    exact = cut_share(segmentation, region, exact_affinities(case.image, **SIGMAS))
    loss = densecrf_loss(*case.maps, **SIGMAS, scale_factor=1, normalize=True)
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)


@pytest.mark.parametrize("size, scale_factor", [((1, 2, 6, 5), 1.0), ((2, 3, 6, 4), 0.5)])
def test_normalized_gradcheck(size, scale_factor):
    case = random_case(*size)

    def loss(logits):
        maps = case._replace(logits=logits).maps
        return densecrf_loss(*maps, **SIGMAS, scale_factor=scale_factor, normalize=True)

    logits = case.logits.requires_grad_()
    assert torch.autograd.gradcheck(loss, logits)
    assert torch.autograd.gradgradcheck(loss, logits)


def test_normalized_gradient_is_that_of_the_loss_over_all_affinities():
    case = random_case(1)
    segmentation = case.maps[1].requires_grad_()
    maps = case.image, segmentation, case.region
    parameters = SIGMAS | dict(scale_factor=1)
    loss, normalized = (densecrf_loss(*maps, **parameters, normalize=n) for n in (False, True))
    region = case.region.unsqueeze(1).double()
    all_affinities = form(region, lattice_affinities(case.image, **SIGMAS), region).item()
    torch.testing.assert_close(
        torch.autograd.grad(normalized, segmentation)[0],
        torch.autograd.grad(loss, segmentation)[0] / all_affinities,
    )


def test_normalized_energy_is_from_zero_to_one():
    image, segmentation, region = random_maps()
    same = F.one_hot(torch.zeros(2, 10, 12, dtype=torch.long), 3).movedim(3, 1).float()
    many = F.one_hot(torch.arange(120).view(1, 10, 12).expand(2, -1, -1), 120).movedim(3, 1)
    parameters = dict(sigma_rgb=300, sigma_xy=100, scale_factor=1, normalize=True)
    assert densecrf_loss(image, same, region, **parameters).abs() < 1e-6
    assert 0.9 < densecrf_loss(image, many.float(), region, **parameters) < 1
    for sigma_xy in (0.1, 3, 1000):
        parameters["sigma_xy"] = sigma_xy
        assert 0 < densecrf_loss(image, segmentation, region, **parameters) < 1


def test_pixels_outside_the_region_count_for_nothing():
    image, segmentation, region = random_maps()
    segmentation.requires_grad_()
    loss = densecrf_loss(image, segmentation, region, 15, 20, 1)
    loss.backward()
    assert (segmentation.grad * (1 - region.unsqueeze(1)) == 0).all()
    assert (segmentation.grad * region.unsqueeze(1)).abs().sum() > 0
    other = torch.where(region.unsqueeze(1) == 1, segmentation, torch.rand_like(segmentation))
    torch.testing.assert_close(densecrf_loss(image, other, region, 15, 20, 1), loss)


def test_agreeing_neighbours_lower_the_loss():
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 255
    region = torch.ones(1, 8, 8)
    left = (torch.arange(8) < 4).float().expand(8, 8)
    along = torch.stack((left, 1 - left)).unsqueeze(0)  # one class on either side of the edge
    across = along.transpose(2, 3)
    assert densecrf_loss(image, along, region, 15, 5, 1) < densecrf_loss(
        image, across, region, 15, 5, 1
    )


BAD_ARGUMENTS = {
    "image of a wrong rank": (dict(image=torch.zeros(3, 8, 8)), ValueError, "image must be"),
    "image of another size": (dict(image=torch.zeros(1, 3, 8, 9)), ValueError, "image .* agree"),
    "segmentation no tensor": (dict(segmentation=None), TypeError, "segmentation must be"),
    "labels": (
        dict(segmentation=torch.ones(1, 2, 8, 8).long()),
        TypeError,
        r"softmax\(dim=1\)",
    ),
    "no class": (dict(segmentation=torch.ones(1, 0, 8, 8)), ValueError, "empty"),
    "region of a wrong rank": (
        dict(region_of_interest=torch.ones(1, 1, 8, 8)),
        ValueError,
        "region_of_interest must be",
    ),
    "region of another size": (
        dict(region_of_interest=torch.ones(1, 4, 4)),
        ValueError,
        "region_of_interest .* agree",
    ),
    "scale above one": (dict(scale_factor=2), ValueError, "scale_factor must be"),
    "scale zero": (dict(scale_factor=0.0), ValueError, "scale_factor must be"),
    "scale leaves nothing": (dict(scale_factor=0.1), ValueError, "leaves no pixel"),
    "sigma_rgb NaN": (dict(sigma_rgb=float("nan")), ValueError, "sigma_rgb must be"),
    "sigma_xy negative": (dict(sigma_xy=-3), ValueError, "sigma_xy must be"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_named(case):
    changes, error, message = BAD_ARGUMENTS[case]
    good = dict(
        image=torch.zeros(1, 3, 8, 8),
        segmentation=torch.ones(1, 2, 8, 8) / 2,
        region_of_interest=torch.ones(1, 8, 8),
        **PARAMETERS,
    )
    with pytest.raises(error, match=message):
        densecrf_loss(**{**good, **changes})
    densecrf_loss(**good)
