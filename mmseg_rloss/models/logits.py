"""From the logits of a head to probabilities of classes and back."""

from __future__ import annotations

import torch
from torch import Tensor


def to_probabilities(logits: Tensor) -> Tensor:
    """(N, K, H, W), or (N, 2, H, W) background and foreground of one-channel logits."""
    if logits.shape[1] == 1:
        return torch.cat([-logits, logits], dim=1).sigmoid()
    return logits.softmax(dim=1)
