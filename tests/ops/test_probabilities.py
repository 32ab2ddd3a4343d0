"""Tests of the scaled probabilities: against torch's own functions, and among the backends."""

import pytest
import torch
from torch.nn import functional as F

from mmseg_rloss.ops import set_num_threads
from mmseg_rloss.ops.backends import native as native_backend
from mmseg_rloss.ops.backends import reference as reference_backend
from mmseg_rloss.ops.probabilities import scaled_probabilities

native = native_backend.probabilities
reference = reference_backend.probabilities

INF = float("inf")
SIZES = [(1, 1), (1, 7), (17, 33), (64, 65)]
SCALES = [1, 0.5, 0.25, 0.7, 0.33, 0.9]
HALVES = [torch.float16, torch.bfloat16]
TOLERANCE = {torch.float32: 4e-6, torch.float64: 1e-12}


def scaled_size(size, scale_factor):
    return int(size[0] * scale_factor), int(size[1] * scale_factor)


# Every size at every scale that leaves a pixel of it.
MAPS = [(size, scale) for size in SIZES for scale in SCALES if all(scaled_size(size, scale))]


def random_maps(num_channels, size, scale_factor, dtype=torch.float32, num_images=2):
    """Logits (N, K, H, W) and a region (N, h, w), with zeros and weights of any sign."""
    generator = torch.Generator().manual_seed(num_channels)
    logits = 4 * torch.randn(num_images, num_channels, *size, generator=generator)
    region = torch.randn(num_images, *scaled_size(size, scale_factor), generator=generator)
    region = region * (region > -0.5)
    return logits.to(dtype), region.to(torch.promote_types(dtype, torch.float32))


def composition(logits, region, scale_factor):
    """The same by torch's functions alone, gradient included."""
    logits = logits.to(region.dtype)
    if logits.shape[1] == 1:
        result = torch.cat([-logits, logits], 1).sigmoid()
    else:
        result = logits.softmax(1)
    if scale_factor != 1:
        result = F.interpolate(
            result, scale_factor=scale_factor, mode="bilinear", align_corners=False
        )
    return result * region.unsqueeze(1)


def with_gradient(function, logits, region, scale_factor):
    """The result and the logits' gradient of its product with fixed weights."""
    logits = logits.detach().requires_grad_()
    result = function(logits, region, scale_factor)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(result.shape, generator=generator, dtype=torch.float64).to(result)
    (grad,) = torch.autograd.grad(result, logits, weights)
    return result.detach(), grad


def assert_agree(logits, region, scale_factor, tolerance):
    actual = with_gradient(scaled_probabilities, logits, region, scale_factor)
    expected = with_gradient(composition, logits, region, scale_factor)
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.is_contiguous()
        size = b.abs().nan_to_num().max().clamp(min=1)
        torch.testing.assert_close(a / size, b / size, rtol=0, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_channels", [1, 2, 3, 21, 150])
@pytest.mark.parametrize(("size", "scale_factor"), MAPS)
def test_agrees_with_torch(size, scale_factor, num_channels, dtype):
    logits, region = random_maps(num_channels, size, scale_factor, dtype)
    assert_agree(logits, region, scale_factor, TOLERANCE[dtype])


@pytest.mark.parametrize("scale_factor", [0.7, 0.9])
def test_places_pixels_where_torch_does_far_from_the_origin(scale_factor):
    # Every other pixel has the probability 1, so that the results are the positions' fractions.
    logits = torch.full((1, 2, 3, 2001), -1e4)
    logits[:, 0, :, ::2] = logits[:, 1, :, 1::2] = 1e4
    region = torch.ones(1, *scaled_size((3, 2001), scale_factor))
    assert_agree(logits, region, scale_factor, TOLERANCE[torch.float32])


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("num_channels", [1, 3, 21])
@pytest.mark.parametrize(("size", "scale_factor"), MAPS)
def test_half_precision_is_float32_rounded(size, scale_factor, num_channels, dtype):
    logits, region = random_maps(num_channels, size, scale_factor, dtype)
    result, grad = with_gradient(scaled_probabilities, logits, region, scale_factor)
    expected, expected_grad = with_gradient(
        scaled_probabilities, logits.float(), region, scale_factor
    )
    assert torch.equal(result, expected)
    assert torch.equal(grad, expected_grad.to(dtype))


@pytest.mark.parametrize("instruction_set", native.instruction_sets())
@pytest.mark.parametrize("dtype", HALVES)
def test_every_number_of_16_bits_is_read(dtype, instruction_set):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    logits = torch.stack((every, torch.zeros_like(every))).view(1, 2, 256, 256)
    region = torch.ones(1, 256, 256)
    options = region, 1.0, instruction_set
    result = native.forward(logits, *options)
    torch.testing.assert_close(
        result, native.forward(logits.float(), *options), rtol=0, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("instruction_set", native.instruction_sets())
@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_are_rounded_to_nearest_even(dtype, instruction_set):
    # For two equal logits and the gradients g and -g, that of the logits is g/2 and -g/2.
    numbers = torch.arange(2**15, dtype=torch.int16).view(dtype).float()  # all that are >= 0
    between = (numbers[:-1] + numbers[1:]) / 2  # the ties
    beside = torch.stack((between.nextafter(numbers[:-1]), between.nextafter(numbers[1:])))
    grad = torch.cat((numbers, between, beside.flatten(), numbers[:4]))
    grad = grad[grad < torch.finfo(torch.float32).max / 4]
    grad = torch.stack((2 * grad, -2 * grad)).view(1, 2, 1, -1)
    logits, region = torch.zeros_like(grad, dtype=dtype), torch.ones(1, 1, grad.shape[-1])
    rounded = native.backward(grad, None, logits, region, 1.0, instruction_set)
    assert torch.equal(rounded, (grad / 2).to(dtype))
    grad = torch.tensor([INF, float("nan"), 1.0]).expand(1, 2, 1, 3)
    logits, region = torch.zeros_like(grad, dtype=dtype), torch.ones(1, 1, 3)
    assert native.backward(grad, None, logits, region, 1.0, instruction_set).isnan().sum() == 4


def test_the_exponential_is_within_two_ulp():
    # The probability of the second of two classes is t / (1 + t), where t = exp(x).
    x = torch.linspace(-87, 0, 200_000).view(1, 1, 1, -1)
    logits = torch.cat((torch.zeros_like(x), x), 1)
    result = scaled_probabilities(logits, torch.ones(1, 1, x.numel()), 1.0)[0, 1]
    expected = logits.double().softmax(1)[0, 1]
    assert ((result - expected).abs() / expected).max() < 2.5 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALVES])
