"""Train: `python tools/train.py CONFIG [--work-dir ...] [--resume] [--amp] [--cfg-options ...]`."""

from collections.abc import Sequence

import mmseg_tool


def main(argv: Sequence[str] | None = None) -> None:
    mmseg_tool.run("train.py", argv)


if __name__ == "__main__":
    main()
