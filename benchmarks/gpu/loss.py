"""What the loss costs by itself: time, kernels and memory, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmseg_rloss.ops import Scene

from .clock import Clock
from .setting import Setting


def loss_call(
    setting: Setting, image: Tensor, dtype: torch.dtype, by_torch: bool = False
) -> Callable[[], Tensor]:
    """A call from the images and the logits to the gradient of the logits.

    By torch, softmax, scaling and mask are its own functions, on full-size maps.
    """
    layer = setting.layer()
    region = torch.ones(len(image), *image.shape[2:], device=image.device)
    shape = len(image), setting.classes, *image.shape[2:]
    logits = torch.randn(shape, device=image.device, dtype=dtype).requires_grad_()

    def from_logits() -> Tensor:
        (gradient,) = torch.autograd.grad(layer.from_logits(Scene(image, region), logits), logits)
        return gradient

    def from_probabilities() -> Tensor:
        loss = layer(image, logits.float().softmax(1), region)
        return torch.autograd.grad(loss, logits)[0]

    return from_probabilities if by_torch else from_logits


def loss_times(setting: Setting, image: Tensor, clock: Clock) -> dict[str, float]:
    region = torch.ones(len(image), *image.shape[2:], device=image.device)
    layer, times = setting.layer(), {}

    def scene() -> Scene:
        """With its lattice, which is built ahead of the network in a training."""
        ahead = Scene(image, region)
        ahead.lattice(*layer.bandwidths)
        return ahead

    for dtype in (torch.float32, torch.bfloat16):
        shape = len(image), setting.classes, *image.shape[2:]
        logits = torch.randn(shape, device=image.device, dtype=dtype).requires_grad_()
        times[f"from {dtype} logits, after the lattice".replace("torch.", "")] = clock.milliseconds(
            lambda ahead, z=logits: torch.autograd.grad(layer.from_logits(ahead, z), z), scene
        )
    times["the lattice"] = clock.milliseconds(scene)
    by_torch = loss_call(setting, image, torch.float32, by_torch=True)
    times["all with torch's softmax and scaling"] = clock.milliseconds(by_torch)
    alone = loss_call(setting, image, torch.float32)
    times["wall of all, call after call"] = clock.wall_milliseconds(alone)
    return times


def memory(setting: Setting, image: Tensor) -> dict[str, float]:
    """What is allocated at the peak beyond images, logits and their gradient."""
    found = {}
    for name, by_torch in (("from logits", False), ("with torch's softmax and scaling", True)):
        call = loss_call(setting, image, torch.float32, by_torch)
        call()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        gradient = call()
        peak = torch.cuda.max_memory_allocated()
        found[name] = (peak - before - gradient.nbytes) / 1e6
        del gradient
    return found
