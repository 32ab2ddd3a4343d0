"""What is published: an sdist from which wheels are built, with the kernels or without."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHOICE = "MMSEG_RLOSS_EXTENSION"


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """The folder of an unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    where = ["egg_info", "--egg-base", str(folder), "sdist", "--dist-dir", str(folder)]
    process = run(ROOT, "setup.py", "-q", *where)
    assert process.returncode == 0, process.stderr
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def test_the_sdist_holds_the_sources_of_the_kernels(sdist):
    sources = {path.relative_to(ROOT) for path in (ROOT / "csrc").rglob("*.?pp")}
    assert sources
    assert {path.relative_to(sdist) for path in (sdist / "csrc").rglob("*.?pp")} == sources


def test_a_wheel_without_the_kernels_runs_anywhere_with_the_same_values(sdist, tmp_path):
    process = run(sdist, "setup.py", "-q", "bdist_wheel", "-d", str(tmp_path), **{CHOICE: "none"})
    assert process.returncode == 0, process.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    smoke_test = str(ROOT / "packaging" / "smoke_test.py")
    process = run(tmp_path, smoke_test, "plain", PYTHONPATH=str(tmp_path / "site"))
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"{tmp_path / 'site' / 'mmseg_rloss'}: fine, plain\n"


def test_without_a_compiler_it_is_built_without_the_kernels_unless_they_are_required(sdist):
    outcomes = {}
    for choice in ("", "require"):
        command = ["setup.py", "-q", "build_ext", "--inplace"]
        process = run(sdist, *command, CC="false", CXX="false", **{CHOICE: choice})
        assert "The kernels of mmseg_rloss cannot be compiled: " in process.stderr
        assert "Install a C++17 compiler" in process.stderr
        outcomes[choice] = process.returncode
    assert outcomes == {"": 0, "require": 1}
    assert not list(sdist.rglob("*.so"))


def test_another_choice_is_refused(sdist):
    process = run(sdist, "setup.py", "--version", **{CHOICE: "1"})
    assert process.returncode == 1
    assert f"{CHOICE} is '1', but must be 'require', 'none' or not set" in process.stderr
