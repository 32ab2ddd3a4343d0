"""What filter and loss cost on the CPU: stages, the floor of a copy, threads, from the logits.

    python benchmarks/filter.py --json filter.json

The floor is the time of memcpy for the image and the values on one thread. Filter, twin and memcpy
take turns on the same sets of images, values and results, which together are several times larger
than the caches: none of them finds its data where the one before left it. One thread is measured
by its own processor time, which other processes disturb little; two threads are measured by the
clock on the wall, which needs a quiet machine; the loss by both. What is compared gets the same
photos: they differ by half in their times. Tables show medians, of photos their mean; `--json` has
the time of every repetition.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import torch
from machine import machine_and_date
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from mmseg_rloss.ops import (
    DenseCRFLoss,
    Scene,
    bilateral_filter,
    scaled_probabilities,
    set_num_threads,
)
from mmseg_rloss.ops.profiling import filter_stages, use_backend

PHOTOS = Path(__file__).resolve().parents[2] / "shared/voc_animals/JPEGImages"
SIGMA_RGB = 15.0
ROTATED_BYTES = 256 << 20  # several times the last-level cache
LOSS = {"batch": 12, "size": 513, "classes": 21, "scale_factor": 0.5, "sigma_xy": 100.0}
LINEARITY_SIZES = (257, 513, 1025, 2048)
LINEARITY_CHANNELS = (1, 8, 21, 32, 64, 150)
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


def main() -> None:
    options = parse_arguments()
    console = Console(width=100)
    torch.set_num_threads(1)
    photos = Photos(options.images)
    report = machine_and_date()
    console.print(f"{report['machine']}, {report['date']}; {photos.source}")
    show = Show(console, report, photos)

    stages = {size: time_stages(photos, size, options) for size in options.sizes}
    show.stages(stages, options)
    threads = {
        (batch, size): time_threads(photos, batch, size, options)
        for size in options.sizes
        for batch in (1, 2, 12)
    }
    show.threads(threads, options)
    show.loss(time_loss(photos, options), options)
    show.linearity("pixels", [(size, options.channels) for size in LINEARITY_SIZES], photos)
    show.linearity("channels", [(257, channels) for channels in LINEARITY_CHANNELS], photos)
    show.memory([(*case, *peak_memory(*case)) for case in MEMORY_CASES])
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, nargs="*", help="photos; a few of VOC by default")
    parser.add_argument("--sizes", type=int, nargs="+", default=[257, 513], help="square sides")
    parser.add_argument("--channels", type=int, default=21, help="of the values")
    parser.add_argument("--threads", type=int, default=2, help="compared with one")
    parser.add_argument("--repeats", type=int, default=30, help="of every measurement")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


class Photos:
    """Real photos where there are any, else a drawn one, in any size."""

    def __init__(self, paths: list[Path] | None) -> None:
        paths = paths or sorted(PHOTOS.glob("*.jpg"))[:4]
        self.source = f"{len(paths)} photos" if paths else "a drawn image"
        self._photos = [Image.open(path).convert("RGB") for path in paths] or [self._draw()]

    def batch(self, count: int, size: int, first: int = 0) -> Tensor:
        """Photos (count, 3, size, size) in 0-255."""
        chosen = (self._photos[i % len(self._photos)] for i in range(first, first + count))
        photos = [photo.resize((size, size)) for photo in chosen]
        pixels = [torch.frombuffer(bytearray(p.tobytes()), dtype=torch.uint8) for p in photos]
        stacked = torch.stack(pixels).view(count, size, size, 3)
        return stacked.permute(0, 3, 1, 2).float().contiguous()

    def rotation(self, count: int, size: int, channels: int) -> Iterator[list[Case]]:
        """Pairs of sets of buffers with the same photos, in turn, for ever."""
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
        """After how many batches of so many photos the same photos come again."""
        return len(self._photos) // math.gcd(len(self._photos), count)

    def typical(self, times: list[float], count: int = 1) -> float:
        """The mean over the batches of a rotation of the median of each."""
        period = min(self.period(count), len(times))
        return mean(median(times[i::period]) for i in range(period))

    @staticmethod
    def _draw() -> Image.Image:
        """Smooth areas with edges and a little noise, as photos have them."""
        torch.manual_seed(0)
        coarse = torch.randint(0, 256, (1, 3, 9, 9)).float()
        smooth = F.interpolate(coarse, size=(400, 400), mode="bicubic", align_corners=False)
        noisy = (smooth + 2 * torch.randn_like(smooth)).clamp(0, 255).byte()
        return Image.fromarray(noisy[0].permute(1, 2, 0).contiguous().numpy())


def sigma_xy(size: int) -> float:
    """The bandwidth of a photo that is enlarged to ``size``: 50 at 257, 100 at 513."""
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


def time_stages(photos: Photos, size: int, options: argparse.Namespace) -> Times:
    """One thread: the stages, the whole filter, memcpy and the twin."""
    cases = photos.rotation(1, size, options.channels)
    spare = torch.zeros(1, 3, size, size)
    times: Times = {}
    for _ in track(range(options.repeats), f"stages {size}", transient=True):
        to_filter, to_copy = next(cases)
        filtered, seconds = timed(time.thread_time, run_native, to_filter, 1)
        copied, _ = timed(time.thread_time, run_memcpy, to_copy, spare)
        for stage, duration in seconds.items():
            times.setdefault(stage, []).append(1e3 * duration)
        times.setdefault("total", []).append(filtered)
        times.setdefault("memcpy", []).append(copied)
    for _ in range(min(options.repeats, 3)):
        image, values, _ = next(cases)[0]
        sigmas = SIGMA_RGB, sigma_xy(size)
        with use_backend("reference"):
            twin, _ = timed(time.thread_time, bilateral_filter, image, values, *sigmas)
        times.setdefault("plain PyTorch", []).append(twin)
    return times


def time_threads(photos: Photos, batch: int, size: int, options: argparse.Namespace) -> Times:
    """A batch with one thread and with several, in turn."""
    cases = photos.rotation(batch, size, options.channels)
    times: Times = {"one": [], "several": []}
    for _ in track(range(options.repeats), f"threads {batch} x {size}", transient=True):
        numbers = 1, options.threads
        for name, case, threads in zip(times, next(cases), numbers, strict=True):
            times[name].append(timed(time.perf_counter, run_native, case, threads)[0])
    return times


def time_loss(photos: Photos, options: argparse.Namespace) -> dict[str, Times]:
    """The DenseCRF loss from logits, forward and backward, its parts, and the same by torch.

    By the clock on the wall, and by the time of all processors that worked on it.
    """
    batch, size, scale = LOSS["batch"], LOSS["size"], LOSS["scale_factor"]
    torch.set_num_threads(options.threads)
    set_num_threads(options.threads)
    image, region = photos.batch(batch, size), torch.ones(batch, size, size)
    logits = torch.randn(batch, LOSS["classes"], size, size, requires_grad=True)
    layer = DenseCRFLoss(2e-9, SIGMA_RGB, LOSS["sigma_xy"], scale)
    scene = Scene(image, region)
    small = scene.region(scale, logits)
    lattice = scene.lattice(*layer.bandwidths)
    values = scaled_probabilities(logits.detach(), small, scale)

    def gradient(value: Tensor, grad: Tensor | None = None) -> None:
        torch.autograd.grad(value, logits, grad)

    parts = {
        "from logits": lambda: gradient(layer.from_logits(Scene(image, region), logits)),
        "by torch's softmax and scaling": lambda: gradient(
            layer(image, logits.softmax(dim=1), region)
        ),
        "torch's softmax alone": lambda: gradient(logits.softmax(dim=1), logits.detach()),
        "probabilities": lambda: gradient(scaled_probabilities(logits, small, scale), values),
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


def time_once(photos: Photos, size: int, channels: int) -> list[float]:
    """One thread, few repetitions on the same buffers."""
    values = torch.rand(1, channels, size, size)
    case = Case(photos.batch(1, size), values, torch.zeros_like(values))
    run_native(case, 1)
    return [timed(time.thread_time, run_native, case, 1)[0] for _ in range(5)]


def peak_memory(size: int, channels: int) -> tuple[float, float]:
    """Megabytes of the values, and how many more the filter takes at its peak, result included."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak_memory, (size, channels))


