"""What filter and loss cost on the CPU: stages, the floor of a copy, threads, from the logits.

    python benchmarks/filter.py --data FOLDER --json filter.json

The floor is the time of memcpy for the image and the values on one thread. Filter, twin and memcpy
take turns on the same sets of images, values and results, which together are several times larger
than the caches: none of them finds its data where the one before left it. One thread is measured
by its own processor time, which other processes disturb little; two threads are measured by the
clock on the wall, which needs a quiet machine; the loss by both. What is compared gets the same
images: they differ by half in their times. Tables show medians, of images their mean; `--json` has
the time of every repetition.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import torch
from images import add_options, load_images, to_tensor
from PIL import Image
from report import Report
from rich.progress import track
from torch import Tensor

from mmseg_rloss.ops import (
    DenseCRFLoss,
    Scene,
    bilateral_filter,
    scaled_probabilities,
    set_num_threads,
)
from mmseg_rloss.ops.profiling import filter_stages, use_backend

SIGMA_RGB = 15.0
ROTATED_BYTES = 256 << 20  # several times the last-level cache
LOSS = {"batch": 12, "size": 513, "classes": 21, "scale_factor": 0.5, "sigma_xy": 100.0}
LINEARITY_SIZES = (257, 513, 1025, 2048)
LINEARITY_CHANNELS = (1, 8, 21, 32, 64, 150)
COPY = "copy of image and values"
BY_TORCH = "the same by torch's softmax and scaling, on the compiled filter"
MEMORY_CASES = ((513, 21), (513, 150), (2048, 21))  # size, channels


class Case(NamedTuple):
    """One set of buffers."""

    image: Tensor  # (N, 3, H, W) in 0-255
    values: Tensor  # (N, K, H, W)
    result: Tensor  # (N, K, H, W)

    @property
    def size(self) -> int:
        return sum(tensor.nbytes for tensor in self)


Times = dict[str, list[float]]  # milliseconds of every repetition


def main(argv: Sequence[str] | None = None) -> None:
    options = parse_args(argv)
    torch.set_num_threads(1)
    images = Images(*load_images(options.data))
    report = Report()
    report.say(images.source)

    stages = {size: time_stages(images, size, options) for size in options.sizes}
    report_stages(report, stages, images, options)
    threads = {
        (batch, size): time_threads(images, batch, size, options)
        for size in options.sizes
        for batch in (1, 2, 12)
    }
    report_threads(report, threads, images, options)
    report_loss(report, time_loss(images, options), options)
    pixels = [(size, options.channels) for size in LINEARITY_SIZES]
    report_linearity(report, "pixels", pixels, images)
    channels = [(LINEARITY_SIZES[0], channels) for channels in LINEARITY_CHANNELS]
    report_linearity(report, "channels", channels, images)
    report_memory(report, [(*case, *peak_memory(*case)) for case in MEMORY_CASES])
    report.write(options.json)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--sizes", type=int, nargs="+", default=[257, 513], help="square sides")
    parser.add_argument("--channels", type=int, default=21, help="of the values")
    parser.add_argument("--threads", type=int, default=2, help="compared with one")
    return parser.parse_args(argv)


class Images:
    """Images in any size, in batches that take turns."""

    def __init__(self, images: list[Image.Image], source: str) -> None:
        self._images, self.source = images, source

    def batch(self, count: int, size: int, first: int = 0) -> Tensor:
        """Images (count, 3, size, size) in 0-255."""
        chosen = (self._images[i % len(self._images)] for i in range(first, first + count))
        return torch.cat([to_tensor(image, size, size) for image in chosen]).float()

    def rotation(self, count: int, size: int, channels: int) -> Iterator[list[Case]]:
        """Pairs of sets of buffers with the same images, in turn, for ever."""
        pairs: list[list[Case]] = []
        rotated = 0
        while rotated < ROTATED_BYTES or len(pairs) % self.period(count):
            image = self.batch(count, size, first=count * len(pairs))
            values = torch.rand(2, count, channels, size, size)
            results = torch.zeros_like(values)
            pair = [Case(image.clone(), values[i], results[i]) for i in range(2)]
            rotated += sum(case.size for case in pair)
            pairs.append(pair)
        return cycle(pairs)

    def period(self, count: int) -> int:
        """After how many batches of so many images the same images come again."""
        return len(self._images) // math.gcd(len(self._images), count)

    def typical(self, times: list[float], count: int = 1) -> float:
        """The mean over the batches of a rotation of the median of each."""
        period = min(self.period(count), len(times))
        return mean(median(times[i::period]) for i in range(period))


def sigma_xy(size: int) -> float:
    """The bandwidth of an image that is enlarged to ``size``: 50 at 257, 100 at 513."""
    return float(round(50 * size / 257))


def run_native(case: Case, threads: int) -> dict[str, float]:
    """Build the lattice of a case and filter on it; returns the seconds of each stage."""
    set_num_threads(threads)
    sigmas = SIGMA_RGB, sigma_xy(case.image.shape[-1])
    return filter_stages(case.image, case.values, *sigmas, case.result)


def run_memcpy(case: Case, spare: Tensor) -> None:
    """Copy image and values; ``spare`` is as large as the image."""
    ctypes.memmove(spare.data_ptr(), case.image.data_ptr(), case.image.nbytes)
    ctypes.memmove(case.result.data_ptr(), case.values.data_ptr(), case.values.nbytes)


def timed(clock: Callable[[], float], function: Callable, *arguments: object) -> tuple[float, Any]:
    """Milliseconds that a call takes, and what it returns."""
    start = clock()
    result = function(*arguments)
    return 1e3 * (clock() - start), result


def time_stages(images: Images, size: int, options: argparse.Namespace) -> Times:
    """One thread: the stages, the whole filter, memcpy and the twin."""
    cases = images.rotation(1, size, options.channels)
    spare = torch.zeros(1, 3, size, size)
    times: Times = {}
    for _ in track(range(options.repeats), f"stages {size}", transient=True):
        to_filter, to_copy = next(cases)
        filtered, seconds = timed(time.thread_time, run_native, to_filter, 1)
        copied, _ = timed(time.thread_time, run_memcpy, to_copy, spare)
        for stage, duration in seconds.items():
            times.setdefault(stage, []).append(1e3 * duration)
        times.setdefault("total", []).append(filtered)
        times.setdefault(COPY, []).append(copied)
    for _ in range(min(options.repeats, 3)):
        image, values, _ = next(cases)[0]
        sigmas = SIGMA_RGB, sigma_xy(size)
        with use_backend("reference"):
            twin, _ = timed(time.thread_time, bilateral_filter, image, values, *sigmas)
        times.setdefault("plain PyTorch", []).append(twin)
    return times


def time_threads(images: Images, batch: int, size: int, options: argparse.Namespace) -> Times:
    """A batch with one thread and with several, in turn."""
    cases = images.rotation(batch, size, options.channels)
    times: Times = {"one": [], "several": []}
    for _ in track(range(options.repeats), f"threads {batch} x {size}", transient=True):
        numbers = 1, options.threads
        for name, case, threads in zip(times, next(cases), numbers, strict=True):
            times[name].append(timed(time.perf_counter, run_native, case, threads)[0])
    return times


def time_loss(images: Images, options: argparse.Namespace) -> dict[str, Times]:
    """The DenseCRF loss from logits, forward and backward, its parts, and the same by torch.

    By the clock on the wall, and by the time of all processors that worked on it.
    """
    batch, size, scale = LOSS["batch"], LOSS["size"], LOSS["scale_factor"]
    torch.set_num_threads(options.threads)
    set_num_threads(options.threads)
    image, region = images.batch(batch, size), torch.ones(batch, size, size)
    logits = torch.randn(batch, LOSS["classes"], size, size, requires_grad=True)
    layer = DenseCRFLoss(2e-9, SIGMA_RGB, LOSS["sigma_xy"], scale)
    scene = Scene(image, region)
    small = scene.region(scale, logits)
    lattice = scene.lattice(*layer.bandwidths)
    values = scaled_probabilities(logits.detach(), small, scale)

    def gradient(value: Tensor, grad: Tensor | None = None) -> None:
        torch.autograd.grad(value, logits, grad)

    parts = {
        "the loss from logits": lambda: gradient(layer.from_logits(Scene(image, region), logits)),
        BY_TORCH: lambda: gradient(layer(image, logits.softmax(dim=1), region)),
        "torch's softmax alone": lambda: gradient(logits.softmax(dim=1), logits.detach()),
        "probabilities, scaled and masked, and their gradient": lambda: gradient(
            scaled_probabilities(logits, small, scale), values
        ),
        "lattice": lambda: Scene(image, region).lattice(*layer.bandwidths),
        "filter and sums": lambda: lattice.associate(values, small),
    }
    clocks = {"wall": time.perf_counter, "processors": time.process_time}
    times: dict[str, Times] = {clock: {name: [] for name in parts} for clock in clocks}
    for _ in track(range(max(3, options.repeats // 3)), "loss", transient=True):
        for name, part in parts.items():
            for clock, now in clocks.items():
                times[clock][name].append(timed(now, part)[0])
    torch.set_num_threads(1)
    return times


def time_once(images: Images, size: int, channels: int) -> list[float]:
    """One thread, few repetitions on the same buffers."""
    values = torch.rand(1, channels, size, size)
    case = Case(images.batch(1, size), values, torch.zeros_like(values))
    run_native(case, 1)
    return [timed(time.thread_time, run_native, case, 1)[0] for _ in range(5)]


def peak_memory(size: int, channels: int) -> tuple[float, float]:
    """Megabytes of the values, and how many more the filter takes at its peak, result included."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak_memory, (size, channels))


