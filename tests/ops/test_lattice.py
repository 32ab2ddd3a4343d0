"""The filter against the original, the exact Gaussian sums, and its own linear algebra."""

import os
import subprocess
import sys
import threading

import pytest
import torch
from torch.nn import functional as F

from mmseg_rloss.ops import (
    Lattice,
    bilateral_filter,
    gaussian_filter_exact,
    permutohedral_filter,
    scaled_probabilities,
    set_num_threads,
)
from mmseg_rloss.ops.backends.native import lattice as native
from mmseg_rloss.ops.backends.reference import lattice as reference
from tests.ops.golden import NAMES, load, relative_error
from tests.ops.images import natural_image

SIGMAS = {"sigma_rgb": 15.0, "sigma_xy": 20.0}


@pytest.mark.parametrize("name", NAMES)
def test_unsymmetric_product_is_the_originals(name):
    golden = load(name)
    image, segmentation = golden.scaled()
    filtered = bilateral_filter(
        image,
        segmentation,
        golden.sigma_rgb,
        golden.sigma_xy * golden.scale_factor,
        symmetric=False,
    )
    if golden.scale_factor == 1:
        expected = golden.grad / (-2 * golden.weight / len(image))
        assert relative_error(filtered * golden.roi.unsqueeze(1), expected) < 1e-5
    # At other scales the original gives the product only as the gradient of the full-size map.
    full_size = golden.segmentation.clone().requires_grad_()
    region = golden.roi.float().unsqueeze(1)
    if golden.scale_factor == 1:
        scaled = full_size * region
    else:
        scale = {"scale_factor": golden.scale_factor}
        scaled = F.interpolate(full_size, **scale, mode="bilinear")
        scaled = scaled * F.interpolate(region, **scale)
    (-2 * golden.weight / len(image) * (scaled * filtered).sum()).backward()
    assert relative_error(full_size.grad, golden.grad) < 1e-5


def shape_error(filtered: torch.Tensor, exact: torch.Tensor) -> tuple[float, float]:
    """The factor between the two, and what is left of the difference after scaling by it."""
    scale = ((filtered * exact).sum() / (exact * exact).sum()).item()
    return scale, relative_error(filtered, scale * exact)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5])
def test_shape_of_the_kernel_is_the_exact_gaussian(dim):
    features, values = torch.randn(1, dim, 1000), torch.rand(1, 3, 1000)
    exact = gaussian_filter_exact(features, values)
    scale, error = shape_error(permutohedral_filter(features, values), exact)
    assert 0.6 < scale < 1 and error < 0.05


@pytest.mark.parametrize("bands", [100, 200])
def test_bands_that_mix_a_few_materials_are_filtered_as_by_the_exact_gaussian(bands):
    mixture = torch.linalg.qr(torch.randn(bands, 3))[0]
    features = torch.einsum("dk,nkp->ndp", mixture, torch.randn(1, 3, 1000))
    values = torch.rand(1, 3, 1000)
    exact = gaussian_filter_exact(features, values)
    scale, error = shape_error(permutohedral_filter(features, values), exact)
    assert 0.6 < scale < 1.7 and error < 0.2


@pytest.mark.parametrize("name", ["voc_scale1", "roi_half"])
def test_shape_of_the_kernel_on_images(name):
    golden = load(name)
    image, values = golden.scaled()
    sigmas = golden.sigma_rgb, golden.sigma_xy * golden.scale_factor
    exact = gaussian_filter_exact(reference.compute_features(image, *sigmas), values.flatten(2))
    scale, error = shape_error(bilateral_filter(image, values, *sigmas).flatten(2), exact)
    assert 0.5 < scale < 0.65 and error < 0.1  # measured for the original: 0.53 to 0.60, 8 to 10 %


def test_exact_filter_is_the_double_sum():
    features, values = torch.randn(2, 3, 5), torch.randn(2, 4, 5)
    expected = torch.zeros_like(values)
    for n in range(2):
        for i in range(5):
            for j in range(5):
                distance = (features[n, :, i] - features[n, :, j]).square().sum()
                expected[n, :, i] += torch.exp(-distance / 2) * values[n, :, j]
    torch.testing.assert_close(gaussian_filter_exact(features, values), expected)


