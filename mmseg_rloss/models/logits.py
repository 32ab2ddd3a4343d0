"""From the logits of a head to probabilities of classes and back."""

from __future__ import annotations

import torch
from torch import Tensor

# Below it, logarithms would grow without bounds; scaled bilinearly, such a class would lose ground
# to its neighbours for being 1e-30 instead of 1e-5.
_MIN_PROBABILITY = 1e-5


def to_probabilities(logits: Tensor) -> Tensor:
    """(N, K, H, W), or (N, 2, H, W) background and foreground of one-channel logits."""
    if logits.shape[1] == 1:
        return torch.cat([-logits, logits], dim=1).sigmoid()
    return logits.softmax(dim=1)


def to_logits(probabilities: Tensor, num_channels: int) -> Tensor:
    """The inverse, but for probabilities below 1e-5: (N, num_channels, H, W)."""
    logarithms = probabilities.clamp(min=_MIN_PROBABILITY).log()
    return logarithms[:, 1:] - logarithms[:, :1] if num_channels == 1 else logarithms
