"""Builds the compiled kernels; everything else about the package is in pyproject.toml.

The environment variable MMSEG_RLOSS_EXTENSION says what becomes of the kernels: by default the
package is built without them where they cannot be compiled, and runs in plain PyTorch then, many
times slower. With ``require`` that is an error; with ``none`` they are left out.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

# Products are not fused with sums, so that every instruction set gives the same bits. Sums are not
# reordered and infinities stay, whatever the environment asks for: the filter would be wrong. The
# header stops a compiler that does so all the same.
EXACT = ["-O3", "-ffp-contract=off", "-fno-fast-math", "-fno-unsafe-math-optimizations"]
EXACT += ["-fno-finite-math-only", "-fno-associative-math", "-fno-reciprocal-math"]
FLAGS = [*EXACT, "-Wall", "-Wextra", "-include", "csrc/exact_math.hpp"]
# The same for MSVC, which is exact unless told otherwise. There is no /openmp: threads are std's.
MSVC_FLAGS = ["/O2", "/fp:precise", "/permissive-", "/FIexact_math.hpp"]
INEXACT = re.compile(
    r"-Ofast|-f(fast-math|unsafe-math-optimizations|finite-math-only|associative-math"
    r"|reciprocal-math|no-signed-zeros|fp-model=fast|fp-contract=\w+)"
)


class BuildKernels(build_ext):
    """Compiles by the compiler's flags, and says what it means if that cannot be done."""

    def build_extension(self, ext):
        try:
            if self.compiler.compiler_type == "msvc":
                ext.extra_compile_args += MSVC_FLAGS
            else:
                ext.extra_compile_args += FLAGS
                # GCC's start-up code of -ffast-math flushes small numbers to 0.
                ext.extra_link_args += EXACT
            super().build_extension(ext)
        except Exception as error:
            print(
                f"The kernels of mmseg_rloss cannot be compiled: {error}. Without them it runs in "
                "plain PyTorch, many times slower. Install a C++17 compiler (g++, clang++ or MSVC) "
                "and build it again.",
                file=sys.stderr,
            )
            raise  # setuptools goes on where the extension is optional


class BuildModules(build_py):
    """Adds configs, demo and tools to a wheel. An editable one finds them in the project."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "mmseg_rloss" / ".mim"
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("configs", "demo", "tools"):
            shutil.copytree(part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy("model-index.yml", folder)


def kernels(choice: str) -> list[Pybind11Extension]:
    if choice not in ("", "require", "none"):
        raise SystemExit(
            f"MMSEG_RLOSS_EXTENSION is {choice!r}, but must be 'require', 'none' or not set"
        )
    if choice == "none":
        return []
    return [
        Pybind11Extension(
            "mmseg_rloss.ops.backends._native",
            sorted(map(str, Path("csrc").rglob("*.cpp"))),
            depends=sorted(map(str, Path("csrc").rglob("*.hpp"))),
            include_dirs=["csrc"],
            cxx_std=17,
            optional=choice != "require",
        )
    ]


for variable in ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"):
    if flags := INEXACT.search(os.environ.get(variable, "")):
        print(
            f"mmseg_rloss is compiled without {flags[0]}, which {variable} asks for: "
            "the filter would be wrong.",
            file=sys.stderr,
        )

ParallelCompile("MMSEG_RLOSS_BUILD_JOBS", default=0).install()
setup(
    ext_modules=kernels(os.environ.get("MMSEG_RLOSS_EXTENSION", "")),
    cmdclass={"build_ext": BuildKernels, "build_py": BuildModules},
)
