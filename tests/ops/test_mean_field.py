"""Mean-field inference against pydensecrf and against the sums that it stands for."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_rloss.ops import (
    bilateral_filter,
    dense_crf_inference,
    gaussian_filter_exact,
    permutohedral_filter,
    set_num_threads,
)
from mmseg_rloss.ops.backends import native, reference
from tests.ops import golden
from tests.ops.images import natural_image

KERNELS = {
    "bilateral_weight": 4.0,
    "bilateral_sigma_xy": 6.0,
    "bilateral_sigma_rgb": 20.0,
    "gaussian_weight": 2.0,
    "gaussian_sigma_xy": 1.5,
}


def prediction(height: int, width: int, classes: int = 3, batch: int = 1) -> Tensor:
    """Random probabilities (N, K, H, W), float64, rather sure of themselves."""
    return torch.randn(batch, classes, height, width, dtype=torch.float64).mul(2).softmax(1)


@pytest.mark.parametrize("name", ["binary_sharp", "roi_half"])
def test_agrees_with_pydensecrf(name):
    """Version 1.1 of pydensecrf2, weights 10 and 3, sigmas 80, 13 and 3, 10 iterations."""
    vectors = golden.load(name)
    path = golden.PATHS[golden.NAMES.index(name)]
    expected = torch.from_numpy(np.load(path.parent / "pydensecrf" / path.name)["refined"])
    refined = dense_crf_inference(vectors.image[:1], vectors.segmentation[:1])[0]
    torch.testing.assert_close(refined, expected, rtol=0, atol=5e-5)


def lattice_matrices(image: Tensor) -> tuple[Tensor, Tensor]:
    """The bilateral and the Gaussian kernel of one image, (P, P) each, by filtering units."""
    height, width = image.shape[-2:]
    units = torch.eye(height * width, dtype=torch.float64)  # (P, P)
    images = units.view(1, -1, height, width)
    sigmas = KERNELS["bilateral_sigma_rgb"], KERNELS["bilateral_sigma_xy"]
    bilateral = bilateral_filter(image, images, *sigmas, symmetric=False).view_as(units)
    features = positions(height, width) / KERNELS["gaussian_sigma_xy"]
    gaussian = permutohedral_filter(features, units[None], symmetric=False)[0]
    return bilateral.T, gaussian.T


def exact_matrices(image: Tensor) -> tuple[Tensor, Tensor]:
    """The same of the Gaussians themselves."""
    height, width = image.shape[-2:]
    units = torch.eye(height * width, dtype=torch.float64)[None]
    position = positions(height, width)
    colour = image.double().flatten(2) / KERNELS["bilateral_sigma_rgb"]
    features = torch.cat((position / KERNELS["bilateral_sigma_xy"], colour), dim=1)
    bilateral = gaussian_filter_exact(features, units)[0]
    return bilateral, gaussian_filter_exact(position / KERNELS["gaussian_sigma_xy"], units)[0]


def positions(height: int, width: int) -> Tensor:
    """(1, 2, H*W), x and y of every pixel."""
    pixels = [(x, y) for y in range(height) for x in range(width)]
    return torch.tensor(pixels, dtype=torch.float64).T[None]


def mean_field(probabilities: Tensor, matrices: tuple[Tensor, Tensor], iterations: int) -> Tensor:
    """One image's marginals (K, H, W), pixel by pixel from dense matrices (P, P)."""
    unary = -probabilities.flatten(1).log()  # (K, P)
    weights = KERNELS["bilateral_weight"], KERNELS["gaussian_weight"]
    affinity = torch.zeros_like(matrices[0])
    for weight, matrix in zip(weights, matrices, strict=True):
        degree = matrix.sum(1)
        affinity += weight * matrix / torch.sqrt(degree[:, None] * degree[None, :])
    marginals = torch.exp(-unary) / torch.exp(-unary).sum(0)
    for _ in range(iterations):
        unnormalised = torch.exp(-unary + marginals @ affinity.T)
        marginals = unnormalised / unnormalised.sum(0)
    return marginals.view_as(probabilities)


@pytest.mark.parametrize("channels", [1, 3, 20])
def test_is_the_mean_field_of_the_lattices_matrices(channels):
    image, probabilities = natural_image(9, 7, channels, batch=2), prediction(9, 7, batch=2)
    refined = dense_crf_inference(image, probabilities, 4, **KERNELS)
    for n in range(2):
        expected = mean_field(probabilities[n], lattice_matrices(image[n : n + 1]), 4)
        if channels < 20:  # which leave every pixel alone
            assert (expected - probabilities[n]).abs().max() > 0.1, "the test needs a refinement"
        torch.testing.assert_close(refined[n], expected, rtol=0, atol=1e-6)


