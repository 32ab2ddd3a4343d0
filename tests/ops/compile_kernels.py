"""Compile every Triton kernel for GPUs that need not be there.

Usage: compile_kernels.py TARGET [TARGET ...], such as cuda:90 and hip:gfx942

They are launched as on a GPU, with the tensors on the CPU and each launch stopped once Triton has
compiled its kernel. A target is printed when all is compiled for it.
"""

import os
import sys

os.environ.pop("TRITON_INTERPRET", None)

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

from mmseg_rloss.ops.backends.triton import lattice as triton_lattice
from mmseg_rloss.ops.backends.triton import lattice_kernels as kernels
from mmseg_rloss.ops.backends.triton import probabilities as triton_probabilities

WARP_SIZES = {"cuda": 32, "hip:gfx9": 64, "hip:gfx1": 32}


class AbsentGPU:
    """The part of Triton's driver that compiling needs."""

    def __init__(self, name: str) -> None:
        backend, architecture = name.split(":")
        architecture = int(architecture) if backend == "cuda" else architecture
        warp_size = next(size for prefix, size in WARP_SIZES.items() if name.startswith(prefix))
        self.target = GPUTarget(backend, architecture, warp_size)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> str:
        return str(self.target)  # compiled kernels are kept by device

    def get_current_stream(self, device: str) -> int:
        return 0


def compile_without_launching(kernel, grid, *arguments, **options) -> None:
    target = driver.active.get_current_target()
    compiled = kernel.warmup(*arguments, grid=grid, **options)
    if target.backend == "cuda" and kernel is kernels.insert_kernel:
        assert "fma.rn.f32" not in compiled.asm["ptx"], "no longer the reference's operations"


def compile_lattice() -> None:
    for batch, dim, num_channels, num_pixels in ((2, 8, 33, 50), (1, 1, 1, 1)):
        planes = torch.rand(batch, dim, num_pixels)
        lattice = triton_lattice.build(planes, 1.0, None)
        triton_lattice.filter(lattice, torch.rand(batch, num_channels, num_pixels), "both")
    image, values = torch.rand(12, 3, 16, 16), torch.rand(12, 21, 16, 16)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        lattice = triton_lattice.build(image, 15.0, 50.0)
        values = values.contiguous(memory_format=memory_format)
        triton_lattice.associate(lattice, values, torch.ones(12, 16, 16))


def compile_probabilities() -> None:
    for num_channels, scale_factor, dtype in (
        (1, 0.5, torch.float32),
        (21, 0.5, torch.float32),
        (21, 1.0, torch.bfloat16),
        (40, 0.7, torch.float32),
    ):
        logits = torch.rand(2, num_channels, 6, 10, dtype=dtype)
        region = torch.ones(2, int(6 * scale_factor), int(10 * scale_factor))
        grad = triton_probabilities.forward(logits, region, scale_factor)
        factors = grad.sum((2, 3)) if scale_factor == 0.5 else None
        triton_probabilities.backward(grad, factors, logits, region, scale_factor)


def main() -> None:
    triton_lattice.launch = triton_probabilities.launch = compile_without_launching
    # What the kernels would have found, so that filtering goes on.
    triton_lattice.Search.outcome = lambda search: (30, True, True)
    for name in sys.argv[1:]:
        driver.set_active(AbsentGPU(name))
        torch.version.hip = "absent" if name.startswith("hip") else None
        compile_lattice()
        compile_probabilities()
        print(name)


if __name__ == "__main__":
    main()
