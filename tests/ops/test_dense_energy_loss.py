"""RRM's loss against its sums and against its gate, stated anew in NumPy."""

import numpy as np
import pytest
import torch

from mmseg_rloss import DenseEnergyLoss, dense_energy_loss, densecrf_loss
from tests.ops.affinities import SIGMAS, exact_affinities, form, lattice_affinities, random_case


def gate_of(segmentation, region, label) -> torch.Tensor:
    """RRM's gate (N, 1, H, W), pixel by pixel."""
    gate = np.zeros(label.shape)
    for pixel in np.ndindex(*gate.shape):
        n, y, x = pixel
        if label[pixel] == 255:
            gate[pixel] = 1
        elif region[pixel]:
            gate[pixel] = 1 - max(segmentation[n, :, y, x].tolist())
    return torch.from_numpy(gate).unsqueeze(1)


def energy(segmentation, region, gate, affinities):
    """``-1/N sum (R S_k)' G A (R S_k)``."""
    segmentation = segmentation * region.unsqueeze(1)
    return -form(segmentation, affinities, gate * segmentation).sum() / len(segmentation)


@pytest.mark.parametrize("size, scale_factor", [((2, 3, 7, 6), 1), ((2, 4, 12, 8), 0.5)])
def test_value_and_gradient_are_those_of_the_sums(size, scale_factor):
    case = random_case(*size)
    case.logits.requires_grad_()
    loss = dense_energy_loss(*case.maps, case.label, **SIGMAS, scale_factor=scale_factor)
    (gradient,) = torch.autograd.grad(loss, case.logits)

    small = case.at_scale(scale_factor)
    affinities = lattice_affinities(small.image, 30.0, 8.0 * scale_factor)
    segmentation = small.logits.softmax(1)
    gate = gate_of(segmentation, small.region, small.label)
    expected = energy(segmentation, small.region, gate, affinities)
    (expected_gradient,) = torch.autograd.grad(expected, case.logits)
    assert ((gate > 0) & (gate < 1)).any()
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9)


def test_close_to_the_exact_gaussian_but_for_the_lattices_factor():
    case = random_case(2, 3, 12, 10)
    _, segmentation, region = case.maps
    affinities = exact_affinities(case.image, **SIGMAS)
    gate = gate_of(segmentation, region, case.label)
    ungated = energy(segmentation, region, 1, affinities)
    exact = energy(segmentation, region, gate, affinities) / ungated
    loss = dense_energy_loss(*case.maps, case.label, **SIGMAS, scale_factor=1)
    share = loss / densecrf_loss(*case.maps, **SIGMAS, scale_factor=1)
    assert share.item() == pytest.approx(exact.item(), rel=0.03)


def test_without_labels_it_is_the_densecrf_loss():
    case = random_case()
    unlabelled = torch.full_like(case.label, 255)
    parameters = SIGMAS | dict(scale_factor=0.5)
    segmentation = case.maps[1].requires_grad_()
    maps = case.image, segmentation, case.region
    loss = dense_energy_loss(*maps, unlabelled, **parameters)
    densecrf = densecrf_loss(*maps, **parameters)
    torch.testing.assert_close(loss, densecrf)
    torch.testing.assert_close(
        torch.autograd.grad(loss, segmentation), torch.autograd.grad(densecrf, segmentation)
    )


def test_labelled_pixels_of_which_the_network_is_sure_count_for_nothing():
    case = random_case()
    sure = torch.nn.functional.one_hot(case.label % 3, 3).movedim(3, 1).float()
    loss = dense_energy_loss(
        case.image, sure, case.region, case.label % 3, **SIGMAS, scale_factor=1
    )
    assert loss == 0


def with_constant_gate(case, scale_factor):
    """The loss of logits, with the gate of the logits of the case."""
    small = case.at_scale(scale_factor)
    gate = gate_of(small.logits.softmax(1), small.region, small.label)
    affinities = lattice_affinities(small.image, 30.0, 8.0 * scale_factor)

    def loss(logits):
        small = case._replace(logits=logits).at_scale(scale_factor)
        return energy(small.logits.softmax(1), small.region, gate, affinities)

    return loss


@pytest.mark.parametrize("size, scale_factor", [((1, 2, 6, 5), 1), ((2, 3, 8, 6), 0.5)])
def test_gradient_is_the_difference_quotient_with_the_gate_held(size, scale_factor):
    case = random_case(*size)
    logits = case.logits.requires_grad_()
    value = dense_energy_loss(*case.maps, case.label, **SIGMAS, scale_factor=scale_factor)
    (gradient,) = torch.autograd.grad(value, logits)
    loss = with_constant_gate(case, scale_factor)
    direction = torch.randn_like(logits)
    step = 1e-5 * direction
    with torch.no_grad():
        quotient = (loss(logits + step) - loss(logits - step)) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(), quotient, rtol=1e-6, atol=0)


def test_gradcheck_where_the_gate_is_constant():
    case = random_case(2, 2, 6, 5)
    label = torch.where(case.region == 1, 255, 0)  # labels only where nothing counts

    def loss(logits):
        maps = case._replace(logits=logits).maps
        return dense_energy_loss(*maps, label, **SIGMAS, scale_factor=1)

    logits = case.logits.requires_grad_()
    assert torch.autograd.gradcheck(loss, logits)
    assert torch.autograd.gradgradcheck(loss, logits)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 6, 8), (2, 1, 6, 8)])
def test_labels_of_any_type_with_a_channel_or_without(dtype, shape):
    case = random_case()
    layer = DenseEnergyLoss(weight=2.0, **SIGMAS, scale_factor=0.5)
    expected = 2 * dense_energy_loss(*case.maps, case.label, **SIGMAS, scale_factor=0.5)
    torch.testing.assert_close(layer(*case.maps, case.label.to(dtype).view(shape)), expected)


@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (2, 8, 6), (1, 6, 8), (6, 8)])
def test_labels_of_another_shape_are_named(shape):
    case = random_case()
    with pytest.raises(ValueError, match="seg_label"):
        dense_energy_loss(*case.maps, torch.zeros(shape), **SIGMAS, scale_factor=1)


@pytest.mark.parametrize("name", ["images", "segmentations", "region_of_interest", "seg_label"])
def test_what_is_not_a_tensor_is_named(name):
    case = random_case()
    names = "images", "segmentations", "region_of_interest", "seg_label"
    arguments = dict(zip(names, (*case.maps, case.label), strict=True))
    with pytest.raises(TypeError, match=f"{name} must be a torch.Tensor"):
        dense_energy_loss(**arguments | {name: None}, **SIGMAS, scale_factor=1)
