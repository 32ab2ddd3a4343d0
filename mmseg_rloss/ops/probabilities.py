"""From logits to the probabilities of which an energy is computed: one pass over the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from . import backends


def scaled_probabilities(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """Class probabilities at a fraction of the size of their logits, within a region.

    ``softmax(logits)`` over the channels (or, for one channel x, ``sigmoid`` of -x and x), scaled
    down bilinearly and multiplied with ``region``. Nothing of full size is kept for the gradient
    but the logits, of which the softmax is computed anew. Sums are formed in float32, or in
    float64 for float64 logits: the compute type below.

    The callers have checked the arguments: nothing is raised here.

    Args:
        logits: (N, K, H, W) of float16, bfloat16, float32 or float64, on any device. -inf stands
            for the probability 0; where all channels have it, or one is inf or NaN, the
            probabilities are NaN.
        region: (N, h, w) in the compute type, on the device of ``logits``, with
            ``h = int(H * scale_factor)`` and ``w = int(W * scale_factor)``, both above 0; any
            values, constant for the gradient.
        scale_factor: In (0, 1].

    Returns:
        (N, C, h, w) in the compute type, where C is K, or 2 for one channel. Twice differentiable
        with respect to ``logits``; the gradient is of their type. In memory, channels are last on
        a GPU and planes are whole elsewhere.
    """
    return _forward_op(logits, region, float(scale_factor))


def _forward(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    backend = backends.select(logits.device).probabilities
    result = backend.forward(logits, region, scale_factor)
    return result.contiguous(memory_format=_layout(logits))


def _forward_fake(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    num_images, num_channels = logits.shape[:2]
    shape = num_images, 2 if num_channels == 1 else num_channels, *region.shape[1:]
    return torch.empty(
        shape, dtype=region.dtype, device=logits.device, memory_format=_layout(logits)
    )


def _backward(grad: Tensor, logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    backend = backends.select(logits.device).probabilities
    result = backend.backward(grad, logits, region, scale_factor)
    return result.contiguous(memory_format=_layout(logits))


def _backward_fake(grad: Tensor, logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    return torch.empty_like(logits, memory_format=_layout(logits))


def _layout(logits: Tensor) -> torch.memory_format:
    on_gpu = logits.device.type == "cuda"
    return torch.channels_last if on_gpu else torch.contiguous_format


def _setup_context(ctx, inputs: tuple, output: Tensor) -> None:
    logits, region, ctx.scale_factor = inputs
    ctx.save_for_backward(logits, region)


def _differentiate(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
    logits, region = ctx.saved_tensors
    # A gradient of the gradient may be asked for: the twin has one.
    differentiable = torch.is_grad_enabled()
    function = backends.reference.probabilities.backward if differentiable else _backward_op
    return function(grad, logits, region, ctx.scale_factor), None, None


class _Function(torch.autograd.Function):
    """The op for a torch without custom ops, before 2.4."""

    forward = staticmethod(_forward)
    setup_context = staticmethod(_setup_context)
    backward = staticmethod(_differentiate)


if hasattr(torch.library, "custom_op"):
    _forward_op = torch.library.custom_op(
        "mmseg_rloss::scaled_probabilities", _forward, mutates_args=()
    )
    _forward_op.register_fake(_forward_fake)
    _forward_op.register_autograd(_differentiate, setup_context=_setup_context)
    _backward_op = torch.library.custom_op(
        "mmseg_rloss::scaled_probabilities_backward", _backward, mutates_args=()
    )
    _backward_op.register_fake(_backward_fake)
else:
    _forward_op, _backward_op = _Function.apply, _backward
