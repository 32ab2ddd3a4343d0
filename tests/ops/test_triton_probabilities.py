"""The probabilities in Triton kernels against PyTorch: on a GPU, or in Triton's interpreter."""

import warnings

import pytest
import torch
from torch.nn import functional as F

from mmseg_rloss.ops.backends.reference import probabilities as reference
from mmseg_rloss.ops.backends.triton import launch
from mmseg_rloss.ops.backends.triton import probabilities as triton_probabilities
from mmseg_rloss.ops.backends.triton import probabilities_kernels as kernels
from tests.ops.broken_kernel import broken_kernel

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(launch, "failed_devices", set())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "mmseg_rloss runs in plain PyTorch")
        yield


def composed(logits, region, scale_factor):
    """What PyTorch makes of it, in float64 where the logits are."""
    if logits.shape[1] == 1:
        probabilities = torch.cat((-logits, logits), dim=1).sigmoid()
    else:
        probabilities = logits.softmax(1)
    if scale_factor != 1:
        scaling = {"scale_factor": scale_factor, "mode": "bilinear", "align_corners": False}
        probabilities = F.interpolate(probabilities, **scaling)
    return probabilities * region.unsqueeze(1)


def case(num_channels, size, scale_factor, dtype=torch.float32):
    """Logits, a region with a hole, and a gradient."""
    scaled = [int(length * scale_factor) for length in size]
    logits = (4 * torch.randn(2, num_channels, *size)).to(dtype)
    region = torch.rand(2, *scaled)
    region[:, : scaled[0] // 3] = 0
    grad = torch.randn(2, max(2, num_channels), *scaled)
    return (tensor.to(DEVICE) for tensor in (logits, region, grad))


def check(logits, region, grad, scale_factor, rtol=1e-5, atol=4e-6):
    result = triton_probabilities.forward(logits, region, scale_factor)
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)
    exact = logits.detach().double().requires_grad_()
    expected = composed(exact, region.double(), scale_factor)
    torch.testing.assert_close(result.double(), expected.detach(), rtol=1e-5, atol=4e-6)
    expected.backward(grad.double())
    layouts = torch.contiguous_format, torch.channels_last
    for grad_layout, logits_layout in zip(layouts, reversed(layouts), strict=True):
        given = grad.contiguous(memory_format=grad_layout)
        maps = logits.contiguous(memory_format=logits_layout), region, scale_factor
        result = triton_probabilities.backward(given, None, *maps)
        assert result.dtype == logits.dtype and result.stride() == maps[0].stride()
        torch.testing.assert_close(result.double(), exact.grad, rtol=rtol, atol=atol)
        again = triton_probabilities.forward(*maps)
        torch.testing.assert_close(again.double(), expected.detach(), rtol=1e-5, atol=4e-6)


@pytest.mark.parametrize(
    ("num_channels", "size", "scale_factor"),
    [
        *((21, (13, 18), scale_factor) for scale_factor in (1, 0.5, 0.25, 0.7, 0.33)),
        *((1, (13, 17), scale_factor) for scale_factor in (1, 0.5, 0.7)),
        *((40, (5, 8), scale_factor) for scale_factor in (1, 0.5, 0.7)),
        (2, (21, 13), 0.5),
        (150, (3, 5), 0.5),
    ],
)
def test_forward_and_backward(num_channels, size, scale_factor):
    check(*case(num_channels, size, scale_factor), scale_factor)


@pytest.mark.parametrize("scale_factor", [1, 0.5, 0.7])
@pytest.mark.parametrize("num_channels", [1, 3, 40])
def test_factors_multiply_the_gradient_of_their_channels(num_channels, scale_factor):
    logits, region, grad = case(num_channels, (9, 7), scale_factor)
    factors = torch.randn(grad.shape[:2], device=DEVICE)
    maps = logits, region, scale_factor
    torch.testing.assert_close(
        triton_probabilities.backward(grad, factors, *maps),
        triton_probabilities.backward(grad * factors[..., None, None], None, *maps),
    )


@pytest.mark.parametrize("scale_factor", [0.97, 0.9999])
def test_scales_near_one(scale_factor):
    check(*case(3, (33, 7), scale_factor), scale_factor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("num_channels", [1, 21, 40])
def test_half_precision(num_channels, dtype):
    tensors = case(num_channels, (9, 8), 0.5, dtype)
    check(*tensors, 0.5, rtol=torch.finfo(dtype).eps, atol=1e-5)


def test_logits_of_any_strides():
    logits, region, grad = case(3, (8, 8), 0.5)
    other = logits.flip(3).contiguous().flip(3).transpose(2, 3).contiguous().transpose(2, 3)
    maps, others = (logits, region, 0.5), (other, region, 0.5)
    expected = triton_probabilities.forward(*maps)
    assert torch.equal(triton_probabilities.forward(*others), expected)
    expected = triton_probabilities.backward(grad, None, *maps)
    assert torch.equal(triton_probabilities.backward(grad, None, *others), expected)


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # NumPy's, interpreting
@pytest.mark.parametrize("num_channels", [1, 3, 40])
def test_extreme_logits(num_channels):
    logits, region, grad = case(num_channels, (4, 6), 0.5)
    logits[0, 0, 0, 0], logits[0, -1, 1, 1] = 1e4, -1e4
    logits[0, 0, 2, 2] = -float("inf")
    logits[0, : num_channels // 2, 3, 3] = -float("inf")
    logits[1, :, 0, 0] = -float("inf")
    logits[1, -1, 2, 4] = float("nan")
    expected = reference.forward(logits, region, 0.5)
    result = triton_probabilities.forward(logits, region, 0.5)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=2e-6, equal_nan=True)
    expected = reference.backward(grad, None, logits, region, 0.5)
    result = triton_probabilities.backward(grad, None, logits, region, 0.5)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=4e-6, equal_nan=True)


def test_float64_goes_to_plain_pytorch():
    logits, region, grad = (tensor.double() for tensor in case(3, (6, 6), 0.5))
    result = triton_probabilities.forward(logits, region, 0.5)
    assert torch.equal(result, reference.forward(logits, region, 0.5))
    result = triton_probabilities.backward(grad, None, logits, region, 0.5)
    assert torch.equal(result, reference.backward(grad, None, logits, region, 0.5))


def test_kernel_that_does_not_compile_falls_back_with_one_warning(monkeypatch):
    logits, region, grad = case(3, (6, 6), 0.5)
    monkeypatch.setattr(kernels, "forward_kernel", broken_kernel)
    with pytest.warns(UserWarning, match="plain PyTorch.*broken_kernel") as caught:
        result = triton_probabilities.forward(logits, region, 0.5)
        assert torch.equal(result, reference.forward(logits, region, 0.5))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = triton_probabilities.backward(grad, None, logits, region, 0.5)
    assert torch.equal(result, reference.backward(grad, None, logits, region, 0.5))
