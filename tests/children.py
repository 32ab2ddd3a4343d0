"""Interpreters that have imported already what takes seconds, and scripts and tools run in them.

``python children.py MODULE ...`` imports the modules and then runs each script that it reads in a
copy of itself, which ends as any interpreter does. It does so in a process of its own, since the
one of the tests imports everything at once and computes in threads.
"""

import contextlib
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

# What MMSegmentation needs, but neither itself nor this package.
THIRD_PARTY = [
    "mmengine.runner",
    "mmcv.transforms",
    "torch._dynamo",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "scipy.ndimage",
    "scipy.optimize",
]

# As `python FILE ARGUMENT ...`.
TOOL = """
import os, runpy, sys, warnings

sys.argv, folder, environment = {arguments!r}, {folder!r}, {environment!r}
os.chdir(folder or ".")
os.environ.update(environment)
warnings.simplefilter(environment.get("PYTHONWARNINGS", "default"))
python_path = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
sys.path[:0] = [os.path.dirname(sys.argv[0]), *python_path]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Child(NamedTuple):
    """How a script ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Interpreter:
    """A Python that begins with ``modules`` imported."""

    def __init__(self, modules: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error:mmseg_rloss:UserWarning", __file__, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            text=True,
        )

    def close(self) -> None:
        """End the interpreter, and wait for what it writes at its end, such as its coverage."""
        self._process.communicate()

    def run(self, script: str) -> Child:
        """Run a script in a copy of the interpreter, and wait for its end."""
        with tempfile.TemporaryDirectory() as folder:
            outputs = [os.path.join(folder, name) for name in ("stdout", "stderr")]
            print(json.dumps([script, *outputs]), file=self._process.stdin, flush=True)
            status = int(self._process.stdout.readline())
            return Child(status, *(Path(output).read_text() for output in outputs))


@functools.cache
def interpreter_of_tools() -> Interpreter:
    """One for all tests of a process."""
    return Interpreter(THIRD_PARTY)


def close_interpreter_of_tools() -> None:
    if interpreter_of_tools.cache_info().currsize:
        interpreter_of_tools().close()
        interpreter_of_tools.cache_clear()


def run_tool(tool: Path, *arguments: object, cwd: Path | None = None, **environment: str) -> Child:
    """Run the tool as a command does, but for its imports of ``THIRD_PARTY``."""
    return interpreter_of_tools().run(script_of(tool, *arguments, cwd=cwd, **environment))


def script_of(tool: Path, *arguments: object, cwd: Path | None = None, **environment: str) -> str:
    """A script that runs the tool, for :class:`Interpreter`."""
    command = list(map(str, (tool, *arguments)))
    return TOOL.format(arguments=command, folder=str(cwd or ""), environment=environment)


def run_each(scripts: list[str], modules: list[str]) -> list[Child]:
    """Run every script in a process of its own that begins with ``modules`` imported."""
    with contextlib.closing(Interpreter(modules)) as interpreter:
        return [interpreter.run(script) for script in scripts]


def next_script() -> str:
    """Serve one script after the other; return only in the copy of this process that is to run it.

    The copy has no part in what connects this process with the tests.
    """
    for line in sys.stdin:
        script, *outputs = json.loads(line)
        child = os.fork()
        if child == 0:
            for descriptor, path in enumerate([os.devnull, *outputs]):
                flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
                opened = os.open(path, flags)
                os.dup2(opened, descriptor)
                os.close(opened)
            return script
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return ""


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    for name in sys.argv[1:]:
        importlib.import_module(name)
    exec(compile(next_script(), "script", "exec"), {"__name__": "__main__"})
