"""Test: `python tools/test.py CONFIG CHECKPOINT [--work-dir ...] [--show-dir ...] [--out ...]`."""

import mmseg_tool

if __name__ == "__main__":
    mmseg_tool.run("test.py")
