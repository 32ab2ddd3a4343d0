"""What the DenseCRF loss costs on a GPU, after a check that it computes what the CPU does.

    python -m benchmarks.gpu --data IMAGES --json gpu.json

Needs torch and Triton alone, `--data` MMSegmentation as well, to read the images. Runs in the root
of a source tree in which nothing is installed. First it compares filter, probabilities and loss
with those of the CPU, and stops where they differ. Then it measures, forward and backward from
logits: device time with the device kept busy beforehand, as in training, the kernels with the
pauses between them, and the memory. Last, a training step with and without the loss: that of
MMSegmentation's DeepLabV3+ MobileNetV2 where MMSegmentation is installed, else that of a DeepLab of
stock modules.

`--device cpu` shows on any machine that the benchmark works: everything is small, the kernels run
in Triton's interpreter where Triton is there, and the times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it when it is imported
from mmseg_rloss.ops.profiling import available_backends, backend_of

from .clock import Clock, kernels_of
from .loss import loss_call, loss_times, memory
from .parity import TOLERANCE, parity
from .setting import PUBLISHED, TINY, Setting, draw_images, load_images
from .step import steps
from .tables import print_table, show_kernels


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    device = torch.device(args.device)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            sys.exit("there is no GPU that torch can use: --device cpu shows the benchmark")
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)
    torch.manual_seed(0)
    setting = TINY if device.type == "cpu" else PUBLISHED
    given = {name: value for name, value in vars(args).items() if value is not None}
    setting = setting._replace(**{name: given[name] for name in Setting._fields if name in given})
    report: dict[str, object] = {"machine": machine(device), "setting": setting._asdict()}
    print(json.dumps(report, indent=2), flush=True)

    image = load_images(args.data, setting) if args.data else draw_images(setting)
    report["parity"] = parity(device)
    print_table("parity: relative difference", report["parity"], "{:.1e}")
    wrong = [name for name, error in report["parity"].items() if not error < TOLERANCE]
    if not wrong:
        report.update(measure(setting, image.to(device), args.repeats))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")
        print(f"written: {args.json}")
    if wrong:
        sys.exit(f"nothing was timed: the results are wrong for {', '.join(wrong)}")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__.split("\n\n")[0],
        epilog="Sizes default to rloss's: batch 12, 513x513.",
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="images (drawn ones)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu (cuda)")
    parser.add_argument("--batch", type=int, help="images (12)")
    parser.add_argument("--classes", type=int, help="classes (21)")
    parser.add_argument("--size", type=int, help="side of the images in pixels (513)")
    parser.add_argument("--scale-factor", type=float, help="of the loss (0.5)")
    parser.add_argument("--repeats", type=int, default=50, help="timings per median (50)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    return parser.parse_args(argv)


def machine(device: torch.device) -> dict[str, str]:
    found = {"date": f"{datetime.now(timezone.utc):%Y-%m-%d}", "python": platform.python_version()}
    found["torch"] = torch.__version__
    has_triton = "triton" in available_backends()
    found["triton"] = version("triton") if has_triton else "none"
    on_gpu = device.type == "cuda"
    found["kernels"] = "triton" if has_triton else "reference"
    found["kernels_of_the_host"] = backend_of("cpu")
    found["device"] = torch.cuda.get_device_name(device) if on_gpu else platform.machine()
    return found


def measure(setting: Setting, image: Tensor, repeats: int) -> dict[str, object]:
    device = image.device
    clock = Clock(device, repeats if device.type == "cuda" else 1)
    report: dict[str, object] = {"copy_gb_per_s": clock.bandwidth() * 1e-9}
    print(f"\ncopy bandwidth: {report['copy_gb_per_s']:.0f} GB/s, read and written")
    report["loss_ms"] = loss_times(setting, image, clock)
    print_table("forward and backward of the loss: ms", report["loss_ms"], "{:.3f}")
    if device.type == "cuda":
        ours = loss_call(setting, image, torch.float32)
        kernels = kernels_of(ours, device)
        report["kernels"] = [kernel._asdict() for kernel in kernels]
        report["busy_us"] = sum(kernel.duration for kernel in kernels)
        show_kernels(kernels)
        report["memory_mb"] = memory(setting, image)
        print_table("extra memory at the peak: MB", report["memory_mb"], "{:.0f}")
    report["step"] = steps(setting, image, clock)
    return report


if __name__ == "__main__":
    main()
