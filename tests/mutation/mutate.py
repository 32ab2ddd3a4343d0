"""Break the package in small ways, one at a time, and report which the tests do not notice.

Usage: mutate.py [WORD ...]: the mutations of mutations.json whose description has one of the words;
all without any. Exits with 1 if fewer than 90 % of them are caught.

A mutation is a text of a file and another in its place, with the tests that should fail then. Each
is made in a copy of the project, one for every processor. Those of csrc/ are compiled there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
MUTATIONS = Path(__file__).with_name("mutations.json")
COPIED = ["mmseg_rloss", "csrc", "tests", "tools", "configs", "benchmarks", "demo", "docs"]
COPIED += ["packaging", "setup.py", "pyproject.toml", "MANIFEST.in", "Makefile", "model-index.yml"]
COPIED += ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"]
GOAL = 0.9
TIMEOUT = 600  # seconds; more than the tests of any mutation take


class Mutation(NamedTuple):
    """One small change for the worse."""

    what: str
    file: str
    old: str
    new: str
    tests: list[str]


def read_mutations() -> list[Mutation]:
    """All of them, each of which still applies.

    Raises:
        SystemExit: Naming those whose text the file does not have exactly once.
    """
    mutations = [Mutation(**entry) for entry in json.loads(MUTATIONS.read_text())]
    stale = [m for m in mutations if (ROOT / m.file).read_text().count(m.old) != 1]
    if stale:
        names = "\n".join(f"  {m.what}: {m.file}" for m in stale)
        raise SystemExit(f"The file has not exactly one of the text that is replaced:\n{names}")
    return mutations


def copy_project(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)


def run(folder: Path, *command: str, timeout: float | None = None) -> bool:
    """Whether a command of Python's succeeds in the copy of the project, within the seconds."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    environment["MMSEG_RLOSS_EXTENSION"] = "require"
    try:
        return not subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=timeout,
        ).returncode
    except subprocess.TimeoutExpired:
        return False


def is_caught(mutation: Mutation, folder: Path) -> bool:
    """Whether the tests of a mutation fail on it.

    Raises:
        SystemExit: It does not compile, which tests nothing.
    """
    path = folder / mutation.file
    original = path.read_text()
    compiled = mutation.file.startswith("csrc/")
    path.write_text(original.replace(mutation.old, mutation.new))
    try:
        if compiled and not run(folder, "setup.py", "-q", "build_ext", "--inplace"):
            raise SystemExit(f"does not compile: {mutation.what}")
        # -B: no bytecode of what the file was before.
        command = ["-B", "-m", "pytest", "-q", "-x", *mutation.tests]
        return not run(folder, *command, timeout=TIMEOUT)
    finally:
        path.write_text(original)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="of the descriptions")
    words = parser.parse_args(argv).words
    mutations = [
        mutation
        for mutation in read_mutations()
        if not words or any(word in mutation.what for word in words)
    ]
    # Mutations of one language together: the last of csrc/ leaves an extension that is broken.
    mutations.sort(key=lambda mutation: mutation.file.startswith("csrc/"))
    jobs = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(jobs) as pool:
        folders: SimpleQueue[Path] = SimpleQueue()
        for job in range(jobs):
            folder = Path(name, str(job))
            folder.mkdir()
            copy_project(folder)
            folders.put(folder)
        tests = sorted({test for mutation in mutations for test in mutation.tests})
        in_parallel = ["--numprocesses", str(jobs), "--dist", "loadfile"]
        if not run(folder, "-m", "pytest", "-q", "-x", *in_parallel, *tests):
            raise SystemExit("The tests fail without any mutation.")

        def survives(mutation: Mutation) -> bool:
            folder = folders.get()
            try:
                caught = is_caught(mutation, folder)
            finally:
                folders.put(folder)
            print(f"{'caught  ' if caught else 'SURVIVED'}  {mutation.what}", flush=True)
            return not caught

        survivors = sum(pool.map(survives, mutations))
    share = 1 - survivors / len(mutations) if mutations else 1.0
    print(f"{len(mutations) - survivors} of {len(mutations)} caught: {share:.0%}")
    sys.exit(share < GOAL)


if __name__ == "__main__":
    main()
