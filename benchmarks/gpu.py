"""What the DenseCRF loss costs on a GPU, after a check that it computes what the CPU does.

    python benchmarks/gpu.py --json gpu.json

Needs torch and Triton alone and runs from a bare source tree; nothing has to be installed. First
it compares the filter with the one on the CPU and with itself, and stops where they differ. Then
it times, by the device's clock: each stage of the filter, the filter in plain PyTorch, forward and
backward of the loss, the same through the host, and a training step of a DeepLab with and without
the loss. The floor is the time in which the device copies as many bytes as the loss must move.

`--device cpu` shows on any machine that the benchmark works: everything is small, the kernels run
in Triton's interpreter where Triton is there, and the times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from deeplab import DeepLab
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it when it is imported
from mmseg_rloss.ops import DenseCRFLoss, bilateral_filter, permutohedral_filter
from mmseg_rloss.ops.backends.native import lattice as native
from mmseg_rloss.ops.backends.reference import lattice as reference
from mmseg_rloss.ops.backends.triton import lattice as triton_lattice


class Setting(NamedTuple):
    """The batch and the loss that are measured."""

    batch: int
    classes: int
    size: int  # side of the square images in pixels
    scale_factor: float
    sigma_rgb: float
    sigma_xy: float


PUBLISHED = Setting(12, 21, 513, 0.5, 15.0, 100.0)  # rloss's own on PASCAL VOC
TINY = Setting(1, 2, 17, 0.5, 15.0, 30.0)  # for the interpreter

TOLERANCE = 1e-5  # of the norm, between filters that sum float32 in different orders
TARGETS = {  # of the published setting on an H200
    "loss_ms, at most": 2.0,
    "share_of_step, at most": 0.03,
    "times_faster_than_host, at least": 50.0,
}


def main() -> None:
    args = parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU that torch can use: --device cpu shows the benchmark without one")
    torch.manual_seed(0)
    setting = TINY if device.type == "cpu" else PUBLISHED
    given = {name: value for name, value in vars(args).items() if value is not None}
    setting = setting._replace(**{name: given[name] for name in Setting._fields if name in given})
    report = {"machine": machine(device), "setting": setting._asdict()}
    print(json.dumps(report, indent=2), flush=True)

    report["parity"] = parity(device)
    print_table("parity: relative difference", report["parity"], "{:.1e}")
    wrong = [name for name, error in report["parity"].items() if not error < TOLERANCE]
    if not wrong:
        report.update(measure(setting, device, args.repeats))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")
        print(f"written: {args.json}")
    if wrong:
        sys.exit(f"nothing was timed: the filter is wrong for {', '.join(wrong)}")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="Sizes default to rloss's: batch 12, 513x513."
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu (cuda)")
    parser.add_argument("--batch", type=int, help="images (12)")
    parser.add_argument("--classes", type=int, help="classes (21)")
    parser.add_argument("--size", type=int, help="side of the images in pixels (513)")
    parser.add_argument("--scale-factor", type=float, help="of the loss (0.5)")
    parser.add_argument("--repeats", type=int, default=50, help="timings per median (50)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    return parser.parse_args()


def machine(device: torch.device) -> dict[str, str]:
    found = {"python": platform.python_version(), "torch": torch.__version__}
    found["triton"] = version("triton") if triton_lattice.is_available() else "none"
    found["filter"] = "Triton" if selected(device) is triton_lattice else "plain PyTorch"
    found["filter_of_the_host"] = "compiled" if native.is_available() else "plain PyTorch"
    on_gpu = device.type == "cuda"
    found["device"] = torch.cuda.get_device_name(device) if on_gpu else platform.machine()
    return found


# Parity ------------------------------------------------------------------------------------------


def parity(device: torch.device) -> dict[str, float]:
    """Relative differences between the filter on ``device`` and the one on the CPU."""
    on_gpu = device.type == "cuda"
    paths = sorted((Path(__file__).resolve().parents[1] / "tests" / "data").glob("*.npz"))
    errors = {f"golden {path.stem}": golden_error(path, device) for path in paths}
    num_images, num_pixels = (2, 5000) if on_gpu else (1, 10)  # in the interpreter
    for dim, num_channels in enumerate((1, 2, 3, 4, 21, 33, 100, 150), start=1):
        num_channels = num_channels if on_gpu else dim
        features = torch.randn(num_images, dim, num_pixels) * 2
        values = torch.randn(num_images, num_channels, num_pixels)
        name = f"{dim} dimensions, {num_channels} channels"
        errors[name] = filter_error(features, values, device)
    for dtype in (torch.float16, torch.bfloat16):
        errors[f"{dtype} and its gradient"] = half_error(dtype, device)
    large = 2048 if on_gpu else 8
    errors[f"{large}x{large} against plain PyTorch"] = plain_error(large, device)
    errors["one run against another"] = repeated_error(large, device)
    return errors


def golden_error(path: Path, device: torch.device) -> float:
    """The original's own result: the gradient of its layer, of one order of the blur."""
    arrays = np.load(path)
    image, segmentation, region, expected = (
        torch.from_numpy(arrays[name]).to(device)
        for name in ("image", "segmentation", "roi", "grad")
    )
    scale, weight = arrays["scale_factor"].item(), arrays["weight"].item()
    sigmas = arrays["sigma_rgb"].item(), arrays["sigma_xy"].item() * scale
    segmentation.requires_grad_()
    image, region, scaled = scale_down(image, region, segmentation, scale)
    values = (scaled * region).detach()
    # The interpreter would take minutes for these.
    backend = selected(device) if device.type == "cuda" else reference
    filtered = backend.bilateral_filter(image, values, *sigmas, "ascending")
    energy = -2 * weight / len(image) * (scaled * region * filtered).sum()
    (gradient,) = torch.autograd.grad(energy, segmentation)
    return relative(gradient, expected)