def test_bilateral_filter_is_the_permutohedral_filter_of_position_and_colour():
    image, values = natural_image(12, 17, batch=2), torch.rand(2, 4, 12, 17)
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(17.0), indexing="ij")
    position = torch.stack((x, y)).expand(2, 2, 12, 17)
    features = torch.cat((position / 20, image / 15), dim=1).flatten(2)
    expected = permutohedral_filter(features, values.flatten(2)).view_as(values)
    torch.testing.assert_close(bilateral_filter(image, values, **SIGMAS), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_lattice_filters_any_values_any_number_of_times(dtype):
    image = natural_image(12, 17, batch=2)
    lattice = Lattice.from_image(image.to(dtype), **SIGMAS)
    for channels, symmetric in ((4, True), (1, False), (40, True), (4, False)):
        values = torch.rand(2, channels, 12, 17).to(dtype)
        filtered = lattice.filter(values, symmetric=symmetric)
        expected = bilateral_filter(image.to(dtype), values, **SIGMAS, symmetric=symmetric)
        assert torch.equal(filtered, expected) and filtered.dtype == dtype


def built(monkeypatch):
    """Count the lattices that are built from now on."""
    count = []
    for backend in (native, reference):
        build = backend.build
        monkeypatch.setattr(
            backend, "build", lambda *arguments, b=build: count.append(arguments) or b(*arguments)
        )
    return count


def test_the_gradients_use_the_lattice_that_the_forward_has_built(monkeypatch):
    count = built(monkeypatch)
    image, values = natural_image(6, 5).double(), torch.rand(1, 3, 6, 5).double().requires_grad_()

    def energy(values):
        return (values * bilateral_filter(image, values, **SIGMAS)).sum()

    (grad,) = torch.autograd.grad(energy(values), values, create_graph=True)
    grad.square().sum().backward()
    assert len(count) == 1
    torch.compile(energy, fullgraph=True, backend="aot_eager")(values).backward()
    assert len(count) == 2


def test_a_lattice_that_got_lost_on_the_way_is_built_again(monkeypatch):
    count = built(monkeypatch)
    image, values = natural_image(6, 5), torch.rand(1, 3, 6, 5)
    token = torch.ops.mmseg_rloss.build_lattice(image, 15.0, 20.0)
    for _ in range(2):
        copy = token.clone()  # has the byte, but not the lattice
        for _ in range(2):
            filtered = torch.ops.mmseg_rloss.filter_on_lattice(
                image, copy, values, 15.0, 20.0, "both"
            )
            assert torch.equal(filtered, bilateral_filter(image, values, 15.0, 20.0))
    assert len(count) == 1 + 2 + 4


@pytest.mark.parametrize("shape", [(1, 2, 5, 4), (2, 3, 3, 7)])
def test_gradcheck_of_associations(shape):
    lattice = Lattice.from_image(natural_image(*shape[2:], batch=shape[0]).double(), 30, 3)
    values = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    region = torch.rand(shape[0], *shape[2:], dtype=torch.float64)

    def associate(values):
        return tuple(lattice.associate(values, region))

    assert torch.autograd.gradcheck(associate, values)
    assert torch.autograd.gradgradcheck(associate, values)


def test_exports():
    image = natural_image(6, 5)

    class Filter(torch.nn.Module):
        def forward(self, image, values):
            return bilateral_filter(image, values, **SIGMAS)

    values = torch.rand(1, 3, 6, 5)
    exported = torch.export.export(Filter(), (image, values)).module()
    other = natural_image(6, 5)
    assert torch.equal(exported(other, values), bilateral_filter(other, values, **SIGMAS))


def every_op():
    """Each op that is differentiable, as a function of (1, 3, 6, 5)."""
    lattice, region = Lattice.from_image(natural_image(6, 5), **SIGMAS), torch.ones(1, 6, 5)
    return (
        lattice.filter,
        lambda v: lattice.associate(v, region).association,
        lambda v: lattice.associate_logits(v, region, 1.0).association,
        lambda v: scaled_probabilities(v, region, 1.0),
    )


def test_forward_mode_is_refused_instead_of_being_zero():
    values = torch.rand(1, 3, 6, 5)
    for function in every_op():
        with pytest.raises(NotImplementedError, match="reverse mode"):
            torch.func.jvp(function, (values,), (values,))
        function(values)


def test_torch_func_is_told_what_to_use_instead():
    values = torch.rand(1, 3, 6, 5)
    for function in every_op():
        for transform in (torch.func.grad, lambda f: torch.func.grad(torch.vmap(f))):
            with pytest.raises(NotImplementedError, match=r"use torch\.autograd\.grad"):
                transform(lambda v, function=function: function(v).sum())(values)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_vmap_over_batches():
    batches = torch.rand(2, 1, 3, 6, 5)
    for function in every_op():
        separately = torch.stack([function(batch) for batch in batches])
        assert torch.equal(torch.vmap(function)(batches), separately)


def as_matrix(symmetric: bool) -> torch.Tensor:
    """The filter of a small image, always the same, as a matrix (P, P)."""
    torch.manual_seed(0)
    image = natural_image(7, 6).double()
    unit = torch.eye(42, dtype=torch.float64).view(1, 42, 7, 6)
    return bilateral_filter(image, unit, **SIGMAS, symmetric=symmetric).view(42, 42)


def test_default_filter_is_symmetric():
    matrix = as_matrix(symmetric=True)
    torch.testing.assert_close(matrix, matrix.T)


def test_original_order_is_not_symmetric_but_has_the_same_symmetric_part():
    matrix = as_matrix(symmetric=False)
    assert not torch.allclose(matrix, matrix.T, rtol=1e-3)
    torch.testing.assert_close(0.5 * (matrix + matrix.T), as_matrix(symmetric=True))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 5, 4), (2, 3, 3, 7)])
