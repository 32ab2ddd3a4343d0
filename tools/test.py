"""Test: `python tools/test.py CONFIG CHECKPOINT [--work-dir ...] [--show-dir ...] [--out ...]`."""

from collections.abc import Sequence

import mmseg_tool


def main(argv: Sequence[str] | None = None) -> None:
    mmseg_tool.run("test.py", argv)


if __name__ == "__main__":
    main()
