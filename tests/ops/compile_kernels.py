"""Compile launches of Triton kernels for GPUs that need not be there.

Usage: compile_kernels.py LAUNCHES.json TARGET [TARGET ...]

A launch is the kernel's name, the types of its arguments, and its options. Targets are such as
cuda:90 and hip:gfx942; each is printed when all launches have been compiled for it.
"""

import json
import os
import sys
from pathlib import Path

os.environ.pop("TRITON_INTERPRET", None)
sys.path.insert(0, str(Path(__file__).parents[2]))

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mmseg_rloss.ops.backends import triton_kernels, triton_lattice

WARP_SIZES = {"cuda": 32, "hip:gfx9": 64, "hip:gfx1": 32}


def target_of(name: str) -> GPUTarget:
    backend, architecture = name.split(":")
    warp_size = next(size for prefix, size in WARP_SIZES.items() if name.startswith(prefix))
    return GPUTarget(backend, int(architecture) if backend == "cuda" else architecture, warp_size)


def compile_launch(target: GPUTarget, name: str, types: list[str], options: dict) -> None:
    kernel = getattr(triton_kernels, name)
    names = [parameter.name for parameter in kernel.params]
    constants = [parameter.name for parameter in kernel.params if parameter.is_constexpr]
    # Arguments given by name are constants or 32-bit integers.
    signature = dict.fromkeys(names, "i32") | dict.fromkeys(constants, "constexpr")
    signature.update(zip(names, types, strict=False))
    pointers = [index for index, kind in enumerate(signature.values()) if kind.startswith("*")]
    aligned = {(index,): [["tt.divisibility", 16]] for index in pointers}
    values = {key: tuple(options[key]) if key == "SCALES" else options[key] for key in constants}
    launch = {key: value for key, value in options.items() if key not in names}
    if target.backend == "hip" and name == "insert_kernel":
        launch["num_warps"] = triton_lattice.insertion_warps(options["ROWS"], target.warp_size)
    compiled = triton.compile(ASTSource(kernel, signature, values, aligned), target, launch)
    if name == "insert_kernel" and target.backend == "cuda":
        assert "fma.rn.f32" not in compiled.asm["ptx"], "no longer the reference's operations"


def main() -> None:
    path, *targets = sys.argv[1:]
    for target in targets:
        for launch in json.loads(Path(path).read_text()):
            compile_launch(target_of(target), *launch)
        print(target)


if __name__ == "__main__":
    main()
