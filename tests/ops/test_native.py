"""The compiled lattice against its plain-PyTorch twin, for every instruction set it has."""

import functools

import pytest
import torch

from mmseg_rloss.ops.backends.native import lattice as native
from mmseg_rloss.ops.backends.reference import lattice as reference
from tests.ops.golden import NAMES, load, relative_error
from tests.ops.photos import photo

# Rounding of float32 and float64 sums over a few thousand pixels in different orders.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13}
BLURS = ["both", "ascending", "descending"]

every_instruction_set = pytest.mark.parametrize("instruction_set", native.instruction_sets())


def native_filter(features, values, blur="both", num_threads=1, instruction_set=None):
    """Filter values (N, K, P) by features (N, D, P) with a chosen instruction set."""
    instruction_set = instruction_set or native.instruction_sets()[-1]
    return native.run(features, 1.0, 0.0, 0, values, blur, num_threads, instruction_set)


@functools.cache
def golden_case(name, dtype, blur):
    golden = load(name)
    image, segmentation = (tensor.to(dtype) for tensor in golden.scaled())
    sigmas = golden.sigma_rgb, golden.sigma_xy * golden.scale_factor
    expected = reference.bilateral_filter(image, segmentation, *sigmas, blur)
    return image, segmentation, sigmas, expected


@every_instruction_set
@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_golden_images(name, dtype, blur, instruction_set):
    image, segmentation, sigmas, expected = golden_case(name, dtype, blur)
    width = image.shape[-1]
    result = native.run(image, *sigmas, width, segmentation, blur, 2, instruction_set)
    assert relative_error(result, expected) < TOLERANCE[dtype]


@every_instruction_set
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 6, 8, 15])
def test_any_number_of_features(dim, dtype, instruction_set):
    torch.manual_seed(dim)
    features = 3 * torch.randn(2, dim, 333, dtype=dtype)
    values = torch.randn(2, 5, 333, dtype=dtype)
    expected = reference.permutohedral_filter(features, values, "both")
    result = native_filter(features, values, instruction_set=instruction_set)
    assert relative_error(result, expected) < TOLERANCE[dtype]


@every_instruction_set
@pytest.mark.parametrize("channels", [1, 2, 7, 8, 9, 16, 21, 24, 31, 32, 33, 64, 65, 150])
def test_any_number_of_channels(channels, instruction_set):
    torch.manual_seed(channels)
    features, values = 2 * torch.randn(1, 5, 130), torch.randn(1, channels, 130)
    expected = reference.permutohedral_filter(features, values, "both")
    result = native_filter(features, values, instruction_set=instruction_set)
    assert relative_error(result, expected) < TOLERANCE[torch.float32]


@every_instruction_set
@functools.cache
def any_size(height, width):
    torch.manual_seed(height + width)
    image, values = photo(height, width, batch=2), torch.rand(2, 3, height, width)
    return image, values, reference.bilateral_filter(image, values, 20.0, 30.0, "both")


# The last has two tiles, of which the second ends within a block and a row.
@every_instruction_set
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 17), (17, 1), (3, 5), (64, 63), (1, 1000), (171, 181)]
)
def test_any_size(size, instruction_set):
    image, values, expected = any_size(*size)
    result = native.run(image, 20.0, 30.0, size[1], values, "both", 2, instruction_set)
    assert relative_error(result, expected) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("sigma_rgb", [300.0, 15.0, 2.0, 0.05, 0.001])
def test_keys_of_every_width(sigma_rgb):
    """Small bandwidths take the keys from 32 over 64 to 128 bits."""
    torch.manual_seed(1)
    image = torch.randint(0, 256, (1, 3, 30, 31)).double()
    values = torch.rand(1, 3, 30, 31, dtype=torch.float64)
    expected = reference.bilateral_filter(image, values, sigma_rgb, 10.0, "both")
    result = native.bilateral_filter(image, values, sigma_rgb, 10.0, "both", 1)
    assert relative_error(result, expected) < TOLERANCE[torch.float64]


@every_instruction_set
@pytest.mark.parametrize("sigma_rgb", [0.1, 1e-3, 1e-9])
def test_tiny_bandwidths_in_float32(sigma_rgb, instruction_set):
    """Coordinates in the thousands and beyond leave float32 no bits for the simplex."""
    torch.manual_seed(1)
    image, values = torch.randint(0, 256, (1, 3, 30, 31)).float(), torch.rand(1, 3, 30, 31)
    expected = reference.bilateral_filter(image.double(), values.double(), sigma_rgb, 9.0, "both")
    result = native.run(image, sigma_rgb, 9.0, 31, values, "both", 1, instruction_set)
    assert result.dtype == torch.float32
    assert relative_error(result, expected) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_what_float64_does_not_resolve_is_refused(dtype):
    image, values = 255 * torch.rand(1, 3, 4, 5, dtype=dtype), torch.rand(1, 2, 4, 5, dtype=dtype)
    with pytest.raises(ValueError, match="image .* larger bandwidth"):
        native.bilateral_filter(image, values, 1e-12, 10.0, "both", 1)


def test_ties_fall_as_in_the_twin():
    """Constant features put every pixel on a lattice point, where all remainders are equal."""
    features, values = torch.zeros(1, 5, 40), torch.rand(1, 2, 40)
    expected = reference.permutohedral_filter(features, values, "both")
    assert relative_error(native_filter(features, values), expected) < 2e-6


@pytest.mark.parametrize("size", [(257, 257), (90, 101)])
def test_bitwise_the_same_for_every_number_of_threads_and_instruction_set(size):
    torch.manual_seed(0)
    image, values = photo(*size, batch=3), torch.rand(3, 21, *size)
    results = [
        native.run(image, 15.0, 50.0, size[1], values, "both", threads, instruction_set)
        for threads in (1, 2, 5)
        for instruction_set in native.instruction_sets()
    ]
    assert all(torch.equal(result, results[0]) for result in results[1:])


def test_images_of_unequal_work_are_each_filtered_as_alone():
    """Threads that are done with one image help with another, here in two groups of channels."""
    torch.manual_seed(0)
    images, values = photo(150, 160, batch=5), torch.rand(5, 40, 150, 160)
    images[1] = 100.0  # few lattice points
    images[3] = 255 * torch.rand(3, 150, 160)  # many
    alone = [
        native.bilateral_filter(image[None], values[i : i + 1], 15.0, 20.0, "both", 1)
        for i, image in enumerate(images)
    ]
    for threads in (2, 3, 8):
        together = native.bilateral_filter(images, values, 15.0, 20.0, "both", threads)
        assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_one_bad_image_of_a_batch_is_refused_by_several_threads_too(threads):
    images, values = photo(150, 160, batch=5), torch.rand(5, 2, 150, 160)
    values[2, 1, 3, 4] = float("nan")
    with pytest.raises(ValueError, match="values must be finite"):
        native.bilateral_filter(images, values, 15.0, 20.0, "both", threads)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("backend", [native, reference])
def test_both_refuse_what_is_not_finite(backend, bad):
    image, values = torch.zeros(1, 3, 4, 5), torch.ones(1, 2, 4, 5)
    spoilt_image, spoilt_values = image.clone(), values.clone()
    spoilt_image[0, 1, 2, 3] = spoilt_values[0, 1, 2, 3] = bad
    with pytest.raises(ValueError, match="image .*must be finite"):
        backend.bilateral_filter(spoilt_image, values, 15.0, 20.0, "both", 1)
    with pytest.raises(ValueError, match="values must be finite"):
        backend.bilateral_filter(image, spoilt_values, 15.0, 20.0, "both", 1)
