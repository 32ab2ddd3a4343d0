"""Backends can be compared, and the stages of the filter measured, by public functions."""

import pytest
import torch

from mmseg_rloss import DenseCRFLoss
from mmseg_rloss.ops import Lattice, bilateral_filter, dense_crf_inference, profiling
from mmseg_rloss.ops.backends import native, reference

STAGES = ["embedding", "neighbours", "splat", "blur", "slice"]


@pytest.fixture
def image() -> torch.Tensor:
    torch.manual_seed(0)
    return (255 * torch.rand(2, 3, 9, 12)).round()


def test_the_backend_is_another_within_the_context_alone(image):
    values = torch.rand(2, 4, 9, 12)
    assert profiling.backend_of("cpu") == "native"
    with profiling.use_backend("reference"):
        assert profiling.backend_of("cpu") == "reference"
        by_twin = bilateral_filter(image, values, 20, 4)
        assert isinstance(Lattice.from_image(image, 20, 4).of_backend, reference.lattice.Lattice)
        with profiling.use_backend("native"):
            assert profiling.backend_of("cpu") == "native"
        assert profiling.backend_of("cpu") == "reference"
    assert isinstance(Lattice.from_image(image, 20, 4).of_backend, native.lattice.Lattice)
    torch.testing.assert_close(by_twin, bilateral_filter(image, values, 20, 4))


def test_it_is_the_same_again_after_an_error():
    with pytest.raises(KeyError), profiling.use_backend("reference"):
        raise KeyError
    assert profiling.backend_of("cpu") == "native"


def test_a_single_part_can_be_replaced(image, monkeypatch):
    probabilities = torch.rand(2, 3, 9, 12).softmax(1)
    expected = dense_crf_inference(image, probabilities, 2)
    monkeypatch.setattr(native.mean_field, "infer", None)  # would not be called
    with profiling.use_backend("reference", "mean_field"):
        assert profiling.backend_of("cpu") == "native"
        torch.testing.assert_close(dense_crf_inference(image, probabilities, 2), expected)


def test_gradients_come_from_the_same_backend(image):
    def gradient() -> torch.Tensor:
        logits = torch.linspace(-1, 1, 2 * 3 * 9 * 12).view(2, 3, 9, 12).requires_grad_()
        layer = DenseCRFLoss(1.0, 15, 10, 0.5)
        layer(image, logits.softmax(1), torch.ones(2, 9, 12)).backward()
        return logits.grad

    expected = gradient()
    with profiling.use_backend("reference"):
        torch.testing.assert_close(gradient(), expected)


def test_stages_are_those_of_the_public_filter(image):
    values = torch.rand(2, 4, 9, 12)
    out = torch.empty_like(values)
    seconds = profiling.filter_stages(image, values, 20, 4, out)
    assert list(seconds) == STAGES
    assert min(seconds.values()) > 0
    assert out.equal(bilateral_filter(image, values, 20, 4))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(image=torch.rand(2, 3, 9, 12).double()), "image must be float32"),
        (dict(values=torch.rand(2, 4, 12, 9).mT), "values must be float32, contiguous"),
        (dict(out=torch.rand(2, 3, 9, 12)), r"out must be \(2, 4, 9, 12\)"),
        (dict(image=torch.rand(2, 3, 9, 11)), "image and values must agree"),
        (dict(sigma_xy=0), "sigma_xy"),
        (dict(image=torch.rand(0, 3, 9, 12), values=torch.rand(0, 4, 9, 12)), "must have pixels"),
    ],
)
def test_what_cannot_be_measured_is_named(image, change, message):
    values = torch.rand(2, 4, 9, 12)
    given = dict(image=image, values=values, sigma_rgb=20, sigma_xy=4, out=values.clone())
    with pytest.raises(ValueError, match=message):
        profiling.filter_stages(**(given | change))


def test_another_name_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"\(reference, native.*\), got 'numpy'"):
        profiling.use_backend("numpy").__enter__()
    with pytest.raises(ValueError, match="of lattice, probabilities, mean_field, got filter"):
        profiling.use_backend("reference", "filter").__enter__()


def test_names_what_runs_here():
    assert profiling.available_backends()[:2] == ["reference", "native"]
    assert profiling.instruction_sets()[0] == "baseline"
    assert {"splat_kernel", "backward_kernel"} <= set(profiling.gpu_kernels())
