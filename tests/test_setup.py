"""The flags of the build: each compiler's own, and an environment cannot make them inexact."""

import os
import runpy
import subprocess
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest
import setuptools
from pybind11 import setup_helpers
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parents[1]
COMPILER = (os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++").split()
INEXACT = [
    "-ffast-math",
    "-Ofast",
    "-funsafe-math-optimizations",
    "-ffinite-math-only",
    "-fassociative-math -fno-signed-zeros -fno-trapping-math",
    "-freciprocal-math",
]


def extension(monkeypatch, compiler="unix") -> setuptools.Extension:
    """What setup.py has setuptools compile by this type of compiler."""
    given, built = {}, []
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    monkeypatch.setattr(setup_helpers.ParallelCompile, "install", lambda self: None)
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    monkeypatch.setattr(build_ext, "build_extension", lambda self, ext: built.append(ext))
    command = given["cmdclass"]["build_ext"](setuptools.Distribution())
    command.compiler = SimpleNamespace(compiler_type=compiler)
    command.build_extension(given["ext_modules"][0])
    return built[0]


def compile_nothing(*flags: str) -> subprocess.CompletedProcess:
    command = [*COMPILER, *flags, "-E", "-dM", "-x", "c++", os.devnull]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("flags", INEXACT)
def test_flags_of_the_environment_are_switched_off_and_told(monkeypatch, capfd, flags):
    exact = compile_nothing(*extension(monkeypatch).extra_compile_args)
    assert exact.returncode == 0, exact.stderr
    assert not capfd.readouterr().err
    for variable in ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "CXX"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, f"-g {flags}")
            ours = extension(patch)
        told = capfd.readouterr().err
        assert f"without {flags.split()[0]}, which {variable} asks for" in told
    # Setuptools puts those of the environment first.
    both = compile_nothing(*flags.split(), *ours.extra_compile_args)
    assert both.returncode == 0, both.stderr
    assert both.stdout == exact.stdout


@pytest.mark.parametrize("flags", INEXACT)
def test_a_build_that_is_inexact_all_the_same_stops(flags):
    process = compile_nothing(*flags.split(), "-include", "csrc/exact_math.hpp")
    assert process.returncode != 0
    assert "needs exact arithmetic" in process.stderr


def test_no_start_up_code_of_inexact_arithmetic_is_linked(monkeypatch):
    flags = extension(monkeypatch).extra_link_args
    command = [*COMPILER, "-###", "-Ofast", "-ffast-math", *flags, "-shared", os.devnull]
    told = subprocess.run(command, capture_output=True, text=True).stderr
    assert "crtfastmath" not in told


def test_msvc_gets_flags_of_its_own(monkeypatch):
    ext = extension(monkeypatch, "msvc")
    ours = ext.extra_compile_args[-4:]
    assert ours == ["/O2", "/fp:precise", "/permissive-", "/FIexact_math.hpp"]
    assert (ROOT / "csrc" / "exact_math.hpp").is_file() and ext.include_dirs[0] == "csrc"
    assert not ext.extra_link_args
