"""The lattice in Triton kernels against its twin: on a GPU, or in Triton's interpreter.

The interpreter takes a second for a few hundred pixels, so the sizes are small. They reach every
branch: several programs, blocks that are not full, and keys that collide in the hash table.
"""

import warnings

import pytest
import torch

from mmseg_rloss.ops.backends import native
from mmseg_rloss.ops.backends.reference import lattice as reference
from mmseg_rloss.ops.backends.triton import lattice as triton_lattice
from mmseg_rloss.ops.backends.triton import lattice_kernels as kernels
from mmseg_rloss.ops.backends.triton import launch
from tests.ops.broken_kernel import broken_kernel
from tests.ops.filters import features_of, filter_by_features, filter_by_image
from tests.ops.golden import NAMES, load, relative_error
from tests.ops.images import natural_image

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BLURS = ["both", "ascending", "descending"]

# Sums of float32 in different orders: 1e-7 is usual.
TOLERANCE = 1e-6

# The interpreter takes minutes for the golden images: a corner of one has to do.
SMALL_NAMES = NAMES if DEVICE.type == "cuda" else ["odd_size"]
CORNER = (...,) if DEVICE.type == "cuda" else (..., slice(10), slice(14))


@pytest.fixture(autouse=True)
def fresh_and_fast(monkeypatch):
    monkeypatch.setattr(launch, "failed_devices", set())
    if DEVICE.type == "cpu":
        monkeypatch.setattr(triton_lattice, "_STRIP_LENGTH", 8)


def triton_filter(features, values, blur="both"):
    """Filter values (N, K, P) by features (N, D, P) with the kernels and nothing else."""
    lattice = triton_lattice.build(features.to(DEVICE), 1.0, None)
    result = triton_lattice.filter(lattice, values.to(DEVICE), blur).cpu()
    assert lattice.points is not None and lattice.twin is None
    return result


def triton_bilateral(image, values, *bandwidths, blur="both"):
    """Filter values (N, K, H, W) by image (N, C, H, W) with the kernels and nothing else."""
    lattice = triton_lattice.build(image.to(DEVICE), *bandwidths)
    result = triton_lattice.filter(lattice, values.to(DEVICE), blur).cpu()
    assert lattice.points is not None and lattice.twin is None
    return result


@pytest.mark.parametrize("name", SMALL_NAMES)
def test_golden_images(name):
    golden = load(name)
    image, segmentation = (maps[CORNER].contiguous() for maps in golden.scaled())
    bandwidths = golden.sigma_rgb, golden.sigma_xy * golden.scale_factor
    lattice = triton_lattice.build(image.to(DEVICE), *bandwidths)
    for blur in ("both", "ascending"):
        expected = filter_by_image(image, segmentation, *bandwidths, blur=blur)
        result = triton_lattice.filter(lattice, segmentation.to(DEVICE), blur).cpu()
        assert relative_error(result, expected) < TOLERANCE
    assert lattice.points is not None


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 8])
def test_every_dimension(dim):
    features, values = torch.randn(2, dim, 41) * 2, torch.randn(2, 3, 41)
    expected = filter_by_features(features, values)
    assert relative_error(triton_filter(features, values), expected) < TOLERANCE


@pytest.mark.parametrize(
    ("num_channels", "blur"),
    [*((channels, "both") for channels in (1, 8, 33, 150)), *((21, blur) for blur in BLURS)],
)
def test_every_number_of_channels(num_channels, blur):
    features, values = torch.randn(1, 2, 40) * 3, torch.randn(1, num_channels, 40)
    expected = filter_by_features(features, values, blur)
    assert relative_error(triton_filter(features, values, blur), expected) < TOLERANCE


@pytest.mark.parametrize("num_pixels", [1, 31, 32, 700])
def test_every_number_of_pixels(num_pixels):
    # Smooth along the pixels, so that neighbours share lattice points: the walk of the splat.
    features = torch.randn(2, 2, num_pixels).cumsum(dim=2) / 8
    values = torch.rand(2, 30, num_pixels)
    expected = filter_by_features(features, values)
    assert relative_error(triton_filter(features, values), expected) < TOLERANCE


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (7, 13)])
def test_images_of_every_shape(size):
    image, values = natural_image(*size, batch=2), torch.rand(2, 2, *size)
    result = triton_bilateral(image, values, 15.0, 20.0)
    assert relative_error(result, filter_by_image(image, values, 15.0, 20.0)) < TOLERANCE


