"""Prints what was measured."""

from __future__ import annotations

import sys

from .clock import Kernel


def show_kernels(kernels: list[Kernel]) -> None:
    print(f"\n  {'pause us':>8} {'time us':>8}  kernel")
    for kernel in kernels:
        print(f"  {kernel.pause:8.0f} {kernel.duration:8.1f}  {kernel.name[:90]}")
    busy, pauses = (sum(getattr(k, name) for k in kernels) for name in ("duration", "pause"))
    print(f"  busy {busy:.0f} of {busy + pauses:.0f} us, {len(kernels)} kernels", flush=True)


def print_table(title: str, rows: dict[str, float], number: str) -> None:
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:45} {number.format(value):>12}")
    sys.stdout.flush()
