"""Which kernels compute, and what their stages cost: for benchmarks and for comparing backends.

The functions and layers of :mod:`mmseg_rloss.ops` choose the fastest backend themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from . import backends
from .backends import native
from .backends.reference.lattice import BLUR_BOTH
from .checks import check_positive, check_same, check_tensor, check_values
from .threads import num_threads


def available_backends() -> list[str]:
    """The backends that can run here: 'reference', 'native', 'triton'."""
    return list(backends.available())


def backend_of(device: torch.device | str) -> str:
    """The name of the backend whose lattice filters tensors on a device."""
    return backends.select(torch.device(device)).lattice.__name__.split(".")[-2]


@contextlib.contextmanager
def use_backend(name: str, *parts: str) -> Iterator[None]:
    """Compute by another backend within the context, in all threads.

    A lattice belongs to the backend that built it: build it in the context in which it is used.

    Args:
        name: One of :func:`available_backends`.
        parts: The parts to replace, of 'lattice', 'probabilities' and 'mean_field'; all by default.

    Raises:
        ValueError: The backend is not available here, or there is no such part.
    """
    if name not in available_backends():
        known = ", ".join(available_backends())
        raise ValueError(f"name must be a backend that is available here ({known}), got {name!r}")
    if unknown := set(parts) - set(backends.PARTS):
        known = ", ".join(backends.PARTS)
        raise ValueError(f"parts must be of {known}, got {', '.join(sorted(unknown))}")
    with backends.replaced(name, parts or backends.PARTS):
        yield


def instruction_sets() -> list[str]:
    """The instruction sets that the compiled kernels can use here, the one in use last.

    Empty where the extension is not built.
    """
    return native.lattice.instruction_sets() if native.is_available() else []


def gpu_kernels() -> list[str]:
    """The names of the kernels on a GPU, as a profiler lists them; empty without Triton."""
    if "triton" not in available_backends():
        return []
    from .backends.triton import lattice_kernels, probabilities_kernels

    modules = lattice_kernels, probabilities_kernels
    return [name for module in modules for name in vars(module) if name.endswith("_kernel")]


def filter_stages(
    image: Tensor, values: Tensor, sigma_rgb: float, sigma_xy: float, out: Tensor
) -> dict[str, float]:
    """Filter as :func:`~mmseg_rloss.ops.bilateral_filter` by the compiled kernels, stage by stage.

    Args:
        image: (N, C, H, W) with values 0-255, float32, contiguous, on the CPU.
        values: (N, K, H, W), float32, contiguous, on the CPU.
        sigma_rgb: Bandwidth of every colour channel, in grey levels (0-255), above 0.
        sigma_xy: Bandwidth of the position, in pixels, above 0.
        out: Like ``values``; the filtered values are written into it.

    Returns:
        The processor seconds of each stage, summed over the threads: of embedding and neighbours,
        which build the lattice, and of splat, blur and slice.

    Raises:
        RuntimeError: The extension is not built.
        TypeError: An argument is not a tensor, or not a number.
        ValueError: Shapes do not match, or a tensor is not as above.
    """
    if not native.is_available():
        raise RuntimeError("filter_stages needs the compiled extension: build it by `make setup`")
    check_tensor("image", image, ("N", "C", "H", "W"))
    check_values(values, ("N", "K", "H", "W"))
    check_same("image", image, values)
    sigmas = check_positive("sigma_rgb", sigma_rgb), check_positive("sigma_xy", sigma_xy)
    if image.numel() == 0:
        raise ValueError(f"image must have pixels, but its shape is {tuple(image.shape)}")
    for name, tensor in dict(image=image, values=values, out=out).items():
        plain = tensor.dtype == torch.float32 and tensor.device.type == "cpu"
        if not (plain and tensor.is_contiguous()):
            raise ValueError(f"{name} must be float32, contiguous and on the CPU")
    if out.shape != values.shape:
        raise ValueError(f"out must be {tuple(values.shape)} as values, got {tuple(out.shape)}")
    lattice = native.lattice.build(image, *sigmas).native
    planes = (tensor.detach().flatten(2).numpy() for tensor in (values, out))
    lattice.filter(*planes, BLUR_BOTH, num_threads(), instruction_sets()[-1])
    return lattice.stage_seconds()
