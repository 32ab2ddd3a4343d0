"""Builds the compiled kernels; everything else about the package is in pyproject.toml."""

import os
import re
import sys
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

# Products are not fused with sums, so that every instruction set gives the same bits. Sums are not
# reordered and infinities stay, whatever the environment asks for: the filter would be wrong. The
# header stops a compiler that does so all the same.
EXACT = ["-O3", "-ffp-contract=off", "-fno-fast-math", "-fno-unsafe-math-optimizations"]
EXACT += ["-fno-finite-math-only", "-fno-associative-math", "-fno-reciprocal-math"]
FLAGS = [*EXACT, "-Wall", "-Wextra", "-include", "csrc/exact_math.hpp"]
INEXACT = re.compile(
    r"-Ofast|-f(fast-math|unsafe-math-optimizations|finite-math-only|associative-math"
    r"|reciprocal-math|no-signed-zeros|fp-model=fast|fp-contract=\w+)"
)

for variable in ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"):
    if flags := INEXACT.search(os.environ.get(variable, "")):
        print(
            f"mmseg_rloss is compiled without {flags[0]}, which {variable} asks for: "
            "the filter would be wrong.",
            file=sys.stderr,
        )

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
            extra_link_args=EXACT,  # GCC's start-up code of -ffast-math flushes small numbers to 0
        )
    ],
)