def _peak_memory(size: int, channels: int) -> tuple[float, float]:
    images = Images(*load_images(None))
    image, values = images.batch(1, size), torch.rand(1, channels, size, size)
    set_num_threads(1)
    bilateral_filter(image[..., :9, :9], values[..., :9, :9], SIGMA_RGB, 9.0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew here
    before = _status("VmRSS")
    bilateral_filter(image, values, SIGMA_RGB, sigma_xy(size))
    return values.nbytes / 2**20, (_status("VmHWM") - before) / 2**10


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])  # kB


def report_stages(
    report: Report, cases: dict[int, Times], images: Images, options: argparse.Namespace
) -> None:
    report.keep("stages", cases)
    columns = ["ms", *(f"{size}x{size}x{options.channels}" for size in cases)]
    typical = {
        size: {name: images.typical(taken) for name, taken in times.items()}
        for size, times in cases.items()
    }
    rows = [
        [name, *(f"{times[name]:.2f}" for times in typical.values())]
        for name in next(iter(typical.values()))
    ]
    ratios = (times["total"] / times[COPY] for times in typical.values())
    rows.append(["total / copy", *(f"{ratio:.1f}" for ratio in ratios)])
    report.table("stages", columns, rows, "The filter, one thread")


def report_threads(
    report: Report,
    cases: dict[tuple[int, int], Times],
    images: Images,
    options: argparse.Namespace,
) -> None:
    named = {f"{batch} x {size}x{size}": times for (batch, size), times in cases.items()}
    report.keep("threads", named)
    rows = []
    for (batch, _), (name, times) in zip(cases, named.items(), strict=True):
        one, several = (images.typical(times[number], batch) for number in times)
        rows.append([name, f"{one:.1f}", f"{several:.1f}", f"{one / several:.2f}"])
    columns = ["batch", "1 thread, ms", f"{options.threads} threads, ms", "times faster"]
    report.table("threads", columns, rows, "Threads")