def test_is_close_to_the_mean_field_of_the_exact_gaussians():
    image = natural_image(24, 32)
    coarse = torch.randn(1, 3, 6, 8, dtype=torch.float64)
    probabilities = F.interpolate(coarse, size=(24, 32), mode="bilinear").softmax(1)
    refined = dense_crf_inference(image, probabilities, 5, **KERNELS)[0]
    expected = mean_field(probabilities[0], exact_matrices(image), 5)
    change = (expected - probabilities[0]).abs().mean()
    assert (refined - expected).abs().mean() < 0.1 * change
    changed = (probabilities[0].argmax(0) != expected.argmax(0)).sum()
    assert (refined.argmax(0) != expected.argmax(0)).sum() < 0.2 * changed


def test_mends_a_noisy_prediction_along_the_edges_of_the_image():
    image = torch.full((1, 3, 30, 40), 60.0)
    image[..., 12:] = 190.0
    truth = (image[:, 0] > 100).long()  # (1, H, W)
    noisy = torch.where(torch.rand(truth.shape) < 0.2, 1 - truth, truth)
    probabilities = F.one_hot(noisy, 2).permute(0, 3, 1, 2) * 0.4 + 0.3
    assert torch.equal(dense_crf_inference(image, probabilities).argmax(1), truth)


def test_without_iterations_or_kernels_the_prediction_remains():
    image, probabilities = natural_image(6, 5), prediction(6, 5)
    probabilities[0, :, 2, 2] = torch.tensor([0.0, 0.0, 1.0])
    clamped = probabilities.clamp(min=1e-5)
    expected = clamped / clamped.sum(1, keepdim=True)
    torch.testing.assert_close(dense_crf_inference(image, probabilities, 0), expected)
    alone = {"bilateral_weight": 0, "gaussian_weight": 0}
    torch.testing.assert_close(dense_crf_inference(image, probabilities, **alone), expected)