def test_gradcheck(shape, symmetric):
    batch, _, height, width = shape
    image = natural_image(height, width, batch=batch).double()
    values = torch.rand(shape, dtype=torch.float64, requires_grad=True)

    def filtered(values):
        return bilateral_filter(image, values, 30, 3, symmetric=symmetric)

    assert torch.autograd.gradcheck(filtered, values)
    assert torch.autograd.gradgradcheck(filtered, values)


@pytest.mark.parametrize("dim", [1, 4, 8])
def test_gradcheck_of_any_features(dim):
    features = torch.randn(2, dim, 9, dtype=torch.float64)
    values = torch.rand(2, 2, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: permutohedral_filter(features, v), values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_come_back_as_they_went_in(dtype):
    image, values = natural_image(9, 8), torch.rand(1, 2, 9, 8)
    expected = bilateral_filter(image, values, **SIGMAS)
    given = values.to(dtype).requires_grad_()
    filtered = bilateral_filter(image.to(torch.uint8), given, **SIGMAS)
    filtered.sum().backward()
    assert filtered.dtype == given.grad.dtype == dtype
    tolerance = 4 * torch.finfo(dtype if torch.finfo(dtype).bits < 32 else torch.float32).eps
    assert relative_error(filtered.float(), expected) < tolerance


def test_opcheck():
    ops = torch.ops.mmseg_rloss
    image, values = natural_image(6, 5, batch=2), torch.rand(2, 3, 6, 5, requires_grad=True)
    region = torch.ones(2, 6, 5)
    torch.library.opcheck(ops.build_lattice, (image, 15.0, 20.0))
    token = ops.build_lattice(image, 15.0, 20.0)
    torch.library.opcheck(ops.filter_on_lattice, (image, token, values, 15.0, 20.0, "both"))
    torch.library.opcheck(ops.associate_on_lattice, (image, token, values, region, 15.0, 20.0))
    logits = torch.randn(2, 3, 12, 10, requires_grad=True)
    scaled = image, token, logits, region, 0.5, 15.0, 20.0
    torch.library.opcheck(ops.associate_logits_on_lattice, scaled)
    features, flat = torch.randn(2, 4, 30), torch.rand(2, 3, 30, requires_grad=True)
    token = ops.build_lattice(features, 1.0, None)
    torch.library.opcheck(ops.filter_on_lattice, (features, token, flat, 1.0, None, "ascending"))


def test_compiles_without_a_graph_break():
    image, values = natural_image(6, 5), torch.rand(1, 3, 6, 5)

    def energy(values):
        return (values * bilateral_filter(image, values, **SIGMAS)).sum()

    eager, compiled = values.clone().requires_grad_(), values.clone().requires_grad_()
    expected = energy(eager)
    expected.backward()
    result = torch.compile(energy, fullgraph=True, backend="aot_eager")(compiled)
    result.backward()
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(compiled.grad, eager.grad)


def test_values_of_any_layout():
    image = natural_image(10, 9, batch=2)
    values = torch.rand(2, 10, 9, 4).permute(0, 3, 1, 2)  # channels last
    expected = bilateral_filter(image, values.contiguous(), **SIGMAS)
    torch.testing.assert_close(bilateral_filter(image, values, **SIGMAS), expected)
    image = image.expand(2, 3, 10, 9).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(bilateral_filter(image, values, **SIGMAS), expected)


def test_an_empty_batch_gives_an_empty_result():
    filtered = bilateral_filter(torch.rand(0, 3, 4, 4), torch.rand(0, 2, 4, 4), **SIGMAS)
    assert filtered.shape == (0, 2, 4, 4)


def test_nothing_is_modified():
    given = natural_image(8, 8), torch.rand(1, 2, 8, 8), torch.rand(1, 8, 8)
    kept = [tensor.clone() for tensor in given]
    image, values, region = given
    lattice = Lattice.from_image(image, **SIGMAS)
    lattice.filter(values)
    lattice.associate(values, region)
    lattice.associate_logits(values, region, 1.0)
    assert all(torch.equal(*pair) for pair in zip(given, kept, strict=True))


def test_safe_from_several_python_threads():
    images = [natural_image(40, 50) for _ in range(8)]
    values = torch.rand(1, 5, 40, 50)
    set_num_threads(2)
    expected = [bilateral_filter(image, values, **SIGMAS) for image in images]
    results: dict[int, list[torch.Tensor]] = {}

    def work(i: int) -> None:
        results[i] = [bilateral_filter(images[i], values, **SIGMAS) for _ in range(5)]

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i, result in results.items():
        assert all(torch.equal(filtered, expected[i]) for filtered in result)
    assert len(results) == 8


def test_without_mmseg_and_the_extension_the_twin_runs_and_one_warning_says_how_to_build_it():
    script = (
        "import sys, warnings\n"
        "for name in ('mmseg', 'mmcv', 'mmengine', 'mmseg_rloss.ops.backends._native'):\n"
        "    sys.modules[name] = None\n"
        "import torch\n"
        "from mmseg_rloss.ops import bilateral_filter\n"
        "image, values = torch.zeros(1, 3, 4, 4), torch.ones(1, 2, 4, 4)\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    for _ in range(3):\n"
        "        filtered = bilateral_filter(image, values, 15, 20)\n"
        "told = [w for w in caught if 'make setup' in str(w.message)]\n"
        "assert len(told) == 1, caught\n"
        "assert filtered.shape == (1, 2, 4, 4) and (filtered > 1).all()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ})


def test_groups_of_channels_come_back_in_order(monkeypatch):
    image, values = natural_image(4, 5), torch.rand(1, 5, 4, 5)
    lattice = reference.build(image, 15.0, 20.0)
    whole = reference.filter(lattice, values, "both")
    monkeypatch.setattr(reference, "_MAX_TEMPORARY", 2 * lattice.vertices.numel())
    assert torch.equal(reference.filter(lattice, values, "both"), whole)


@pytest.mark.skipif(
    not hasattr(torch.Tag, "cudagraph_unsafe"), reason="this PyTorch has no such tag"
)
@pytest.mark.parametrize(
    "op",
    [
        "build_lattice",
        "filter_on_lattice",
        "associate_on_lattice",
        "associate_logits_on_lattice",
    ],
)
def test_no_cuda_graph_takes_an_op_that_waits_for_the_device(op):
    assert torch.Tag.cudagraph_unsafe in getattr(torch.ops.mmseg_rloss, op).default.tags


BAD_ARGUMENTS = {
    "image of a wrong rank": (dict(image=torch.zeros(3, 4, 4)), ValueError, "image must be"),
    "image no tensor": (dict(image=[1.0]), TypeError, "image must be a torch.Tensor"),
    "values of a wrong rank": (dict(values=torch.ones(2, 4, 4)), ValueError, "values must be"),
    "integer values": (dict(values=torch.ones(1, 2, 4, 4).long()), TypeError, "floating point"),
    "no channel": (dict(values=torch.ones(1, 0, 4, 4)), ValueError, "must not be empty"),
    "other height": (dict(values=torch.ones(1, 2, 5, 4)), ValueError, "must agree"),
    "other batch": (dict(values=torch.ones(2, 2, 4, 4)), ValueError, "must agree"),
    "image with gradient": (
        dict(image=torch.zeros(1, 3, 4, 4, requires_grad=True)),
        ValueError,
        "image.detach()",
    ),
    "other device": (dict(image=torch.zeros(1, 3, 4, 4, device="meta")), ValueError, "device"),
    "sigma zero": (dict(sigma_rgb=0), ValueError, "sigma_rgb must be positive"),
    "sigma negative": (dict(sigma_xy=-1.0), ValueError, "sigma_xy must be positive"),
    "sigma NaN": (dict(sigma_xy=float("nan")), ValueError, "sigma_xy must be positive"),
    "sigma no number": (dict(sigma_rgb="15"), TypeError, "sigma_rgb must be a number"),
    "sigma True": (dict(sigma_rgb=True), TypeError, "sigma_rgb must be a number"),
    "complex image": (dict(image=torch.zeros(1, 3, 4, 4) * 1j), TypeError, "image must be real"),
    "NaN in image": (dict(image=torch.full((1, 3, 4, 4), torch.nan)), ValueError, "image must be"),
    "infinite image": (dict(image=torch.full((1, 3, 4, 4), torch.inf)), ValueError, "image must"),
    "NaN in values": (dict(values=torch.full((1, 2, 4, 4), torch.nan)), ValueError, "values must"),
    "infinite value": (dict(values=torch.full((1, 2, 4, 4), torch.inf)), ValueError, "values must"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_named(case):
    changes, error, message = BAD_ARGUMENTS[case]
    good = dict(image=torch.zeros(1, 3, 4, 4), values=torch.ones(1, 2, 4, 4), **SIGMAS)
    with pytest.raises(error, match=message.replace("(", r"\(").replace(")", r"\)")):
        bilateral_filter(**{**good, **changes})
    bilateral_filter(**good)  # the next call works


def test_the_extension_is_built():
    assert native.is_available(), "these tests are about the compiled filter: run `make setup`"
