"""From logits to probabilities inside a region, scaled down, in one pass over the logits.

The definition is that of ``reference/probabilities.py``. Nothing is kept for the gradient: the
softmax is computed again, which costs less than to write it down and read it.

Threads run along the pixels of the logits, whose channels may be last or not; the probabilities
are ``channels_last``, a row of channels for each pixel, as the lattice reads them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..layout import logits_layout
from ..reference import probabilities as reference
from .launch import is_available, is_supported, launch, launching, registers

if is_available():
    import triton

    from . import probabilities_kernels as kernels

# Each thread has all channels of a pixel in its registers, up to so many; more come in chunks.
_MAX_CHANNELS = 32
_CHUNK = 8
_PIXELS = 128
_WARPS = _PIXELS // 32

_MAX_ELEMENTS = 1 << 31  # of an image: what the kernels' 32-bit offsets reach


def forward(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """Probabilities (N, C, h, w) of ``logits`` (N, K, H, W), times the ``region`` (N, h, w).

    A single channel gives two classes. The result is float32 and ``channels_last``.
    """
    num_images, num_classes = len(logits), max(2, logits.shape[1])
    logits, region = _dense(logits), region.contiguous()
    if _is_supported(logits):
        result = torch.empty(
            num_images,
            num_classes,
            *region.shape[1:],
            dtype=torch.float32,
            device=logits.device,
            memory_format=torch.channels_last,
        )
        is_chunked = num_classes > _MAX_CHANNELS
        with launching(logits.device):
            launch(
                kernels.forward_chunks_kernel if is_chunked else kernels.forward_kernel,
                (num_images * triton.cdiv(region[0].numel(), _PIXELS),),
                *(logits, region, result, num_classes, *logits.shape[2:], *region.shape[1:]),
                *(1.0 / scale_factor, logits.stride(1), logits.stride(3)),
                TAPS=1 if scale_factor == 1 else 4,
                **_options(logits),
            )
            return result
    return reference.forward(logits, region, scale_factor)


def backward(
    grad: Tensor, factors: Tensor | None, logits: Tensor, region: Tensor, scale_factor: float
) -> Tensor:
    """The gradient of ``logits`` (N, K, H, W), laid out as they are, as the twin computes it."""
    num_images, num_classes = grad.shape[:2]
    logits, region = _dense(logits), region.contiguous()
    if _is_supported(logits):
        if not grad.is_contiguous(memory_format=torch.channels_last):
            grad = grad.contiguous()
        factors = None if factors is None else factors.contiguous()
        result = torch.empty_like(logits)
        is_chunked = num_classes > _MAX_CHANNELS
        with launching(logits.device):
            launch(
                kernels.backward_chunks_kernel if is_chunked else kernels.backward_kernel,
                (num_images * triton.cdiv(logits[0, 0].numel(), _PIXELS),),
                *(grad, factors, logits, region, result, num_classes),
                *(*logits.shape[2:], *region.shape[1:]),
                *(1.0 / scale_factor, grad.stride(0), grad.stride(1), grad.stride(3)),
                *(logits.stride(1), logits.stride(3)),
                IS_SCALED=scale_factor != 1,
                # A pixel lies between two others along an axis, which are that far apart.
                USERS=1 if scale_factor == 1 or scale_factor <= 0.5 else 4,
                **registers(128),
                **_options(logits),
            )
            return result
    return reference.backward(grad, factors, logits, region, scale_factor)


def _dense(logits: Tensor) -> Tensor:
    return logits.contiguous(memory_format=logits_layout(logits))


def _is_supported(logits: Tensor) -> bool:
    num_elements = max(2, logits.shape[1]) * logits[:1, 0].numel()
    return logits.numel() > 0 and num_elements < _MAX_ELEMENTS and is_supported(logits)


def _options(logits: Tensor) -> dict[str, int]:
    num_channels = logits.shape[1]
    whole = triton.next_power_of_2(max(2, num_channels))
    return {
        "IS_BINARY": num_channels == 1,
        "CHANNELS": whole if whole <= _MAX_CHANNELS else _CHUNK,
        "PIXELS": _PIXELS,
        "num_warps": _WARPS,
    }