@pytest.mark.parametrize("num_channels", [1, 2, 21])
@pytest.mark.parametrize("scale_factor", [1, 0.5, 0.7])
def test_extreme_logits(scale_factor, num_channels, dtype):
    logits, region = random_maps(num_channels, (17, 33), scale_factor, dtype)
    extremes = torch.tensor([1e4, -1e4, 0.0, -90.0, 90.0], dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    choice = torch.randint(5, logits[:, :, ::2].shape, generator=generator)
    logits[:, :, ::2] = extremes[choice]
    if num_channels > 1:
        logits[:, 1, :, ::3] = -INF
    tolerance = TOLERANCE.get(dtype, torch.finfo(dtype).eps)
    assert_agree(logits, region, scale_factor, tolerance)


@pytest.mark.parametrize("num_channels", [2, 21])
@pytest.mark.parametrize("odd", ["all -inf", "inf", "nan"])
@pytest.mark.parametrize("scale_factor", [1, 0.5, 0.7])
def test_a_pixel_without_probabilities_is_nan(scale_factor, odd, num_channels):
    logits, region = random_maps(num_channels, (9, 70), scale_factor)
    region.fill_(1)
    for x in (3, 40, 69):
        if odd == "all -inf":
            logits[0, :, 4, x] = -INF
        else:
            logits[0, -1, 4, x] = float(odd)
    result, _ = with_gradient(scaled_probabilities, logits, region, scale_factor)
    assert 0 < result.isnan().sum() < result.numel() / 4
    assert_agree(logits, region, scale_factor, TOLERANCE[torch.float32])


def test_one_channel_saturates_at_infinity():
    logits = torch.tensor([INF, -INF, float("nan")]).view(1, 1, 1, 3)
    assert_agree(logits, torch.ones(1, 1, 3), 1, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALVES])
@pytest.mark.parametrize("num_channels", [1, 21])
@pytest.mark.parametrize(
    ("size", "scale_factor"), [((64, 131), 1), ((64, 131), 0.5), ((45, 70), 0.7), ((45, 70), 0.1)]
)
def test_instruction_sets_and_threads_give_the_same_bits(size, scale_factor, num_channels, dtype):
    logits, region = random_maps(num_channels, size, scale_factor, dtype)
    grad = reference.forward(logits.flip(1), region, scale_factor)
    expected = None
    for instruction_set in native.instruction_sets():
        for num_threads in (1, 2, 5):
            set_num_threads(num_threads)
            options = region, scale_factor, instruction_set
            actual = (
                native.forward(logits, *options),
                native.backward(grad, None, logits, *options),
            )
            expected = expected or actual
            for a, b in zip(actual, expected, strict=True):
                integers = torch.int16 if a.element_size() == 2 else torch.int32
                assert torch.equal(a.view(integers), b.view(integers)), (
                    instruction_set,
                    num_threads,
                )


@pytest.mark.parametrize("scale_factor", [1, 0.5])
def test_every_width(scale_factor):
    """Rows end anywhere in the blocks and vectors that they are computed in."""
    for width in range(2, 140):
        logits, region = random_maps(3, (2, width), scale_factor, num_images=1)
        assert_agree(logits, region, scale_factor, TOLERANCE[torch.float32])


