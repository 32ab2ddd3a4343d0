"""The benchmark of many bands runs, on a small case."""

import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "benchmarks/bands.py"


def test_it_prints_time_and_memory():
    command = [sys.executable, FILE, "--bands", "20", "--size", "24"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "20 bands of 24x24, 8 classes: " in printed and "GB more memory" in printed
