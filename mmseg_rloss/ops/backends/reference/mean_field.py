"""Mean-field inference in the dense CRF, in plain PyTorch on the lattice of any backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Kernel(NamedTuple):
    """One of the weighted kernels that tie the pixels of an image to each other."""

    weight: float
    lattice: Any  # a backend's: of every image, or of one that stands for all
    filter: Callable[[Tensor], Tensor]  # on the lattice, (N, K, *S)


def infer(log_probabilities: Tensor, kernels: list[Kernel], iterations: int) -> Tensor:
    """The marginals (N, K, *S) after updates of all pixels at once.

    They begin as the softmax of ``log_probabilities`` (N, K, *S).
    """
    marginals = log_probabilities.softmax(dim=1)
    norms = [kernel.filter(torch.ones_like(marginals[:, :1])).rsqrt() for kernel in kernels]
    for _ in range(iterations):  # norms: D^-1/2, (N, 1, *S)
        scores = log_probabilities
        for kernel, norm in zip(kernels, norms, strict=True):
            filtered = kernel.filter(norm * marginals)
            scores = torch.addcmul(scores, norm, filtered, value=kernel.weight)
        marginals = scores.softmax(dim=1)
    return marginals
