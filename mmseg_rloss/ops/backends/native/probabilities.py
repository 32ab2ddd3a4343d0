"""The compiled probabilities for tensors on the CPU (csrc/probabilities says how they work)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...threads import num_threads
from ..layout import logits_layout
from .lattice import instruction_sets

try:
    from .. import _native
except ImportError:
    _native = None  # type: ignore[assignment]


def forward(
    logits: Tensor, region: Tensor, scale_factor: float, instruction_set: str | None = None
) -> Tensor:
    """The probabilities (N, C, h, w) of ``logits`` (N, K, H, W) within ``region`` (N, h, w)."""
    num_images, num_channels = logits.shape[:2]
    result = region.new_empty(num_images, max(2, num_channels), *region.shape[1:])
    _function("forward", logits)(
        *_logits(logits),
        _array(region),
        scale_factor,
        _array(result),
        num_threads(),
        instruction_set or instruction_sets()[-1],
    )
    return result


def backward(
    grad: Tensor,
    factors: Tensor | None,
    logits: Tensor,
    region: Tensor,
    scale_factor: float,
    instruction_set: str | None = None,
) -> Tensor:
    """The gradient of ``logits``, laid out as they are, as the twin computes it."""
    result = torch.empty_like(logits, memory_format=logits_layout(logits))
    array, channels_last = _logits(logits)
    _function("backward", logits)(
        _array(grad),
        None if factors is None else _array(factors),
        array,
        channels_last,
        _array(region),
        scale_factor,
        _logits(result)[0],
        num_threads(),
        instruction_set or instruction_sets()[-1],
    )
    return result


def _function(direction: str, logits: Tensor) -> Callable[..., None]:
    return getattr(_native, f"probabilities_{direction}_{str(logits.dtype).removeprefix('torch.')}")


def _logits(logits: Tensor) -> tuple[np.ndarray, bool]:
    """The memory of logits, or of their like, and whether their channels are last in it."""
    channels_last = logits_layout(logits) is torch.channels_last
    return _array(logits.permute(0, 2, 3, 1) if channels_last else logits), channels_last


def _array(tensor: Tensor) -> np.ndarray:
    """The memory of a tensor, if it is contiguous; 16 bits as integers: numpy has no bfloat16."""
    tensor = tensor.detach().contiguous()
    return (tensor.view(torch.int16) if tensor.element_size() == 2 else tensor).numpy()