def _peak_memory(size: int, channels: int) -> tuple[float, float]:
    photos = Photos(None)
    image, values = photos.batch(1, size), torch.rand(1, channels, size, size)
    set_num_threads(1)
    bilateral_filter(image[..., :9, :9], values[..., :9, :9], SIGMA_RGB, 9.0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew here
    before = _status("VmRSS")
    bilateral_filter(image, values, SIGMA_RGB, sigma_xy(size))
    return values.nbytes / 2**20, (_status("VmHWM") - before) / 2**10


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])  # kB


class Show:
    """Prints tables and keeps their figures for the JSON file."""

    def __init__(self, console: Console, report: dict, photos: Photos) -> None:
        self._console = console
        self._report = report
        self._photos = photos

    def stages(self, cases: dict[int, Times], options: argparse.Namespace) -> None:
        table = Table(
            *("ms", *(f"{size}x{size}x{options.channels}" for size in cases)),
            title="The filter, one thread",
        )
        rows, typical = list(next(iter(cases.values()))), self._photos.typical
        for row in rows:
            table.add_row(row, *(f"{typical(times[row]):.2f}" for times in cases.values()))
        ratios = [typical(times["total"]) / typical(times["memcpy"]) for times in cases.values()]
        table.add_row("total / memcpy", *(f"{ratio:.1f}" for ratio in ratios))
        self._print(table, "stages", cases)

    def threads(self, cases: dict[tuple[int, int], Times], options: argparse.Namespace) -> None:
        table = Table(
            "batch",
            "1 thread, ms",
            f"{options.threads} threads, ms",
            "times faster",
            title="Threads",
        )
        figures = {}
        for (batch, size), times in cases.items():
            one, several = (self._photos.typical(times[name], batch) for name in times)
            name = f"{batch} x {size}x{size}"
            table.add_row(name, f"{one:.1f}", f"{several:.1f}", f"{one / several:.2f}")
            figures[name] = times
        self._print(table, "threads", figures)

    def loss(self, times: dict[str, Times], options: argparse.Namespace) -> None:
        table = Table(
            *("part", "ms", "ms of all processors", "share of the time by torch"),
            title="The loss, forward and backward: "
            f"{LOSS['batch']} x {LOSS['size']}x{LOSS['size']}x{LOSS['classes']}, "
            f"scale {LOSS['scale_factor']}, {options.threads} threads",
        )
        wall, processors = (
            {name: median(durations) for name, durations in clock.items()}
            for clock in times.values()
        )
        by_torch = wall["by torch's softmax and scaling"]
        for name in wall:
            share = f"{wall[name] / by_torch:.2f}"
            table.add_row(name, f"{wall[name]:.0f}", f"{processors[name]:.0f}", share)
        self._print(table, "loss", times)

    def linearity(self, what: str, cases: list[tuple[int, int]], photos: Photos) -> None:
        table = Table("case", "ms", "ns per pixel and channel", title=f"One thread, more {what}")
        figures = {}
        for size, channels in cases:
            name = f"{size}x{size}x{channels}"
            figures[name] = time_once(photos, size, channels)
            duration = median(figures[name])
            each = 1e6 * duration / (size * size * channels)
            table.add_row(name, f"{duration:.1f}", f"{each:.2f}")
        self._print(table, f"more {what}", figures)

    def memory(self, cases: list[tuple[int, int, float, float]]) -> None:
        table = Table("case", "values, MB", "more at the peak, MB", title="Memory, one thread")
        for size, channels, values, more in cases:
            table.add_row(f"{size}x{size}x{channels}", f"{values:.0f}", f"{more:.0f}")
        self._print(table, "memory", cases)

    def _print(self, table: Table, name: str, figures: object) -> None:
        for column in table.columns[1:]:
            column.justify = "right"
        self._console.print(table)
        self._report[name] = figures


if __name__ == "__main__":
    main()