def report_loss(report: Report, times: dict[str, Times], options: argparse.Namespace) -> None:
    report.keep("loss", times)
    wall, processors = (
        {name: median(durations) for name, durations in clock.items()} for clock in times.values()
    )
    by_torch = wall[BY_TORCH]
    rows = [
        [name, f"{wall[name]:.0f}", f"{processors[name]:.0f}", f"{wall[name] / by_torch:.2f}"]
        for name in wall
    ]
    report.table(
        "loss",
        ["part", "ms", "ms of processors", "share of the time by torch"],
        rows,
        "The loss, forward and backward: "
        f"{LOSS['batch']} x {LOSS['size']}x{LOSS['size']}x{LOSS['classes']}, "
        f"scale {LOSS['scale_factor']}, {options.threads} threads",
    )


def report_linearity(
    report: Report, what: str, cases: list[tuple[int, int]], images: Images
) -> None:
    times = {
        f"{size}x{size}x{channels}": time_once(images, size, channels) for size, channels in cases
    }
    report.keep(f"more {what}", times)
    rows = []
    for (size, channels), (name, taken) in zip(cases, times.items(), strict=True):
        each = 1e6 * median(taken) / (size * size * channels)
        rows.append([name, f"{median(taken):.1f}", f"{each:.2f}"])
    columns = ["case", "ms", "ns per pixel and channel"]
    report.table(f"more {what}", columns, rows, f"One thread, more {what}")


def report_memory(report: Report, cases: list[tuple[int, int, float, float]]) -> None:
    report.keep("memory", cases)
    rows = [
        [f"{size}x{size}x{channels}", f"{values:.0f}", f"{more:.0f}"]
        for size, channels, values, more in cases
    ]
    report.table(
        "memory",
        ["case", "values, MB", "more, MB"],
        rows,
        "Memory beyond image and values at the peak of a call, the result included",
    )


if __name__ == "__main__":
    main()
