"""How long calls take on a device, and what they run there."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile


class Clock:
    """Medians of device times; of wall times on the CPU."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        # Occupies a GPU for some milliseconds, so that the host is ahead of it as in training.
        size = 1 << (29 if device.type == "cuda" else 20)
        self.busy = torch.rand(2, size, device=device)

    def milliseconds(
        self,
        function: Callable[..., object],
        before: Callable[[], object] | None = None,
        occupy: int = 20,
    ) -> float:
        """``occupy`` copies of 2 GB keep a GPU busy while the host launches.

        What ``before`` returns, not timed and ahead of them, is the argument of ``function``.
        """
        for _ in range(min(3, self.repeats)):
            self._once(function, before, occupy=0)
        return median(self._once(function, before, occupy) for _ in range(self.repeats))

    def wall_milliseconds(self, function: Callable[[], object], calls: int = 10) -> float:
        """Of a call, when one follows another."""
        function()
        self.synchronize()
        times = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            self.synchronize()
            times.append((time.perf_counter() - start) / calls * 1e3)
        return median(times)

    def bandwidth(self) -> float:
        """Bytes read and written per second by a copy."""
        moved = 2 * self.busy[0].nbytes
        return moved / (self.milliseconds(self._copy, occupy=1) * 1e-3)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _copy(self) -> None:
        self.busy[0].copy_(self.busy[1])

    def _once(
        self, function: Callable[..., object], before: Callable[[], object] | None, occupy: int
    ) -> float:
        arguments = () if before is None else (before(),)
        if self.device.type == "cpu":
            start = time.perf_counter()
            function(*arguments)
            return (time.perf_counter() - start) * 1e3
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(occupy):
            self._copy()
        begin.record()
        function(*arguments)
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)


class Kernel(NamedTuple):
    """One that ran, in microseconds."""

    name: str
    pause: float  # of the device before it
    duration: float


def kernels_of(function: Callable[[], object], device: torch.device) -> list[Kernel]:
    """What a call runs on the GPU, in order."""
    function()
    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        function()
        torch.cuda.synchronize(device)
    events = [e for e in profiler.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    events = sorted(events, key=lambda event: event.time_range.start)
    kernels, end = [], None
    for event in events:
        start = event.time_range.start
        pause = 0.0 if end is None else max(0.0, start - end)
        end = max(end or 0.0, event.time_range.end)
        kernels.append(Kernel(event.name, pause, event.time_range.end - start))
    return kernels
