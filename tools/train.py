"""Train: `python tools/train.py CONFIG [--work-dir ...] [--resume] [--amp] [--cfg-options ...]`."""

import mmseg_tool

if __name__ == "__main__":
    mmseg_tool.run("train.py")
