"""The compiled lattice against its plain-PyTorch twin, for every instruction set it has."""

import functools
import math

import pytest
import torch

from mmseg_rloss.ops import set_num_threads
from mmseg_rloss.ops.backends.native import lattice as native
from mmseg_rloss.ops.backends.reference import lattice as reference
from tests.ops.filters import features_of, filter_by_features, filter_by_image
from tests.ops.golden import NAMES, load, relative_error
from tests.ops.images import natural_image

# Rounding of float32 and float64 sums over a few thousand pixels in different orders.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13}
BLURS = ["both", "ascending", "descending"]

every_instruction_set = pytest.mark.parametrize("instruction_set", native.instruction_sets())


@functools.cache
def golden_case(name, dtype, blur):
    golden = load(name)
    image, segmentation = (tensor.to(dtype) for tensor in golden.scaled())
    sigmas = golden.sigma_rgb, golden.sigma_xy * golden.scale_factor
    expected = filter_by_image(image, segmentation, *sigmas, blur)
    return image, segmentation, sigmas, expected


@every_instruction_set
@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_golden_images(name, dtype, blur, instruction_set):
    image, segmentation, sigmas, expected = golden_case(name, dtype, blur)
    options = dict(backend=native, instruction_set=instruction_set)
    result = filter_by_image(image, segmentation, *sigmas, blur, **options)
    assert relative_error(result, expected) < TOLERANCE[dtype]


@every_instruction_set
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 6, 8, 15])
def test_any_number_of_features(dim, dtype, instruction_set):
    torch.manual_seed(dim)
    features = 3 * torch.randn(2, dim, 333, dtype=dtype)
    values = torch.randn(2, 5, 333, dtype=dtype)
    expected = filter_by_features(features, values)
    options = dict(backend=native, instruction_set=instruction_set)
    result = filter_by_features(features, values, **options)
    assert relative_error(result, expected) < TOLERANCE[dtype]


@every_instruction_set
@pytest.mark.parametrize("channels", [1, 2, 7, 8, 9, 16, 21, 24, 31, 32, 33, 64, 65, 150])
def test_any_number_of_channels(channels, instruction_set):
    torch.manual_seed(channels)
    features, values = 2 * torch.randn(1, 5, 130), torch.randn(1, channels, 130)
    expected = filter_by_features(features, values)
    options = dict(backend=native, instruction_set=instruction_set)
    result = filter_by_features(features, values, **options)
    assert relative_error(result, expected) < TOLERANCE[torch.float32]


@every_instruction_set
@functools.cache
def any_size(height, width):
    torch.manual_seed(height + width)
    image, values = natural_image(height, width, batch=2), torch.rand(2, 3, height, width)
    return image, values, filter_by_image(image, values, 20.0, 30.0)


# The last has two tiles, of which the second ends within a block and a row.
@every_instruction_set
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 17), (17, 1), (3, 5), (64, 63), (1, 1000), (171, 181)]
)
def test_any_size(size, instruction_set):
    image, values, expected = any_size(*size)
    options = dict(backend=native, instruction_set=instruction_set)
    result = filter_by_image(image, values, 20.0, 30.0, **options)
    assert relative_error(result, expected) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("sigma_rgb", [300.0, 15.0, 2.0, 0.05, 0.001])
def test_keys_of_every_width(sigma_rgb):
    """Small bandwidths take the keys from 32 over 64 to 128 bits."""
    torch.manual_seed(1)
    image = torch.randint(0, 256, (1, 3, 30, 31)).double()
    values = torch.rand(1, 3, 30, 31, dtype=torch.float64)
    expected = filter_by_image(image, values, sigma_rgb, 10.0)
    result = filter_by_image(image, values, sigma_rgb, 10.0, backend=native)
    assert relative_error(result, expected) < TOLERANCE[torch.float64]


def coordinate_extents(reach: float, dim: int) -> list[int]:
    """How many values each coordinate can take, of features from -reach to reach (see csrc)."""
    extents = []
    for i in range(dim):
        bound = 0.0
        for j, scale in enumerate(reference.elevation_scales(dim), start=1):
            coefficients = [1.0 if row < j else -float(j) if row == j else 0.0 for row in (i, dim)]
            bound += abs((coefficients[0] - coefficients[1]) * scale / (dim + 1)) * reach
        extents.append(math.ceil(bound) - math.floor(-bound) + 7)
    return extents


