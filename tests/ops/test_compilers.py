"""Clang, the compiler of macOS, takes the kernels without a warning, as GCC does in every build."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pybind11
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("csrc/**/*.cpp"))
FLAGS = ["-std=c++17", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-include", "csrc/exact_math.hpp", "-Icsrc"]
FLAGS += ["-isystem", pybind11.get_include(), "-isystem", sysconfig.get_path("include")]


@pytest.mark.skipif(not shutil.which("clang++"), reason="clang++ is not installed")
@pytest.mark.parametrize("source", SOURCES)
def test_clang_compiles(source):
    command = ["clang++", *FLAGS, "-fsyntax-only", source]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
