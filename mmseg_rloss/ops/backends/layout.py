"""How maps lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor


def logits_layout(logits: Tensor) -> torch.memory_format:
    """The layout of ``logits`` (N, K, H, W) and of their gradient: channels last, or planes."""
    channels_last = logits.is_contiguous(memory_format=torch.channels_last)
    if channels_last and not logits.is_contiguous():
        return torch.channels_last
    return torch.contiguous_format
