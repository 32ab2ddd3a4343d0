"""The compiled probabilities for tensors on the CPU (csrc/probabilities says how they work)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...threads import num_threads
from .lattice import instruction_sets

try:
    from .. import _native
except ImportError:
    _native = None


def forward(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """The probabilities (N, C, h, w) of ``logits`` (N, K, H, W) within ``region`` (N, h, w)."""
    return run_forward(logits, region, scale_factor, num_threads(), instruction_sets()[-1])


def backward(grad: Tensor, logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """The gradient (N, K, H, W) of ``logits`` from that of the probabilities (N, C, h, w)."""
    best = instruction_sets()[-1]
    return run_backward(grad, logits, region, scale_factor, num_threads(), best)


def run_forward(
    logits: Tensor, region: Tensor, scale_factor: float, num_threads: int, instruction_set: str
) -> Tensor:
    """:func:`forward` by so many threads and one of :func:`~.lattice.instruction_sets`."""
    num_images, num_channels = logits.shape[:2]
    result = region.new_empty(num_images, max(2, num_channels), *region.shape[1:])
    _function("forward", logits)(
        _array(logits),
        _array(region),
        scale_factor,
        result.numpy(),
        num_threads,
        instruction_set,
    )
    return result


def run_backward(
    grad: Tensor,
    logits: Tensor,
    region: Tensor,
    scale_factor: float,
    num_threads: int,
    instruction_set: str,
) -> Tensor:
    """:func:`backward`, likewise."""
    result = torch.empty_like(logits, memory_format=torch.contiguous_format)
    _function("backward", logits)(
        _array(grad),
        _array(logits),
        _array(region),
        scale_factor,
        _array(result),
        num_threads,
        instruction_set,
    )
    return result


def _function(direction: str, logits: Tensor) -> Callable[..., None]:
    return getattr(_native, f"probabilities_{direction}_{str(logits.dtype).removeprefix('torch.')}")


def _array(tensor: Tensor) -> np.ndarray:
    """The memory of a tensor, if it is contiguous; 16 bits as integers: numpy has no bfloat16."""
    tensor = tensor.detach().contiguous()
    return (tensor.view(torch.int16) if tensor.element_size() == 2 else tensor).numpy()
