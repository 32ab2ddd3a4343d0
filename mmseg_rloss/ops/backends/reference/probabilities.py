"""Probabilities at a smaller scale, within a region, in plain PyTorch: the readable twin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def forward(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """The probabilities (N, C, h, w) of ``logits`` (N, K, H, W) within ``region`` (N, h, w)."""
    probabilities = _probabilities(logits)  # (N, C, H, W)
    if scale_factor != 1:
        probabilities = F.interpolate(
            probabilities, scale_factor=scale_factor, mode="bilinear", align_corners=False
        )
    return probabilities * region.unsqueeze(1)


def backward(grad: Tensor, logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """The gradient (N, K, H, W) of ``logits`` from that of the probabilities (N, C, h, w)."""
    probabilities = _probabilities(logits)  # (N, C, H, W)
    grad = grad * region.unsqueeze(1)
    if scale_factor != 1:
        grad = torch.ops.aten.upsample_bilinear2d_backward(
            grad, grad.shape[2:], probabilities.shape, False, scale_factor, scale_factor
        )  # (N, C, H, W)
    if logits.shape[1] == 1:
        grad = probabilities.prod(1, keepdim=True) * (grad[:, 1:] - grad[:, :1])
    else:
        grad = probabilities * (grad - (probabilities * grad).sum(1, keepdim=True))
    return grad.to(logits.dtype)


def _probabilities(logits: Tensor) -> Tensor:
    """Those of all classes, (N, C, H, W); one channel gives two, background and foreground."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.shape[1] == 1:
        return torch.cat([-logits, logits], 1).sigmoid()
    return logits.softmax(1)
