"""Say what this machine lacks for `make setup`, before anything is downloaded.

Runs on any Python, however old, so that an old one gets a message instead of a syntax error.
"""

import os
import subprocess
import sys
import sysconfig

OLDEST_PYTHON = (3, 10)


def main():
    problem = python_problem() or venv_problem() or compiler_problem()
    if problem:
        sys.exit("make setup cannot begin: " + problem)


def python_problem():
    if sys.version_info < OLDEST_PYTHON:
        return (
            "Python %d.%d or newer is needed, and %s is %d.%d. "
            "Name another one: make setup PYTHON=python3.12"
            % (OLDEST_PYTHON + (sys.executable,) + tuple(sys.version_info[:2]))
        )
    return None


def venv_problem():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return (
            "%s cannot create virtual environments (%s). On Debian and Ubuntu: "
            "apt install python%d.%d-venv" % ((sys.executable, error) + tuple(sys.version_info[:2]))
        )
    return None


def compiler_problem():
    """Try the compiler that the build will take on the headers that the extension includes."""
    compiler = os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++"
    headers = sysconfig.get_paths()["include"]
    command = compiler.split() + ["-std=c++17", "-fsyntax-only", "-I", headers, "-x", "c++", "-"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError:
        return (
            "there is no C++ compiler named %r. Install one (Debian and Ubuntu: apt install g++; "
            "macOS: xcode-select --install), or name it: make setup CXX=clang++" % compiler
        )
    errors = process.communicate(b"#include <Python.h>\n#include <optional>\n")[1].decode()
    if process.returncode == 0:
        return None
    if "Python.h" in errors:
        return (
            "the headers of %s are missing (no Python.h in %s). On Debian and Ubuntu: "
            "apt install python%d.%d-dev"
            % ((sys.executable, headers) + tuple(sys.version_info[:2]))
        )
    return "the compiler %r does not take C++17:\n%s" % (compiler, errors)


if __name__ == "__main__":
    main()
