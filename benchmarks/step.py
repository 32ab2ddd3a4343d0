"""What the losses of a config add to a training step on the CPU.

    python benchmarks/step.py configs/deeplabv3plus_mobilenet_scribble_self_label_animals.py \
        --json step.json

Batches of the config's own training set, all variants in turn on each, by the processor time of the
process, which others disturb less than the clock on the wall. The weights come from nowhere, so
`model.pretrained` need not be there.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import torch
from report import Report
from rich.progress import track
from training import config_parser, read_config  # imports mmseg_rloss before MMSeg's models

# isort: split
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmseg.registry import DATASETS, MODELS

from mmseg_rloss import provide_images
from mmseg_rloss.models import RegularizedLoss

ALONE = "without"


def main(argv: Sequence[str] | None = None) -> None:
    options = parse_args(argv)
    torch.manual_seed(0)
    config = read_config(options)
    report = Report()
    report.say(f"{options.config.stem}, {options.threads} threads, {options.repeats} batches")
    times = measure(config, options.repeats)
    report.keep("times", times)
    report.table("step", ["step", "ms, median", "more than without, of pairs"], rows(times))
    report.write(options.json)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = config_parser(__doc__, "of a network with a regularized loss")
    parser.add_argument("--repeats", type=int, default=20, help="batches (default: 20)")
    return parser.parse_args(argv)


def measure(config: Config, repeats: int) -> dict[str, list[float]]:
    """Seconds of processor time of each step: without such losses, and with each of the head."""
    model = revert_sync_batchnorm(MODELS.build(config.model)).train()
    model.to(memory_format=torch.channels_last)
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    losses = [loss for loss in model.modules() if isinstance(loss, RegularizedLoss)]
    if not losses:
        raise SystemExit("config must list a regularized loss in loss_decode of a head")
    variants = {ALONE: None} | {loss.loss_name: loss for loss in losses}
    times = {name: [] for name in variants}
    dataset = DATASETS.build(config.train_dataloader.dataset)
    size = config.train_dataloader.batch_size
    with provide_images(model):
        for index in track(range(repeats + 1), "Steps"):  # the first is not counted
            samples = [dataset[(index * size + place) % len(dataset)] for place in range(size)]
            batch = model.data_preprocessor(pseudo_collate(samples), True)
            for name, wanted in variants.items():
                run = functools.partial(step, model, optimizer, batch, losses, wanted)
                taken = processor_time(run)
                times[name] += [taken] * (index > 0)
    return times


def step(
    model: torch.nn.Module,
    optimizer: object,
    batch: dict,
    losses: list[RegularizedLoss],
    wanted: RegularizedLoss | None,
) -> None:
    """A training step with one of the losses; the others are suspended."""
    for loss in losses:
        if loss is not wanted:
            loss.suspend()
    terms = model(**batch, mode="loss")
    optimizer.update_params(sum(value for name, value in terms.items() if "loss" in name))


def processor_time(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def rows(times: dict[str, list[float]]) -> Iterator[tuple[str, ...]]:
    for name, taken in times.items():
        pairs = [one / other - 1 for one, other in zip(taken, times[ALONE], strict=True)]
        yield name, f"{1e3 * median(taken):.0f}", f"{100 * median(pairs):+.1f}%"


if __name__ == "__main__":
    main()