@pytest.mark.parametrize("sigma", [1e-2, 1e-4, 1e-8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_tiny_sigmas_a_pixel_has_no_neighbour_but_itself(sigma, dtype):
    image, probabilities = natural_image(6, 8), prediction(6, 8).to(dtype)
    sigmas = ("bilateral_sigma_xy", "bilateral_sigma_rgb", "gaussian_sigma_xy")
    refined = dense_crf_inference(image, probabilities, 3, **dict.fromkeys(sigmas, sigma))
    expected = probabilities
    for _ in range(3):
        expected = (probabilities.log() + (10 + 3) * expected).softmax(1)
    torch.testing.assert_close(refined, expected, rtol=1e-3, atol=1e-6)


def test_the_images_of_a_batch_do_not_touch_each_other():
    image, probabilities = natural_image(12, 10, batch=3), prediction(12, 10, batch=3)
    together = dense_crf_inference(image, probabilities, **KERNELS)
    for n in range(3):
        alone = dense_crf_inference(image[n : n + 1], probabilities[n : n + 1], **KERNELS)
        torch.testing.assert_close(together[n : n + 1], alone)


def infer_by(monkeypatch, infer, *arguments, **options) -> Tensor:
    """:func:`dense_crf_inference` with a backend's function in place of the compiled one."""
    with monkeypatch.context() as patch:
        patch.setattr(native.mean_field, "infer", infer)
        return dense_crf_inference(*arguments, **options)


def assert_agrees_with_twin(monkeypatch, *arguments, **options) -> None:
    refined = dense_crf_inference(*arguments, **options)
    expected = infer_by(monkeypatch, reference.mean_field.infer, *arguments, **options)
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[refined.dtype]
    torch.testing.assert_close(refined, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [2, 3, 8, 21, 32, 33, 70])
def test_the_compiled_kernel_agrees_with_its_twin(classes, dtype, monkeypatch):
    image, probabilities = (
        natural_image(37, 53, batch=2),
        prediction(37, 53, classes, batch=2).to(dtype),
    )
    assert_agrees_with_twin(monkeypatch, image, probabilities, 5, **KERNELS)


@pytest.mark.parametrize("iterations", [0, 1, 5])
@pytest.mark.parametrize("left_out", ["bilateral_weight", "gaussian_weight"])
def test_it_agrees_with_either_kernel_alone(left_out, iterations, monkeypatch):
    image, probabilities = natural_image(20, 31, batch=2), prediction(20, 31, batch=2).float()
    options = KERNELS | {left_out: 0}
    assert_agrees_with_twin(monkeypatch, image, probabilities, iterations, **options)


def test_it_agrees_where_an_image_has_several_tiles(monkeypatch):
    image, probabilities = natural_image(150, 260, batch=2), prediction(150, 260, batch=2).float()
    assert_agrees_with_twin(monkeypatch, image, probabilities, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [3, 21, 70])
def test_instruction_sets_give_the_same_bits(classes, dtype, monkeypatch):
    image, probabilities = natural_image(23, 31), prediction(23, 31, classes).to(dtype)
    expected = dense_crf_inference(image, probabilities, 3, **KERNELS)
    for name in native.lattice.instruction_sets():
        infer = functools.partial(native.mean_field.infer, instruction_set=name)
        actual = infer_by(monkeypatch, infer, image, probabilities, 3, **KERNELS)
        assert torch.equal(actual, expected), name


def test_any_number_of_threads_gives_the_same_bits():
    image, probabilities = natural_image(150, 260, batch=3), prediction(150, 260, batch=3).float()
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        results.append(dense_crf_inference(image, probabilities, 2))
    assert all(torch.equal(result, results[0]) for result in results[1:])


def test_more_features_than_it_is_made_for_go_to_the_twin():
    image, probabilities = natural_image(4, 5, channels=31), prediction(4, 5)
    refined = dense_crf_inference(image, probabilities, 2, **KERNELS)[0]
    expected = mean_field(probabilities[0], lattice_matrices(image), 2)
    torch.testing.assert_close(refined, expected, rtol=0, atol=1e-6)


def test_each_lattice_is_built_once(monkeypatch):
    built = []

    def build(planes, *bandwidths):
        built.append(tuple(planes.shape))
        return original(planes, *bandwidths)

    original = native.lattice.build
    monkeypatch.setattr(native.lattice, "build", build)
    dense_crf_inference(natural_image(6, 5, batch=2), prediction(6, 5, batch=2))
    assert built == [(2, 3, 6, 5), (1, 2, 30)]  # the batch shares that of the positions


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    image, probabilities = natural_image(12, 10), prediction(12, 10).to(dtype)
    refined = dense_crf_inference(image, probabilities)
    assert refined.dtype == dtype
    assert torch.equal(refined, dense_crf_inference(image, probabilities.float()).to(dtype))


def test_any_type_of_image_and_order_of_memory_will_do():
    image, probabilities = natural_image(12, 10), prediction(12, 10)
    expected = dense_crf_inference(image.double(), probabilities)
    last = torch.channels_last
    actual = dense_crf_inference(
        image.byte().to(memory_format=last), probabilities.to(memory_format=last)
    )
    torch.testing.assert_close(actual, expected)


def test_takes_what_is_part_of_a_graph_and_returns_what_is_not():
    image, probabilities = natural_image(6, 5).requires_grad_(), prediction(6, 5).requires_grad_()
    before = probabilities.detach().clone()
    assert not dense_crf_inference(image, probabilities).requires_grad
    assert torch.equal(probabilities, before)


def test_an_empty_batch_stays_empty():
    assert dense_crf_inference(torch.zeros(0, 3, 4, 5), torch.zeros(0, 2, 4, 5)).shape[0] == 0


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(image=np.zeros((1, 3, 4, 5))), TypeError, "image must be a torch.Tensor"),
        (dict(probabilities=[0.5]), TypeError, "probabilities must be a torch.Tensor, not list"),
        (dict(image=torch.zeros(3, 4, 5)), ValueError, r"image must be \(N, C, H, W\)"),
        (dict(image=torch.zeros(1, 0, 4, 5)), ValueError, "a channel and a pixel at least"),
        (dict(image=torch.zeros(1, 3, 8, 9)), ValueError, "must agree in N, H and W: resize"),
        (dict(image=torch.zeros(2, 3, 4, 5)), ValueError, "must agree in N, H and W"),
        (dict(image=torch.zeros(1, 3, 4, 5) * 1j), TypeError, "image must be real"),
        (
            dict(probabilities=torch.zeros(1, 2, 4, 5).long()),
            TypeError,
            "must be of floating point.*softmax",
        ),
        (dict(probabilities=torch.rand(1, 1, 4, 5)), ValueError, r"two classes.*torch.cat\(\[1"),
        (
            dict(probabilities=torch.full((1, 2, 4, 5), 3.0)),
            ValueError,
            r"in \[0, 1\], but range from 3 to 3: pass logits.softmax",
        ),
        (dict(probabilities=torch.full((1, 2, 4, 5), -0.5)), ValueError, "range from -0.5 to -0.5"),
        (dict(probabilities=torch.full((1, 2, 4, 5), 1.5)), ValueError, "range from 1.5 to 1.5"),
        (dict(probabilities=torch.full((1, 2, 4, 5), torch.nan)), ValueError, "range from nan"),
        (dict(iterations=-1), ValueError, "iterations must be 0 or more, not -1"),
        (dict(iterations=2.5), TypeError, "iterations must be an int, not float"),
        (dict(bilateral_weight=-1), ValueError, "bilateral_weight must be finite and not neg"),
        (dict(gaussian_weight="3"), TypeError, "gaussian_weight must be a number, not str"),
        (dict(gaussian_weight=torch.inf), ValueError, "gaussian_weight must be finite"),
        (dict(bilateral_sigma_xy=0), ValueError, "bilateral_sigma_xy must be positive"),
        (dict(bilateral_sigma_rgb=-1), ValueError, "bilateral_sigma_rgb must be positive"),
        (dict(gaussian_sigma_xy=torch.nan), ValueError, "gaussian_sigma_xy must be positive"),
    ],
)
def test_mistakes_are_reported(change, error, message):
    arguments = dict(image=torch.zeros(1, 3, 4, 5), probabilities=torch.full((1, 2, 4, 5), 0.5))
    with pytest.raises(error, match=message):
        dense_crf_inference(**arguments | change)