@pytest.mark.parametrize(
    "dtype, dim, bits, reach", [(torch.float32, 3, 32, 850.0), (torch.float64, 2, 64, 5e9)]
)
def test_points_whose_keys_would_wrap_stay_apart(dtype, dim, bits, reach):
    """A key of too few bits is the same for two points that differ by 2^bits in its mixed radix."""
    extents = coordinate_extents(reach, dim)
    assert bits + 1 < sum(map(math.log2, extents)) < bits + 4
    rest, step = 1 << bits, []
    for i in reversed(range(dim)):
        digit, rest = divmod(rest, math.prod(extents[:i]))
        step.insert(0, digit)
    start = [-(digit // 2) for digit in step]
    end = [a + b for a, b in zip(start, step, strict=True)]
    corners = [[reach] * dim, [-reach] * dim]  # which have those extents
    points = torch.tensor([features_of(start, dim), features_of(end, dim), *corners], dtype=dtype)
    assert points.abs().max() <= reach
    values = torch.eye(len(points), dtype=dtype)[None]
    filtered = filter_by_features(points.T[None].contiguous(), values, backend=native)
    assert filtered[0].count_nonzero() == len(points)  # nobody is anybody's neighbour


@every_instruction_set
@pytest.mark.parametrize("sigma_rgb", [0.1, 1e-3, 1e-9])
def test_tiny_bandwidths_in_float32(sigma_rgb, instruction_set):
    """Coordinates in the thousands and beyond leave float32 no bits for the simplex."""
    torch.manual_seed(1)
    image, values = torch.randint(0, 256, (1, 3, 30, 31)).float(), torch.rand(1, 3, 30, 31)
    expected = filter_by_image(image.double(), values.double(), sigma_rgb, 9.0)
    options = dict(backend=native, instruction_set=instruction_set)
    result = filter_by_image(image, values, sigma_rgb, 9.0, **options)
    assert result.dtype == torch.float32
    assert relative_error(result, expected) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_what_float64_does_not_resolve_is_refused(dtype):
    image = 255 * torch.rand(1, 3, 4, 5, dtype=dtype)
    with pytest.raises(ValueError, match="image .* larger bandwidth"):
        native.build(image, 1e-12, 10.0)


def test_ties_fall_as_in_the_twin():
    """Constant features put every pixel on a lattice point, where all remainders are equal."""
    features, values = torch.zeros(1, 5, 40), torch.rand(1, 2, 40)
    expected = filter_by_features(features, values)
    assert relative_error(filter_by_features(features, values, backend=native), expected) < 2e-6


@pytest.mark.parametrize("size", [(257, 257), (90, 101)])
def test_bitwise_the_same_for_every_number_of_threads_and_instruction_set(size):
    image, values = natural_image(*size, batch=3), torch.rand(3, 21, *size)
    region = (torch.rand(3, *size) < 0.7).float()
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        for instruction_set in native.instruction_sets():
            options = dict(instruction_set=instruction_set)
            lattice = native.build(image, 15.0, 50.0, **options)
            filtered = native.filter(lattice, values, "both", **options)
            results.append((filtered, *native.associate(lattice, values, region, **options)))
    for result in results:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


def test_images_of_unequal_work_are_each_filtered_as_alone():
    """Threads that are done with one image help with another, here in two groups of channels."""
    images, values = natural_image(150, 160, batch=5), torch.rand(5, 40, 150, 160)
    images[0] = 100.0  # few lattice points, whose coordinates are close together
    images[3] = 255 * torch.rand(3, 150, 160)  # many
    set_num_threads(1)
    alone = [
        filter_by_image(image[None], values[i : i + 1], 15.0, 20.0, backend=native)
        for i, image in enumerate(images)
    ]
    for count in (2, 3, 8):
        set_num_threads(count)
        together = filter_by_image(images, values, 15.0, 20.0, backend=native)
        assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("channels", [1, 21, 40])
def test_associations_are_the_sums(channels, dtype):
    """Here of several tiles and, with 40 channels, in two groups."""
    image, values = (
        natural_image(150, 260, batch=2).to(dtype),
        torch.rand(2, channels, 150, 260).to(dtype),
    )
    region = torch.rand(2, 150, 260).to(dtype)
    lattice = native.build(image, 15.0, 20.0)
    filtered, association, volume = native.associate(lattice, values, region)
    assert torch.equal(filtered, native.filter(lattice, values, "both"))
    expected = (values * filtered).double().sum((2, 3))
    torch.testing.assert_close(association.double(), expected, rtol=TOLERANCE[dtype], atol=0)
    expected = (region.unsqueeze(1) * filtered).double().sum((2, 3))
    torch.testing.assert_close(volume.double(), expected, rtol=TOLERANCE[dtype], atol=0)


@pytest.mark.parametrize("channels", [3, 21, 40])
@pytest.mark.parametrize("planes", [3, 20])
def test_values_may_be_overwritten_by_what_is_filtered(planes, channels):
    """Here of several tiles, in one group of channels or several."""
    image = natural_image(150, 160, channels=planes, batch=3)
    values, region = torch.rand(3, channels, 150, 160), torch.rand(3, 150, 160)
    lattice = native.build(image, 40.0, 30.0)
    expected = native.associate(lattice, values, region)
    for count in (1, 3):
        set_num_threads(count)
        own = values.clone()
        results = native.associate(lattice, own, region, overwrite=True)
        assert results[0].data_ptr() == own.data_ptr()
        assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))


