"""Interpreters that have imported already what takes seconds, and scripts and tools run in them.

``python children.py MODULE ...`` imports the modules and then runs each script that it reads in a
copy of itself, which ends as any interpreter does. It does so in a process of its own, since the
one of the tests imports everything at once and computes in threads.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.ports import free_port

ROOT = Path(__file__).parents[1]

# Comes last, with Triton, whose compiled part complains at its end of all that was not collected.
DYNAMO = "torch._dynamo"

# What MMSegmentation needs, but neither itself nor this package.
THIRD_PARTY = [
    "mmengine.runner",
    "mmcv.transforms",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "scipy.ndimage",
    "scipy.optimize",
    DYNAMO,
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
        (child,) = self.run_together([script])
        return child

    def run_together(self, scripts: list[str]) -> list[Child]:
        """Run scripts at the same time, each in a copy of the interpreter; wait for all to end."""
        with tempfile.TemporaryDirectory() as folder:
            outputs = [
                [os.path.join(folder, f"{name}_{i}") for name in ("stdout", "stderr")]
                for i in range(len(scripts))
            ]
            jobs = list(zip(scripts, outputs, strict=True))
            print(json.dumps(jobs), file=self._process.stdin, flush=True)
            statuses = [int(self._process.stdout.readline()) for _ in jobs]
            return [
                Child(status, *(Path(path).read_text() for path in paths))
                for status, paths in zip(statuses, outputs, strict=True)
            ]


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


def run_two_processes(tool: Path, *arguments: object) -> list[Child]:
    """Run the tool twice at the same time, each told of the other as torchrun does it."""
    network = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), WORLD_SIZE="2")
    scripts = [
        script_of(tool, *arguments, "--launcher", "pytorch", RANK=rank, LOCAL_RANK=rank, **network)
        for rank in "01"
    ]
    return interpreter_of_tools().run_together(scripts)


def script_of(tool: Path, *arguments: object, cwd: Path | None = None, **environment: str) -> str:
    """A script that runs the tool, for :class:`Interpreter`."""
    command = list(map(str, (tool, *arguments)))
    return TOOL.format(arguments=command, folder=str(cwd or ""), environment=environment)


def run_each(scripts: list[str], modules: list[str]) -> list[Child]:
    """Run every script in a process of its own that begins with ``modules`` imported."""
    with contextlib.closing(Interpreter(modules)) as interpreter:
        return [interpreter.run(script) for script in scripts]


def next_script() -> str:
    """Serve the tests; return only in the copy of this process that is to run a script.

    The copy has no part in what connects this process with the tests.
    """
    for line in sys.stdin:
        children = []
        for script, outputs in json.loads(line):
            child = os.fork()
            if child == 0:
                redirect(os.devnull, *outputs)
                return script
            children.append(child)
        for child in children:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return ""


def redirect(*paths: str) -> None:
    """Let standard input, output and errors of this process be files."""
    for descriptor, path in enumerate(paths):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if descriptor else os.O_RDONLY
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    for name in sys.argv[1:]:
        importlib.import_module(name)
        if name != DYNAMO:
            gc.freeze()  # or each copy would collect it when it ends, which takes a second
    exec(compile(next_script(), "script", "exec"), {"__name__": "__main__"})