@pytest.mark.parametrize("num_channels", [2, 40])
def test_rows_of_channels_give_the_same_bits(num_channels):
    image, values = natural_image(2, 5, batch=2), torch.randn(2, num_channels, 2, 5)
    rows = values.contiguous(memory_format=torch.channels_last)
    expected, result = (triton_bilateral(image, v, 20.0, 10.0) for v in (values, rows))
    assert torch.equal(result, expected) and result.is_contiguous()
    flat = values.flatten(2).transpose(1, 2).contiguous().transpose(1, 2)  # (N, K, P)
    features = reference.compute_features(image, 20.0, 10.0)
    assert torch.equal(triton_filter(features, flat), expected.flatten(2))


def test_values_of_other_strides():
    image, values = natural_image(3, 4), torch.randn(1, 4, 2, 3).permute(0, 2, 3, 1)
    result = triton_bilateral(image, values, 20.0, 10.0)
    assert torch.equal(result, triton_bilateral(image, values.contiguous(), 20.0, 10.0))


@pytest.mark.parametrize(
    ("num_channels", "memory_format"), [(2, torch.contiguous_format), (35, torch.channels_last)]
)
def test_associate_sums_over_the_pixels(num_channels, memory_format):
    image, values = natural_image(3, 9, batch=2).to(DEVICE), torch.rand(2, num_channels, 3, 9)
    values = values.to(DEVICE).contiguous(memory_format=memory_format)
    region = torch.rand(2, 3, 9, device=DEVICE)
    lattice = triton_lattice.build(image, 20.0, 10.0)
    filtered, association, volume = triton_lattice.associate(lattice, values, region)
    assert torch.equal(filtered, triton_lattice.filter(lattice, values, "both"))
    assert filtered.is_contiguous()
    assert association.shape == volume.shape == (2, num_channels)
    expected = (values * filtered).double().sum((2, 3))
    assert relative_error(association.double(), expected) < TOLERANCE
    expected = (region.unsqueeze(1) * filtered).double().sum((2, 3))
    assert relative_error(volume.double(), expected) < TOLERANCE


def test_more_points_than_expected(monkeypatch):
    image, values = torch.rand(2, 3, 3, 4) * 255, torch.rand(2, 3, 3, 4)
    expected = triton_bilateral(image, values, 15.0, 20.0)
    monkeypatch.setattr(triton_lattice, "_POINTS_PER_PIXEL", 0.1)
    # Too few for the points; and for the table, so that searches in it give up.
    for room in (60, 8):
        monkeypatch.setattr(triton_lattice, "_MIN_POINTS", room)
        lattice = triton_lattice.build(image.to(DEVICE), 15.0, 20.0)
        num_points, had_room, fits = lattice.search.outcome()
        assert not had_room and fits and num_points > room
        assert torch.equal(triton_bilateral(image, values, 15.0, 20.0), expected)


@pytest.mark.parametrize("features", ["random", "on_the_lattice", "between", "tied"])
def test_lattice_is_the_references_bit_for_bit(features):
    features = {
        "random": torch.randn(1, 5, 60) * 3,
        # Rounding half to even and the order of equal remainders decide the others.
        "on_the_lattice": torch.zeros(1, 5, 1),
        "between": torch.tensor([[[1.0, 3.0]]]) / reference.elevation_scales(1)[0],
        "tied": torch.cat((torch.zeros(1, 4, 50), torch.randn(1, 1, 50) * 3), dim=1),
    }[features]
    lattice = triton_lattice.points_of(triton_lattice.build(features.to(DEVICE), 1.0, None))
    expected = reference.build_lattice(features)
    assert lattice.num_points == expected.num_points
    # The corners of a simplex come in another order: compare them by their weights. Corners
    # without a weight, or of equal ones, may change places.
    weights, order = lattice.barycentric.cpu()[0].T.sort(dim=1)  # (P, D+1)
    expected_weights, expected_order = expected.barycentric.sort(dim=1)
    assert torch.equal(weights, expected_weights)
    points = lattice.vertices[0].T.cpu().gather(1, order)
    expected_points = expected.vertices.gather(1, expected_order)
    unique = (weights.diff(dim=1, prepend=weights[:, :1]) > 0) & (
        weights.diff(dim=1, append=weights[:, -1:] + 1) > 0
    )
    pairs = torch.stack((points[unique].long(), expected_points[unique])).unique(dim=1)
    assert pairs[0].unique().numel() == pairs[1].unique().numel() == pairs.shape[1] > 0
    # Points without a weight are there all the same, and the blur passes through them.
    values = torch.rand(1, 2, features.shape[2])
    expected = filter_by_features(features, values)
    assert relative_error(triton_filter(features, values), expected) < TOLERANCE


