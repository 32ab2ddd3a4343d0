"""Runs scripts in interpreters of their own that have imported already what takes long to import.

``python children.py MODULE ... < scripts.json``, where the test process itself imports all at once.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Child(NamedTuple):
    """How a script ended, and what it wrote."""

    status: int
    stdout: str
    stderr: str


def run_each(scripts: list[str], modules: list[str]) -> list[Child]:
    """Run every script in a process of its own that begins with ``modules`` imported."""
    process = subprocess.run(
        [sys.executable, "-W", "error:mmseg_rloss:UserWarning", __file__, *modules],
        input=json.dumps(scripts),
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return [Child(*child) for child in json.loads(process.stdout)]


def run_in_child(script: str) -> Child:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if child == 0:
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            status = 0
            try:
                exec(compile(script, "script", "exec"), {"__name__": "__main__"})
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        written = []
        for file in (stdout, stderr):
            file.seek(0)
            written.append(file.read().decode())
        return Child(status, *written)


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    for module in sys.argv[1:]:
        importlib.import_module(module)
    print(json.dumps([run_in_child(script) for script in json.load(sys.stdin)]))
