"""Builds the compiled lattice; everything else about the package is in pyproject.toml."""

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

# Products are not fused with sums, so that every instruction set gives the same bits.
FLAGS = ["-O3", "-ffp-contract=off", "-Wall", "-Wextra"]

ParallelCompile("MMSEG_RLOSS_BUILD_JOBS", default=0).install()
setup(
    ext_modules=[
        Pybind11Extension(
            "mmseg_rloss.ops.backends._native",
            sorted(
                [
                    "csrc/bindings.cpp",
                    "csrc/lattice_avx2.cpp",
                    "csrc/lattice_avx512.cpp",
                    "csrc/lattice_baseline.cpp",
                    "csrc/memory.cpp",
                    "csrc/parallel.cpp",
                ]
            ),
            depends=[
                "csrc/lattice.hpp",
                "csrc/lattice_kernels.hpp",
                "csrc/memory.hpp",
                "csrc/parallel.hpp",
                "csrc/kernels/channels.hpp",
                "csrc/kernels/embedding.hpp",
                "csrc/kernels/point_table.hpp",
                "csrc/kernels/simd.hpp",
            ],
            cxx_std=17,
            extra_compile_args=FLAGS,
        )
    ],
)
