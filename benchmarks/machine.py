"""What every figure of a benchmark on the CPU comes with."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path

import torch

from mmseg_rloss.ops.profiling import instruction_sets


def machine_and_date() -> dict[str, str]:
    """The processor, how many of it, its instruction set and torch's version; the time in UTC."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(": ")[2] if lines else name
    machine = (
        f"{name}, {os.cpu_count()} processors, {instruction_sets()[-1]}, torch {torch.__version__}"
    )
    return {"machine": machine, "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"}
