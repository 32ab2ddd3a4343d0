"""The tools without a checkout: ``mmseg-rloss TOOL ...`` or ``python -m mmseg_rloss TOOL ...``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

PACKAGE = Path(__file__).parent

TOOLS = {
    "convert": "dataset_converters/scribbles.py",
    "convert-pascal": "dataset_converters/pascal_scribble.py",
    "make-scribbles": "make_scribbles.py",
    "browse": "browse_scribbles.py",
    "train": "train.py",
    "test": "test.py",
    "predict": "predict.py",
    "visualize": "visualize_densecrf.py",
    "compare": "compare_losses.py",
    "demo": "../demo/web.py",
}


def tools_folder() -> Path:
    """The folder of the tools: within a wheel, beside the package in a checkout."""
    of_wheel = PACKAGE / ".mim" / "tools"
    return of_wheel if of_wheel.is_dir() else PACKAGE.parent / "tools"


def main() -> NoReturn:
    """Run the tool that the first argument names, in place of this process.

    Raises:
        SystemExit: There is no such tool.
    """
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        raise SystemExit
    if name not in TOOLS:
        raise SystemExit(f"{name!r} is not a tool.\n{usage()}")
    sys.stdout.flush()
    tool = str(tools_folder() / TOOLS[name])
    os.execv(sys.executable, [sys.executable, tool, *arguments])


def usage() -> str:
    lines = [f"  {name:15} {first_line(file)}" for name, file in TOOLS.items()]
    return "\n".join(["usage: mmseg-rloss TOOL ...   (mmseg-rloss TOOL --help)", *lines])


def first_line(file: str) -> str:
    """The first line of a tool's docstring."""
    with open(tools_folder() / file, encoding="utf-8") as source:
        return source.readline().strip().strip('"').partition(": `")[0]


if __name__ == "__main__":
    main()
