"""What busy neighbours cost a training step on the CPU, by how OpenMP's threads wait.

    python benchmarks/neighbours.py configs/deeplabv3plus_mobilenet_scribble_sample.py \
        --neighbours 0 2 --json neighbours.json

PyTorch's threads spin while they wait for each other, and as soon as other processes want the
processor, too, they keep it from the very thread they wait for. Each row is a process of its own,
which trains on noise of the config's crop size, by the clock on the wall.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

import torch
from report import Report
from rich.progress import track
from training import config_parser, read_config  # imports mmseg_rloss before MMSeg's models

# isort: split
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_rloss import provide_images

OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
SETTINGS = {
    "as PyTorch has it": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
BATCH = 4


def main(argv: Sequence[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse_args(arguments)
    if options.alone:
        print(json.dumps(measure(read_config(options), options.steps)))
        return
    report = Report()
    report.say(f"{options.config.stem}, batch {BATCH}, {options.threads} threads")
    cases = [(count, name) for count in options.neighbours for name in SETTINGS]
    times = {}
    for count, name in track(cases, "Settings", disable=not sys.stderr.isatty()):
        with busy(count):
            times[f"{count} neighbours, {name}"] = measure_under(SETTINGS[name], arguments)
    report.keep("times", times)
    report.table("steps", ["setting", "s a step, median", "least", "most"], rows(times))
    report.write(options.json)


def rows(times: dict[str, list[float]]) -> Iterator[list[str]]:
    for name, taken in times.items():
        yield [name, *(f"{value:.2f}" for value in (median(taken), min(taken), max(taken)))]


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = config_parser(__doc__, "of the network to train")
    parser.add_argument(
        "--neighbours",
        type=int,
        nargs="+",
        default=[0, 2],
        metavar="N",
        help="how many processes keep the machine busy (default: 0, then 2)",
    )
    parser.add_argument("--steps", type=int, default=10, help="for each row (default: 10)")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(threads=len(os.sched_getaffinity(0)))
    return parser.parse_args(argv)


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes that compute until they are ended, or this one ends."""
    command = [sys.executable, "-c", f"import os\nwhile os.getppid() == {os.getpid()}: pass"]
    neighbours = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


def measure_under(setting: dict[str, str], arguments: list[str]) -> list[float]:
    """The steps of a process with that environment: OpenMP reads it as it is loaded."""
    environment = {name: value for name, value in os.environ.items() if name not in OPENMP}
    process = subprocess.run(
        [sys.executable, __file__, *arguments, "--alone"],
        env=environment | setting,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(process.stdout.splitlines()[-1])


def measure(config: Config, steps: int) -> list[float]:
    """Seconds on the wall's clock of each training step."""
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(config.model)).train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    size = config.crop_size
    batch = dict(inputs=[noise(3, size, 256) for _ in range(BATCH)], data_samples=[])
    for _ in range(BATCH):
        labels = PixelData(data=noise(1, size, config.model.decode_head.num_classes).long())
        batch["data_samples"].append(SegDataSample(gt_sem_seg=labels))
    times = []
    with provide_images(model):
        for index in range(steps + 1):  # the first is not counted
            start = time.perf_counter()
            model.train_step(batch, optimizer)
            times += [time.perf_counter() - start] * (index > 0)
    return times


def noise(channels: int, size: tuple[int, int], end: int) -> torch.Tensor:
    return torch.randint(end, (channels, *size), dtype=torch.uint8)


if __name__ == "__main__":
    main()