@pytest.mark.parametrize("count", [1, 2, 8])
def test_one_bad_image_of_a_batch_is_refused_by_several_threads_too(count):
    images, values = natural_image(150, 160, batch=5), torch.rand(5, 2, 150, 160)
    values[2, 1, 3, 4] = float("nan")
    set_num_threads(count)
    with pytest.raises(ValueError, match="values must be finite"):
        filter_by_image(images, values, 15.0, 20.0, backend=native)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("backend", [native, reference])
def test_both_refuse_what_is_not_finite(backend, bad):
    """Wherever: each pixel has lattice points of its own, and the last three fill no vector."""
    image, values = 255 * torch.rand(1, 3, 5, 7), torch.ones(1, 2, 5, 7)
    for row, column in ((0, 0), (2, 3), (4, 6)):
        spoilt_image, spoilt_values = image.clone(), values.clone()
        spoilt_image[0, 1, row, column] = spoilt_values[0, 1, row, column] = bad
        with pytest.raises(ValueError, match="image .*must be finite"):
            backend.build(spoilt_image, 15.0, 20.0)
        with pytest.raises(ValueError, match="values must be finite"):
            filter_by_image(image, spoilt_values, 15.0, 20.0, backend=backend)


@functools.cache
def many_features(dim, spread, dtype, blur):
    torch.manual_seed(dim)
    features = spread * torch.randn(2, dim, 20, dtype=dtype)
    values = torch.rand(2, 9, 20, dtype=dtype)
    return features, values, filter_by_features(features, values, blur)


# 16 are the most whose neighbours are listed. Pixels share many lattice points, some, or none.
@every_instruction_set
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("dim, spread", [(16, 0.3), (17, 0.03), (17, 3.0), (40, 0.3)])
def test_many_features(dim, spread, dtype, instruction_set):
    for blur in BLURS:
        features, values, expected = many_features(dim, spread, dtype, blur)
        options = dict(backend=native, instruction_set=instruction_set)
        result = filter_by_features(features, values, blur, **options)
        assert relative_error(result, expected) < TOLERANCE[dtype]


def test_many_features_are_bitwise_the_same_for_every_number_of_threads():
    """Here of two tiles; with 12 channels, which are taken in two groups."""
    image, values = natural_image(160, 160, channels=20, batch=2), torch.rand(2, 12, 160, 160)
    region = (torch.rand(2, 160, 160) < 0.7).float()
    results = []
    for count in (1, 3):
        set_num_threads(count)
        lattice = native.build(image, 60.0, 50.0)
        filtered = native.filter(lattice, values, "both")
        results.append((filtered, *native.associate(lattice, values, region)))
    association = (values * filtered).double().sum((2, 3)).float()
    torch.testing.assert_close(results[0][2], association, rtol=1e-5, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