def scale_down(
    image: Tensor, region: Tensor, segmentation: Tensor, scale_factor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As the loss does: nearest image (N, C, h, w) and region (N, 1, h, w), bilinear classes."""
    image, region = image.float(), region.float().unsqueeze(1)
    if scale_factor != 1:
        scale = {"scale_factor": scale_factor}
        image, region = F.interpolate(image, **scale), F.interpolate(region, **scale)
        segmentation = F.interpolate(segmentation, **scale, mode="bilinear")
    return image, region, segmentation


def filter_error(features: Tensor, values: Tensor, device: torch.device) -> float:
    result = selected(device).permutohedral_filter(features.to(device), values.to(device), "both")
    return relative(result.cpu(), permutohedral_filter(features, values))


def half_error(dtype: torch.dtype, device: torch.device) -> float:
    """Values of a shorter type: the same as their float32 filtered and rounded."""
    image = photos(1, 16).to(device)
    values = torch.rand(1, 3, 16, 16, device=device).to(dtype).requires_grad_()
    with torch.autocast(device.type, dtype=dtype):
        result = bilateral_filter(image, values, 15.0, 10.0)
        (gradient,) = torch.autograd.grad(result, values, torch.ones_like(result))
    if not result.dtype == gradient.dtype == dtype:
        return float("inf")
    expected = bilateral_filter(image, values.detach().float(), 15.0, 10.0).to(dtype)
    ones = bilateral_filter(image, torch.ones_like(values, dtype=torch.float32), 15.0, 10.0).to(
        dtype
    )
    return max(relative(result.float(), expected.float()), relative(gradient.float(), ones.float()))


def plain_error(size: int, device: torch.device) -> float:
    image, values = photos(1, size).to(device), torch.rand(1, 2, size, size, device=device)
    arguments = image, values, 15.0, 40.0, "both"
    return relative(
        selected(device).bilateral_filter(*arguments), reference.bilateral_filter(*arguments)
    )


def repeated_error(size: int, device: torch.device) -> float:
    image, values = photos(1, size).to(device), torch.rand(1, 5, size, size, device=device)
    arguments = image, values, 15.0, 40.0, "both"
    first, second = (selected(device).bilateral_filter(*arguments) for _ in range(2))
    return 0.0 if torch.equal(first, second) else max(relative(first, second), 1.0)


def relative(result: Tensor, expected: Tensor) -> float:
    result, expected = result.double(), expected.double()
    return ((result - expected).norm() / expected.norm()).item()


def selected(device: torch.device) -> ModuleType:
    """The filter that is measured: the kernels wherever they can run."""
    runs = device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
    return triton_lattice if runs and triton_lattice.is_available() else reference


def photos(batch: int, size: int) -> Tensor:
    """Images (N, 3, size, size) of smooth areas, edges and noise, each of other content."""
    coarse = torch.rand(batch, 3, size // 16 + 2, size // 16 + 2) * 255
    image = F.interpolate(coarse, size=(size, size), mode="bicubic")
    patches = F.interpolate(coarse, size=(size, size), mode="nearest")
    image = torch.where(torch.rand(batch, 1, 1, 1) < 0.5, image, 0.5 * (image + patches))
    return (image + 3 * torch.randn_like(image)).clamp(0, 255).round()


# Times -------------------------------------------------------------------------------------------


class Clock:
    """Medians of device times; of wall times on the CPU."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        # Occupies a GPU for a millisecond, so that the host is ahead of it as in training.
        size = 1 << (29 if device.type == "cuda" else 20)
        self.busy = torch.rand(2, size, device=device)

    def milliseconds(self, function: Callable[[], object]) -> float:
        for _ in range(min(3, self.repeats)):
            function()
        return median(self._once(function) for _ in range(self.repeats))

    def bandwidth(self) -> float:
        """Bytes read and written per second by a copy."""
        moved = 2 * self.busy[0].nbytes
        return moved / (self.milliseconds(self._occupy) * 1e-3)

    def _occupy(self) -> None:
        self.busy[0].copy_(self.busy[1])

    def _once(self, function: Callable[[], object]) -> float:
        if self.device.type == "cpu":
            start = time.perf_counter()
            function()
            return (time.perf_counter() - start) * 1e3
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._occupy()
        begin.record()
        function()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)


