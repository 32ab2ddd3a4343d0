"""The kernel cut against its two parts. What it shares with the normalized cut is tested there."""

import pytest
import torch

from mmseg_rloss import KernelCutLoss, densecrf_loss, kernel_cut_loss, normalized_cut_loss
from tests.ops.affinities import SIGMAS, random_case


def test_it_is_the_sum_of_both_energies():
    case = random_case()
    parameters = SIGMAS | dict(scale_factor=0.5)
    loss = kernel_cut_loss(*case.maps, **parameters, densecrf_weight=0.7)
    normalized_cut = normalized_cut_loss(*case.maps, **parameters)
    densecrf = densecrf_loss(*case.maps, **parameters, normalize=True)
    torch.testing.assert_close(loss, normalized_cut + 0.7 * densecrf)
    layer = KernelCutLoss(weight=3.0, **parameters, densecrf_weight=0.7)
    torch.testing.assert_close(layer(*case.maps), 3 * loss)


def test_hardly_probable_classes_give_finite_gradients():
    case = random_case(1, 5, 6, 8)
    offsets = torch.tensor([0.0, -50.0, -85.0, -95.0, -150.0]).view(1, 5, 1, 1)
    logits = (case.logits.float() + offsets).requires_grad_()
    segmentation = logits.softmax(1)
    loss = kernel_cut_loss(case.image, segmentation, case.region, **SIGMAS, scale_factor=1)
    for gradient in torch.autograd.grad(2.0**16 * loss, (segmentation, logits)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("weight", [0, -1, float("nan"), "1"])
def test_the_weight_within_it_is_checked(weight):
    case = random_case()
    parameters = SIGMAS | dict(scale_factor=1, densecrf_weight=weight)
    with pytest.raises((TypeError, ValueError), match="densecrf_weight must be"):
        kernel_cut_loss(*case.maps, **parameters)
    with pytest.raises((TypeError, ValueError), match="densecrf_weight must be"):
        KernelCutLoss(weight=1, **parameters)
