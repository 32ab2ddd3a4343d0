"""check_machine: what `make setup` says of a machine on which it cannot begin."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import check_machine

TOOL = Path(check_machine.__file__)


def run(**environment):
    return subprocess.run(
        [sys.executable, TOOL], env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_a_machine_that_built_this_package_passes():
    process = run()
    assert process.returncode == 0, process.stderr
    assert not process.stdout + process.stderr


def test_a_missing_compiler_is_named():
    process = run(CXX="no-such-compiler")
    assert process.returncode == 1
    assert "no C++ compiler named 'no-such-compiler'" in process.stderr


def test_a_compiler_of_an_older_cpp_is_reported_by_its_own_words(tmp_path):
    compiler = tmp_path / "old-c++"
    compiler.write_text("#!/bin/sh\necho 'unrecognized option -std=c++17' >&2\nexit 1\n")
    compiler.chmod(0o755)
    process = run(CXX=str(compiler))
    assert process.returncode == 1
    assert "does not take C++17" in process.stderr
    assert "unrecognized option" in process.stderr


def test_missing_headers_of_python_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(check_machine.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    assert "no Python.h in" in check_machine.compiler_problem()


def test_a_python_that_cannot_make_environments_is_told_the_package(tmp_path):
    (tmp_path / "ensurepip.py").write_text("raise ImportError('No module named ensurepip')\n")
    process = run(PYTHONPATH=str(tmp_path))
    assert process.returncode == 1
    assert f"python3.{sys.version_info[1]}-venv" in process.stderr


def test_an_old_python_is_told_which_one_is_needed(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(SystemExit, match=r"Python 3\.10 or newer is needed, and .* is 3\.9"):
        check_machine.main()


def test_an_old_python_can_read_it():
    ast.parse(TOOL.read_text(), feature_version=(3, 4))
    assert "f'" not in TOOL.read_text() and 'f"' not in TOOL.read_text()