class Batch(NamedTuple):
    image: Tensor  # (N, 3, H, W) in 0-255
    region: Tensor  # (N, H, W) of ones
    segmentation: Tensor  # (N, K, H, W) probabilities


def measure(setting: Setting, device: torch.device, repeats: int) -> dict[str, object]:
    if device.type == "cuda":
        torch.cuda.set_device(device)
    clock = Clock(device, repeats if device.type == "cuda" else 1)
    shape = (setting.batch, setting.classes, setting.size, setting.size)
    batch = Batch(
        photos(setting.batch, setting.size).to(device),
        torch.ones(setting.batch, setting.size, setting.size, device=device),
        torch.randn(shape, device=device).softmax(dim=1),
    )
    bandwidth = clock.bandwidth()
    print(f"\ncopy bandwidth: {bandwidth * 1e-9:.0f} GB/s, read and written")
    report: dict[str, object] = {"bandwidth": bandwidth}
    report["stages_ms"] = stages(setting, clock, batch)
    floors = {name: moved / bandwidth * 1e3 for name, moved in stage_bytes(setting, batch).items()}
    report["stage_floors_ms"] = floors
    print_table("stages of the loss: ms", report["stages_ms"], "{:.3f}")
    print_table("least times of the stages, at the copy bandwidth: ms", floors, "{:.3f}")
    report["loss_ms"] = loss = loss_times(setting, clock, batch)
    # Once each, image, region and classes are read and the gradient is written.
    moved = sum(tensor.nbytes for tensor in batch) + batch.segmentation.nbytes
    loss["floor"] = moved / bandwidth * 1e3
    print_table("forward and backward of the loss: ms", loss, "{:.3f}")
    del batch
    report["step_ms"] = step = step_times(setting, clock)
    print_table("training step of a DeepLab, ResNet-50: ms", step, "{:.2f}")
    report["targets"] = targets = against_targets(loss, step)
    print("\ntargets")
    for name, row in targets.items():
        print(f"  {name:45} {row['measured']:12.4f}   target {row['target']}")
    return report


def stages(setting: Setting, clock: Clock, batch: Batch) -> dict[str, float]:
    """Each stage alone, on what the one before it leaves."""

    def prepare() -> tuple[Tensor, Tensor]:
        scaled, inside, classes = scale_down(*batch, setting.scale_factor)
        return scaled, classes * inside

    scaled, classes = prepare()
    sigmas = setting.sigma_rgb, setting.sigma_xy * setting.scale_factor
    arguments = scaled, classes, *sigmas, "both"
    steps: dict[str, Callable[[], object]] = {"scale down": prepare}
    if selected(clock.device) is triton_lattice:
        pixels, values = (scaled.flatten(2), *sigmas, scaled.shape[3]), classes.flatten(2)
        lattice = triton_lattice.build_lattice(*pixels)
        packed, largest = triton_lattice.pack(values)
        points = triton_lattice.splat(lattice, packed, largest)
        target = torch.empty_like(values)
        steps |= {
            "lattice": lambda: triton_lattice.build_lattice(*pixels),
            "pack": lambda: triton_lattice.pack(values),
            "splat": lambda: triton_lattice.splat(lattice, packed, largest),
            "blur": lambda: triton_lattice.blur_points(lattice, points, "both"),
            "slice": lambda: triton_lattice.slice_into(target, lattice, points, largest),
            "the whole filter": lambda: triton_lattice.bilateral_filter(*arguments),
        }
    steps["the filter in plain PyTorch"] = lambda: reference.bilateral_filter(*arguments)
    return {name: clock.milliseconds(step) for name, step in steps.items()}


