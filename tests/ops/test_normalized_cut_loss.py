"""The normalized cut and the kernel cut against their sums."""

import pytest
import torch

from mmseg_rloss import kernel_cut_loss, normalized_cut_loss
from tests.ops.affinities import (
    SIGMAS,
    exact_affinities,
    form,
    lattice_affinities,
    random_case,
)


def cuts(segmentation, region, affinities):
    """``S_k' A (R - S_k) / (d' S_k)`` of every class and image, (N, K)."""
    region = region.unsqueeze(1).double()
    segmentation = segmentation * region
    degrees = form(segmentation, affinities, region)
    return form(segmentation, affinities, region - segmentation) / degrees


@pytest.mark.parametrize("size, scale_factor", [((2, 3, 7, 6), 1), ((2, 4, 12, 8), 0.5)])
def test_value_and_gradient_are_those_of_the_sums(size, scale_factor):
    case = random_case(*size)
    case.logits.requires_grad_()
    loss = normalized_cut_loss(*case.maps, **SIGMAS, scale_factor=scale_factor)
    (gradient,) = torch.autograd.grad(loss, case.logits)

    small = case.at_scale(scale_factor)
    affinities = lattice_affinities(small.image, 30.0, 8.0 * scale_factor)
    expected = cuts(small.logits.softmax(1), small.region, affinities).sum(1).mean()
    (expected_gradient,) = torch.autograd.grad(expected, case.logits)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9)


def test_the_gradient_holds_for_values_that_do_not_sum_to_one():
    case = random_case(1, 3, 6, 5)
    segmentation = case.logits.sigmoid().requires_grad_()
    loss = normalized_cut_loss(case.image, segmentation, case.region, **SIGMAS, scale_factor=1)
    affinities = lattice_affinities(case.image, **SIGMAS)
    expected = cuts(segmentation, case.region, affinities).sum()
    torch.testing.assert_close(
        torch.autograd.grad(loss, segmentation), torch.autograd.grad(expected, segmentation)
    )


@pytest.mark.parametrize("energy", [normalized_cut_loss, kernel_cut_loss])
@pytest.mark.parametrize("size, scale_factor", [((1, 2, 6, 5), 1.0), ((2, 3, 6, 4), 0.5)])
def test_gradcheck(energy, size, scale_factor):
    case = random_case(*size)

    def loss(logits):
        maps = case._replace(logits=logits).maps
        return energy(*maps, **SIGMAS, scale_factor=scale_factor)

    logits = case.logits.requires_grad_()
    assert torch.autograd.gradcheck(loss, logits)
    assert torch.autograd.gradgradcheck(loss, logits)


def test_close_to_the_cut_of_the_exact_gaussian():
    """The lattice has half of the Gaussian's sums; a ratio does not show it."""
    case = random_case(2, 3, 12, 10)
    exact = cuts(case.logits.softmax(1), case.region, exact_affinities(case.image, **SIGMAS))
    loss = normalized_cut_loss(*case.maps, **SIGMAS, scale_factor=1)
    assert loss.item() == pytest.approx(exact.sum(1).mean().item(), rel=0.05)


def test_objects_cut_along_their_edges_cost_less():
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 255
    region = torch.ones(1, 8, 8)
    left = (torch.arange(8) < 4).float().expand(8, 8)
    along = torch.stack((left, 1 - left)).unsqueeze(0)  # one class on either side of the edge
    across = along.transpose(2, 3)
    assert normalized_cut_loss(image, along, region, 15, 5, 1) < 1e-3
    assert normalized_cut_loss(image, across, region, 15, 5, 1) > 0.3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("energy", [normalized_cut_loss, kernel_cut_loss])
def test_a_class_of_no_probability_adds_nothing(energy, dtype):
    case = random_case(2, 3, 6, 8)
    parameters = SIGMAS | dict(scale_factor=1)
    image, segmentation, region = case.maps
    segmentation = segmentation.to(dtype)
    absent = torch.zeros_like(segmentation[:, :1])
    padded = torch.cat((segmentation, absent), 1).requires_grad_()
    loss = energy(image, padded, region, **parameters)
    torch.testing.assert_close(loss, energy(image, segmentation, region, **parameters))
    (gradient,) = torch.autograd.grad(loss, padded)
    assert gradient.isfinite().all()
    if energy is normalized_cut_loss:
        assert (gradient[:, 3] == 0).all()
