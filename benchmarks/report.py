"""What a benchmark on the CPU finds: printed as tables, and written as JSON.

`benchmarks/fill_tables.py` puts the tables of the files in `benchmarks/results` into the docs.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from mmseg_rloss.ops.profiling import instruction_sets


class Report:
    """The machine, the date and the command, and the figures of a benchmark as they come."""

    def __init__(self) -> None:
        self._console = Console(width=110)  # in a log, too
        self._report: dict[str, object] = machine_and_date()
        self._report["command"] = " ".join(["python", *sys.argv])
        self._tables: dict[str, dict] = {}
        self.say(f"{self._report['machine']}, {self._report['date']}")

    def say(self, line: str) -> None:
        self._console.print(line)

    def keep(self, name: str, figures: object) -> None:
        """Write figures that no table shows, such as the time of every repetition."""
        self._report[name] = figures

    def table(
        self, name: str, columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = ""
    ) -> None:
        """Print a table, whose first column names the rows, and write it by its name."""
        printed = Table(*columns, title=title or None)
        for column in printed.columns[1:]:
            column.justify = "right"
        rows = [list(row) for row in rows]
        for row in rows:
            printed.add_row(*row)
        self._console.print(printed)
        self._tables[name] = {"columns": list(columns), "rows": rows}

    def write(self, path: Path | None) -> None:
        """Write everything to a file, if there is to be one."""
        if path:
            report = self._report | {"tables": self._tables}
            path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            self.say(f"The figures are in {path}.")


def machine_and_date() -> dict[str, object]:
    """The processor, how many of it, its instruction set and torch's version; the time in UTC."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(": ")[2] if lines else name
    widest = (instruction_sets() or ["not compiled"])[-1]
    machine = f"{name}, {os.cpu_count()} processors, {widest}, torch {torch.__version__}"
    return {"machine": machine, "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"}