def test_bits_do_not_depend_on_the_batch():
    # In another batch, an image's keys have other slots and its points another order: what the
    # race between threads changes from run to run.
    image, values = natural_image(3, 4, batch=3), torch.randn(3, 2, 3, 4)
    together = triton_bilateral(image, values, 20.0, 10.0)
    for n in (2, 0, 1):
        alone = triton_bilateral(image[n : n + 1], values[n : n + 1], 20.0, 10.0)
        assert torch.equal(alone[0], together[n])
    assert torch.equal(triton_bilateral(image, values, 20.0, 10.0), together)


def test_channels_of_any_magnitude():
    features = torch.randn(1, 2, 60)
    values = torch.randn(1, 7, 60) * torch.logspace(-24, 36, 7).view(1, 7, 1)
    values[0, 3] = 0
    result, expected = triton_filter(features, values), filter_by_features(features, values)
    for channel in range(7):
        if channel == 3:
            assert result[0, channel].count_nonzero() == 0
        else:
            error = relative_error(result[0, channel].double(), expected[0, channel].double())
            assert error < TOLERANCE


def test_sums_do_not_overflow():
    features, values = torch.zeros(1, 3, 700), torch.full((1, 1, 700), -1.999)
    expected = filter_by_features(features.double(), values.double())
    assert relative_error(triton_filter(features, values), expected) < TOLERANCE


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # NumPy's, interpreting
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_a_number_stays_in_its_channel(bad):
    features, values = torch.randn(2, 3, 40), torch.randn(2, 3, 40)
    expected = triton_filter(features, values)
    values[1, 1, 20] = bad
    result = triton_filter(features, values)
    assert result[1, 1].isnan().all()
    expected[1, 1] = result[1, 1]
    assert torch.equal(result.nan_to_num(7.0), expected.nan_to_num(7.0))


def test_groups_of_channels_change_nothing(monkeypatch):
    features, values = torch.randn(2, 2, 50), torch.randn(2, 70, 50)
    expected = triton_filter(features, values)
    monkeypatch.setattr(triton_lattice, "_MAX_ELEMENTS", 1)
    assert torch.equal(triton_filter(features, values), expected)


