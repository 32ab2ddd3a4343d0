"""Builds the compiled kernels; everything else about the package is in pyproject.toml."""

from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

# Products are not fused with sums, so that every instruction set gives the same bits.
FLAGS = ["-O3", "-ffp-contract=off", "-Wall", "-Wextra"]

ParallelCompile("MMSEG_RLOSS_BUILD_JOBS", default=0).install()
setup(
    ext_modules=[
        Pybind11Extension(
            "mmseg_rloss.ops.backends._native",
            sorted(map(str, Path("csrc").rglob("*.cpp"))),
            depends=sorted(map(str, Path("csrc").rglob("*.hpp"))),
            include_dirs=["csrc"],
            cxx_std=17,
            extra_compile_args=FLAGS,
        )
    ],
)