@pytest.mark.parametrize(("dtype", "num_images"), [(torch.float32, 3), (torch.bfloat16, 5)])
def test_large_gradients_are_those_of_each_image(dtype, num_images):
    """Those of more than 32 MiB are written past the caches, into rows that begin anywhere."""
    logits, region = random_maps(21, (401, 403), 0.5, dtype, num_images)
    assert logits[:-1].nbytes < 32 * 2**20 < logits.nbytes
    grad = reference.forward(logits.flip(1), region, 0.5)
    for instruction_set in native.instruction_sets():
        together = native.backward(grad, None, logits, region, 0.5, instruction_set)
        for image in range(num_images):
            of_image = (maps[image : image + 1] for maps in (logits, region))
            own_grad = grad[image : image + 1]
            alone = native.backward(own_grad, None, *of_image, 0.5, instruction_set)
            assert torch.equal(together[image : image + 1], alone)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("scale_factor", [1, 0.5, 0.7])
def test_the_twin_agrees(scale_factor, num_channels):
    logits, region = random_maps(num_channels, (9, 14), scale_factor, torch.float64)
    result, grad = with_gradient(composition, logits, region, scale_factor)
    torch.testing.assert_close(reference.forward(logits, region, scale_factor), result)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(result.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        reference.backward(weights, None, logits, region, scale_factor), grad
    )
    half = reference.backward(weights.float(), None, logits.half(), region.float(), scale_factor)
    assert half.dtype == torch.float16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALVES])
@pytest.mark.parametrize("scale_factor", [1, 0.5, 0.7])
@pytest.mark.parametrize("size", [(7, 5), (9, 64), (6, 131)])
def test_channels_may_be_last(size, scale_factor, dtype):
    logits, region = random_maps(21, size, scale_factor, dtype)
    result, grad = with_gradient(scaled_probabilities, logits, region, scale_factor)
    last = logits.contiguous(memory_format=torch.channels_last)
    actual, actual_grad = with_gradient(scaled_probabilities, last, region, scale_factor)
    assert torch.equal(actual, result) and torch.equal(actual_grad, grad)
    assert actual_grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("backend", [native, reference])
@pytest.mark.parametrize("scale_factor", [1, 0.5, 0.7])
def test_factors_multiply_the_gradient_of_their_channels(scale_factor, backend):
    logits, region = random_maps(5, (9, 14), scale_factor, torch.float64)
    grad, factors = reference.forward(logits.flip(1), region, scale_factor), torch.randn(2, 5)
    factors = factors[: len(logits)].double()
    actual = backend.backward(grad, factors, logits, region, scale_factor)
    grad = grad * factors[..., None, None]
    torch.testing.assert_close(actual, reference.backward(grad, None, logits, region, scale_factor))


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("scale_factor", [1, 0.5, 0.7])
def test_gradcheck(scale_factor, num_channels):
    logits, region = random_maps(num_channels, (3, 4), scale_factor, torch.float64)
    logits = (logits / 4).requires_grad_()

    def function(logits):
        return scaled_probabilities(logits, region, scale_factor)

    assert torch.autograd.gradcheck(function, logits)
    assert torch.autograd.gradgradcheck(function, logits)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_opcheck(dtype, num_channels):
    logits, region = random_maps(num_channels, (6, 9), 0.5, dtype)
    ops = torch.ops.mmseg_rloss
    arguments = logits.requires_grad_(), region, 0.5
    torch.library.opcheck(ops.scaled_probabilities, arguments)
    grad = torch.ones_like(scaled_probabilities(*arguments))
    for factors in (None, torch.ones(grad.shape[:2], dtype=grad.dtype)):
        arguments = grad, factors, logits.detach(), region, 0.5
        torch.library.opcheck(ops.scaled_probabilities_backward, arguments)


def test_compiles_without_a_graph_break():
    logits, region = random_maps(3, (6, 9), 0.5)

    def energy(logits):
        return (2 * scaled_probabilities(2 * logits, region, 0.5)).square().sum()

    eager, compiled = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    expected, result = (
        energy(eager),
        torch.compile(energy, fullgraph=True, backend="aot_eager")(compiled),
    )
    expected.backward()
    result.backward()
    assert torch.equal(result, expected)
    assert torch.equal(compiled.grad, eager.grad)


@pytest.mark.parametrize("num_channels", [1, 3])
def test_empty_batch(num_channels):
    logits, region = random_maps(num_channels, (6, 9), 0.5, num_images=0)
    result, grad = with_gradient(scaled_probabilities, logits, region, 0.5)
    assert result.shape == (0, max(2, num_channels), 3, 4)
    assert grad.shape == logits.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_layout_and_nothing_modified(dtype):
    logits, region = random_maps(3, (6, 9), 0.5, dtype)
    expected = with_gradient(scaled_probabilities, logits, region, 0.5)
    logits = logits.to(memory_format=torch.channels_last)
    wide = torch.zeros(2, 3, 8).copy_(F.pad(region, (0, 4)))
    before = logits.clone(), wide.clone()
    actual = with_gradient(scaled_probabilities, logits, wide[..., :4], 0.5)
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1], expected[1])
    assert torch.equal(logits, before[0])
    assert torch.equal(wide, before[1])
