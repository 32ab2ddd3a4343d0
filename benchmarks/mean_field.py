"""What mean-field inference costs on the CPU: compiled, its twin, and pydensecrf.

    python benchmarks/mean_field.py --data FOLDER --json mean_field.json

One thread, all in turn on the same images, by the thread's own processor time, which other
processes disturb little. The twin composes PyTorch's functions, on the compiled filter. pydensecrf
takes part where it can be imported. The table shows medians of every repetition on every image;
`--json` has the time of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import numpy as np
import torch
from images import add_options, load_images, to_tensor
from report import Report
from rich.progress import track
from torch import Tensor

from mmseg_rloss.ops import dense_crf_inference, set_num_threads
from mmseg_rloss.ops.profiling import use_backend

try:
    from pydensecrf import densecrf as pydensecrf
    from pydensecrf.utils import unary_from_softmax
except ImportError:
    pydensecrf = None


def main(argv: Sequence[str] | None = None) -> None:
    options = parse_args(argv)
    torch.set_num_threads(1)
    set_num_threads(1)
    torch.manual_seed(0)
    loaded, source = load_images(options.data)
    images = [to_tensor(image, *options.size) for image in loaded]
    report = Report()
    report.say(
        f"{options.iterations} iterations, {options.classes} classes, {source}, "
        f"{options.size[0]}x{options.size[1]}, one thread"
    )
    times = measure(images, options)
    report.keep("times", times)
    report.table("mean_field", ["inference", "ms", "times the compiled"], rows(times))
    report.write(options.json)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.set_defaults(repeats=5)
    parser.add_argument("--size", type=int, nargs=2, default=[500, 375], help="width and height")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--iterations", type=int, default=10)
    return parser.parse_args(argv)


def measure(images: list[Tensor], options: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds of every call, by what was called."""
    functions: dict[str, Callable[[Tensor, Tensor, int], object]] = {
        "compiled": dense_crf_inference,
        "twin": run_twin,
    }
    if pydensecrf:
        functions["pydensecrf"] = run_pydensecrf
    width, height = options.size
    predictions = [torch.randn(1, options.classes, height, width).mul(2).softmax(1) for _ in images]
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in track(range(options.repeats), "inference", transient=True):
        for image, probabilities in zip(images, predictions, strict=True):
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


def rows(times: dict[str, list[float]]) -> Iterator[tuple[str, ...]]:
    for name, durations in times.items():
        ratio = median(durations) / median(times["compiled"])
        yield name, f"{median(durations):.0f}", f"{ratio:.1f}"


if __name__ == "__main__":
    main()