OUTSIDE = {
    "float64": (torch.randn(1, 2, 30).double(), torch.float64),
    "features_far_apart": (torch.randn(1, 8, 30) * 1e4, torch.float32),
    "one_feature_far_apart": (torch.randn(1, 1, 30) * 1e5, torch.float32),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_what_the_kernels_cannot_goes_to_plain_pytorch(case):
    features, dtype = (item.to(DEVICE) if torch.is_tensor(item) else item for item in OUTSIDE[case])
    values = torch.randn(len(features), 2, features.shape[2], dtype=dtype, device=DEVICE)
    region = torch.rand(len(features), features.shape[2], dtype=dtype, device=DEVICE)
    expected = filter_by_features(features, values)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # and not those of the interpreter
        lattice = triton_lattice.build(features, 1.0, None)
        result = triton_lattice.filter(lattice, values, "both")
        filtered, association, volume = triton_lattice.associate(lattice, values, region)
    torch.testing.assert_close(result, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(filtered, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(association, (values * expected).sum(2))
    torch.testing.assert_close(volume, (region.unsqueeze(1) * expected).sum(2))


@pytest.mark.parametrize("coordinate, fits", [(4093, True), (4094, False)])
def test_coordinates_leave_room_for_neighbours_in_a_key(coordinate, fits):
    """A field of 13 bits, for numbers from -4096: a neighbour lies up to two steps away."""
    ends = [coordinate, -coordinate]
    points = [features_of([end, 3 - end % 3], dim=2) for end in ends]  # multiples of 3, in sum
    features, values = torch.tensor(points).T[None].contiguous(), torch.rand(1, 2, 2)
    lattice = triton_lattice.build(features.to(DEVICE), 1.0, None)
    result = triton_lattice.filter(lattice, values.to(DEVICE), "both").cpu()
    assert (lattice.points is not None) == fits
    assert relative_error(result, filter_by_features(features, values)) < TOLERANCE


@pytest.mark.parametrize("most, by_kernels", [(200, True), (100, False), (40, False)])
def test_more_rows_than_offsets_reach_go_to_the_twin(most, by_kernels, monkeypatch):
    """Of 50 pixels with 150 lattice points."""
    monkeypatch.setattr(triton_lattice, "_MAX_ROWS", most)
    features, values = torch.randn(1, 2, 50) * 100, torch.rand(1, 2, 50)
    lattice = triton_lattice.build(features.to(DEVICE), 1.0, None)
    assert (lattice.search is None) == (most < 50)
    result = triton_lattice.filter(lattice, values.to(DEVICE), "both").cpu()
    assert (lattice.points is not None) == by_kernels
    assert relative_error(result, filter_by_features(features, values)) < TOLERANCE


def test_infinite_features_are_refused():
    features = torch.tensor([[[0.0, float("inf"), 1.0]]], device=DEVICE)
    lattice = triton_lattice.build(features, 1.0, None)
    with pytest.raises(ValueError, match=r"features over the bandwidth .* larger bandwidth"):
        triton_lattice.filter(lattice, torch.ones_like(features), "both")


@pytest.mark.parametrize("kernel", ["insert_kernel", "gather_kernel"])
def test_kernel_that_does_not_compile_falls_back_with_one_warning(kernel, monkeypatch):
    image, values = natural_image(5, 6).to(DEVICE), torch.rand(1, 2, 5, 6, device=DEVICE)
    expected = filter_by_image(image, values, 15.0, 20.0)
    monkeypatch.setattr(kernels, kernel, broken_kernel)
    with pytest.warns(UserWarning, match="plain PyTorch.*broken_kernel") as caught:
        for _ in range(2):
            lattice = triton_lattice.build(image, 15.0, 20.0)
            result = triton_lattice.filter(lattice, values, "both")
            assert torch.equal(result, expected)
    assert len(caught) == 1


def test_more_dimensions_than_a_key_has_room_for_are_filtered_on_the_cpu():
    features, values = 0.3 * torch.randn(1, 20, 30), torch.rand(1, 2, 30)
    lattice = triton_lattice.build(features.to(DEVICE), 1.0, None)
    filtered = triton_lattice.filter(lattice, values.to(DEVICE), "both")
    assert isinstance(lattice.twin, native.lattice.Lattice)
    assert filtered.device == values.to(DEVICE).device
    assert relative_error(filtered.cpu(), filter_by_features(features, values)) < TOLERANCE
    region = torch.ones(1, 30, device=DEVICE)
    sums = triton_lattice.associate(lattice, values.to(DEVICE), region)
    expected = reference.associate(reference.build(features, 1.0, None), values, region.cpu())
    torch.testing.assert_close([tensor.cpu() for tensor in sums], list(expected))


needs_gpu = pytest.mark.skipif(DEVICE.type != "cuda", reason="about a real GPU")


@needs_gpu
def test_on_a_side_stream_and_on_every_device():
    image, values = natural_image(65, 43, batch=2), torch.rand(2, 21, 65, 43)
    expected = filter_by_image(image, values, 15.0, 20.0)
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        stream = torch.cuda.Stream(device)
        with torch.cuda.stream(stream):
            values_there = values.to(device)
            torch.cuda._sleep(10_000_000)  # whoever does not wait reads values that are not there
            values_there += 1
            values_there -= 1
            lattice = triton_lattice.build(image.to(device), 15.0, 20.0)
            result = triton_lattice.filter(lattice, values_there, "both")
        stream.synchronize()
        assert result.device == device
        assert relative_error(result.cpu(), expected) < TOLERANCE


@needs_gpu
def test_waits_for_the_search_alone():
    image, values = natural_image(65, 43).to(DEVICE), torch.rand(1, 21, 65, 43, device=DEVICE)
    region = torch.ones(1, 65, 43, device=DEVICE)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        lattice = triton_lattice.build(image, 15.0, 20.0)
        done = torch.cuda.Event()
        torch.cuda._sleep(1_000_000_000)
        done.record()
        triton_lattice.associate(lattice, values, region)
        assert not done.query()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
def test_large_image_twice():
    image, values = (
        natural_image(2048, 2048).to(DEVICE),
        torch.rand(1, 40, 2048, 2048, device=DEVICE),
    )
    first, second = (
        triton_lattice.filter(triton_lattice.build(image, 15.0, 50.0), values, "both")
        for _ in range(2)
    )
    assert torch.equal(first, second)
    expected = filter_by_image(image, values[:, :2], 15.0, 50.0)
    assert relative_error(first[:, :2], expected) < 1e-5
