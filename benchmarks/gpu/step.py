"""What the loss adds to a training step."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mmseg_rloss.ops.profiling import gpu_kernels

from .clock import Clock, kernels_of
from .setting import Setting
from .trainers import MMSegTrainer, StockTrainer

PAUSE = 20.0  # microseconds between the loss's kernels within a step, at most


def steps(setting: Setting, image: Tensor, clock: Clock) -> dict[str, object]:
    """A step of SGD on scribbles in several layouts and types, with and without the loss."""
    on_gpu = image.device.type == "cuda"
    trainer = MMSegTrainer if on_gpu and find_spec("mmseg") else StockTrainer
    print(f"\ntraining step of {trainer.network}")
    print(f"  {'':34} {'wall ms':>9} {'device ms':>9} {'peak GB':>8}")
    report: dict[str, object] = {"network": trainer.network}
    for layout in (torch.contiguous_format, torch.channels_last)[: 2 if on_gpu else 1]:
        for bfloat16 in (False, True)[: 2 if on_gpu else 1]:
            for with_loss in (False, True):
                name = "channels last" if layout is torch.channels_last else "NCHW"
                name += ", bfloat16" if bfloat16 else ", float32"
                name += ", with the loss" if with_loss else ""
                trained = trainer(setting, image, layout, bfloat16, with_loss)
                report[name] = row = time_step(trained, clock)
                print(f"  {name:34} {row['wall']:9.2f} {row['device']:9.2f} {row['peak_gb']:8.2f}")
                if with_loss and on_gpu:
                    row |= inspect_step(trained, image.device)
                    print(
                        f"  {'':34} longest pause beside the loss's kernels "
                        f"{row['longest_pause_us']:.0f} us (at most {PAUSE:.0f} wanted), "
                        f"its waits after the forward has begun: {row['synchronisations']}"
                    )
                sys.stdout.flush()
                del trained
                if on_gpu:
                    torch.cuda.empty_cache()
    return report


def time_step(trained: StockTrainer, clock: Clock) -> dict[str, float]:
    if clock.device.type == "cpu":
        return {"wall": clock.milliseconds(trained.step), "device": 0.0, "peak_gb": 0.0}
    trained.step()
    torch.cuda.reset_peak_memory_stats()
    wall = clock.wall_milliseconds(trained.step)
    peak = torch.cuda.max_memory_allocated() * 1e-9
    device = sum(k.duration for k in kernels_of(trained.step, clock.device)) * 1e-3
    return {"wall": wall, "device": device, "peak_gb": peak}


def inspect_step(trained: StockTrainer, device: torch.device) -> dict[str, float]:
    """The pauses of the device beside the loss's kernels, and what the host waited for."""
    kernels = kernels_of(trained.step, device)
    ours = [is_ours(kernel.name) for kernel in kernels]
    # The building of the lattice, ahead of the network, is apart from the rest.
    pauses = [
        kernel.pause
        for i, kernel in enumerate(kernels)
        if i > 0 and ours[i] and (ours[i - 1] or "build" not in stage(kernel.name))
    ]
    return {
        "longest_pause_us": max(pauses, default=0.0),
        "synchronisations": synchronisations(trained),
    }


def synchronisations(trained: StockTrainer) -> int:
    """How often this package's part of a step waits once the network's forward has begun."""
    begun = trained.body.register_forward_pre_hook(
        lambda *call: torch.cuda.set_sync_debug_mode("warn")
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained.step()
    torch.cuda.set_sync_debug_mode("default")
    begun.remove()
    return sum("mmseg_rloss" in Path(warning.filename).parts for warning in caught)


def stage(name: str) -> str:
    return "build" if name.startswith(("insert", "number")) else "loss"


def is_ours(name: str) -> bool:
    """Whether a kernel is one of this package's."""
    return name.startswith(tuple(gpu_kernels()))