def stage_bytes(setting: Setting, batch: Batch) -> dict[str, int]:
    """What each stage reads and writes, once; the lattice points stay in the cache."""
    image, _, classes = scale_down(*batch, setting.scale_factor)
    corners = 6 * 2 * image[:, :1].nbytes  # six indices and six weights of each pixel
    return {
        "scale down": sum(tensor.nbytes for tensor in batch) + image.nbytes + classes.nbytes,
        "lattice": image.nbytes + corners,
        "pack": 2 * classes.nbytes,
        "splat": classes.nbytes + corners,
        "slice": corners + classes.nbytes,
        "the whole filter": image.nbytes + 2 * classes.nbytes,
    }


def loss_times(setting: Setting, clock: Clock, batch: Batch) -> dict[str, float]:
    """The layer on the device and through the host."""
    layer = DenseCRFLoss(2e-9, setting.sigma_rgb, setting.sigma_xy, setting.scale_factor)
    leaf = batch.segmentation.detach().requires_grad_()

    def forward() -> Tensor:
        return layer(batch.image, leaf, batch.region)

    def both() -> Tensor:
        (gradient,) = torch.autograd.grad(forward(), leaf)
        return gradient

    def through_the_host() -> Tensor:
        host = leaf.detach().cpu().requires_grad_()
        loss = layer(batch.image.cpu(), host, batch.region.cpu())
        (gradient,) = torch.autograd.grad(loss, host)
        return gradient.to(leaf.device)

    return {
        "forward": clock.milliseconds(forward),
        "forward and backward": clock.milliseconds(both),
        "through the host": Clock(clock.device, 3).milliseconds(through_the_host),
    }


def step_times(setting: Setting, clock: Clock) -> dict[str, float]:
    """A step of SGD on scribbles with and without the loss, in float32 and in bfloat16."""
    device, on_gpu = clock.device, clock.device.type == "cuda"
    network = DeepLab(setting.classes, width=64 if on_gpu else 8).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    layer = DenseCRFLoss(2e-9, setting.sigma_rgb, setting.sigma_xy, setting.scale_factor)
    image = photos(setting.batch, setting.size).to(device)
    region = torch.ones(setting.batch, setting.size, setting.size, device=device)
    scribbles = torch.randint(setting.classes, region.shape, device=device)
    scribbles[torch.rand(region.shape, device=device) > 0.03] = 255

    def step(autocast: bool, with_loss: bool) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            scores = network((image - 118.0) / 58.0)
            loss = F.cross_entropy(scores, scribbles, ignore_index=255)
            if with_loss:
                loss = loss + layer(image, scores.softmax(dim=1), region)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {
        f"{name}, {'with' if with_loss else 'without'} the loss": clock.milliseconds(
            lambda autocast=autocast, with_loss=with_loss: step(autocast, with_loss)
        )
        for name, autocast in (("float32", False), ("bfloat16", True))
        for with_loss in (False, True)
    }


def against_targets(loss: dict[str, float], step: dict[str, float]) -> dict[str, dict[str, float]]:
    """The figures that the targets are about; the share is that of the shortest step."""
    milliseconds = loss["forward and backward"]
    measured = {
        "loss_ms, at most": milliseconds,
        "share_of_step, at most": milliseconds / min(step.values()),
        "times_faster_than_host, at least": loss["through the host"] / milliseconds,
    }
    return {name: {"measured": value, "target": TARGETS[name]} for name, value in measured.items()}


def print_table(title: str, rows: dict[str, float], number: str) -> None:
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:45} {number.format(value):>12}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
