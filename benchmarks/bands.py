"""What the loss of a hyperspectral image costs on the CPU: time and memory of one call.

    python benchmarks/bands.py --bands 100 --size 256

The image is smooth with noise of its own in every band, the most that a lattice can have to hold:
every pixel gets D+1 lattice points of its own. Real bands are correlated and take less.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from mmseg_rloss.ops import densecrf_loss


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bands", type=int, default=100)
    parser.add_argument("--size", type=int, default=256, help="square side in pixels")
    parser.add_argument("--classes", type=int, default=8)
    options = parser.parse_args(argv)

    torch.manual_seed(0)
    size = options.size, options.size
    coarse = 255 * torch.rand(1, options.bands, size[0] // 8 + 2, size[1] // 8 + 2)
    image = F.interpolate(coarse, size, mode="bicubic")
    image = (image + 4 * torch.randn_like(image)).clamp(0, 255).round()
    segmentation = torch.randn(1, options.classes, *size).softmax(1).requires_grad_()

    memory, wall, cpu = peak_memory(), time.perf_counter(), time.process_time()
    densecrf_loss(image, segmentation, torch.ones(1, *size), 15.0, 100.0, 1.0).backward()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{options.bands} bands of {size[0]}x{size[1]}, {options.classes} classes: {wall:.1f} s by "
        f"the clock, {cpu:.1f} s of processor time, {peak_memory() - memory:.2f} GB more memory"
    )


def peak_memory() -> float:
    """The most that the process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
