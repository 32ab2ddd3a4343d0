"""What mean-field inference costs on the CPU: compiled, its twin, and pydensecrf.

    python benchmarks/mean_field.py --data FOLDER --json mean_field.json

One thread, all in turn on the same photos, by the thread's own processor time, which other
processes disturb little. The twin composes PyTorch's functions, on the compiled filter. pydensecrf
takes part where it can be imported. The table shows medians of every repetition on every photo;
`--json` has the time of each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import machine_and_date
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from mmseg_rloss.ops import dense_crf_inference, set_num_threads
from mmseg_rloss.ops.profiling import use_backend

try:
    from pydensecrf import densecrf as pydensecrf
    from pydensecrf.utils import unary_from_softmax
except ImportError:
    pydensecrf = None

MAX_PHOTOS = 4


def main() -> None:
    options = parse_arguments()
    console = Console(width=100)
    torch.set_num_threads(1)
    set_num_threads(1)
    torch.manual_seed(0)
    photos, source = load_photos(options.data, *options.size)
    report = machine_and_date()
    console.print(f"{report['machine']}, {report['date']}")
    console.print(
        f"{options.iterations} iterations, {options.classes} classes, {source}, "
        f"{options.size[0]}x{options.size[1]}, one thread"
    )
    report["times"] = times = measure(photos, options)
    console.print(tabulate(times))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of photos; a drawn one by default")
    parser.add_argument("--size", type=int, nargs=2, default=[500, 375], help="width and height")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5, help="on every photo")
    parser.add_argument("--json", type=Path, help="write all times to this file")
    return parser.parse_args()


def load_photos(folder: Path | None, width: int, height: int) -> tuple[list[Tensor], str]:
    """Images (1, 3, H, W), uint8, and where they are from."""
    if folder is None:
        return [draw(width, height)], "a drawn image"
    paths = sorted(folder.glob("*.jpg"))[:MAX_PHOTOS]
    images = [Image.open(path).convert("RGB").resize((width, height)) for path in paths]
    pixels = [torch.from_numpy(np.array(image)) for image in images]  # (H, W, 3)
    return [image.permute(2, 0, 1)[None].contiguous() for image in pixels], f"{len(paths)} photos"


def draw(width: int, height: int) -> Tensor:
    """Smooth areas with edges and a little noise, as photos have them."""
    coarse = torch.randint(0, 256, (1, 3, 9, 9)).float()
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic")
    return (smooth + 2 * torch.randn_like(smooth)).clamp(0, 255).byte()


def measure(photos: list[Tensor], options: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds of every call, by what was called."""
    functions: dict[str, Callable[[Tensor, Tensor, int], object]] = {
        "compiled": dense_crf_inference,
        "twin": run_twin,
    }
    if pydensecrf:
        functions["pydensecrf"] = run_pydensecrf
    width, height = options.size
    predictions = [torch.randn(1, options.classes, height, width).mul(2).softmax(1) for _ in photos]
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in track(range(options.repeats), "inference", transient=True):
        for image, probabilities in zip(photos, predictions, strict=True):
            for name, function in functions.items():
                start = time.thread_time()
                function(image, probabilities, options.iterations)
                times[name].append(1e3 * (time.thread_time() - start))
    return times


def run_twin(image: Tensor, probabilities: Tensor, iterations: int) -> Tensor:
    with use_backend("reference", "mean_field"):
        return dense_crf_inference(image, probabilities, iterations)


def run_pydensecrf(image: Tensor, probabilities: Tensor, iterations: int) -> np.ndarray:
    """The same by pydensecrf, as its documentation shows it."""
    classes, height, width = probabilities.shape[1:]
    crf = pydensecrf.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(unary_from_softmax(probabilities[0].numpy()))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    pixels = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=pixels, compat=10)
    return np.array(crf.inference(iterations))


def tabulate(times: dict[str, list[float]]) -> Table:
    table = Table("inference", "ms", "times the compiled")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, durations in times.items():
        ratio = median(durations) / median(times["compiled"])
        table.add_row(name, f"{median(durations):.0f}", f"{ratio:.1f}")
    return table


if __name__ == "__main__":
    main()
