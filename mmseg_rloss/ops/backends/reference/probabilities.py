"""From logits to probabilities inside a region, scaled down: the twin in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def forward(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """Probabilities (N, C, h, w) of ``logits`` (N, K, H, W), times the ``region`` (N, h, w).

    Half precision is computed in float32. A single channel gives two classes, the background and
    the object. The result has the layout ``channels_last``.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.shape[1] == 1:
        probabilities = torch.cat((-logits, logits), dim=1).sigmoid()
    else:
        probabilities = logits.softmax(dim=1)
    if scale_factor != 1:
        probabilities = F.interpolate(probabilities, scale_factor=scale_factor, mode="bilinear")
    probabilities = probabilities * region.unsqueeze(1)
    return probabilities.contiguous(memory_format=torch.channels_last)


def backward(grad: Tensor, logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """The gradient of ``logits`` (N, K, H, W), given that of ``forward``'s result."""
    with torch.enable_grad():
        logits = logits.detach().contiguous().requires_grad_()
        probabilities = forward(logits, region, scale_factor)
        return torch.autograd.grad(probabilities, logits, grad)[0].contiguous()
