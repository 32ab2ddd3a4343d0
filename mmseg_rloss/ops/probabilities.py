"""From logits to the probabilities of which an energy is computed: one pass over the logits."""

# Not from __future__ import annotations: PyTorch 2.4 cannot read the ops' types from strings.
from collections.abc import Callable

import torch
from torch import Tensor

from . import backends
from .backends.layout import logits_layout
from .checks import check_reverse_mode


def scaled_probabilities(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    """Class probabilities at a fraction of the size of their logits, within a region.

    ``softmax(logits)`` over the channels (or, for one channel x, ``sigmoid`` of -x and x), scaled
    down bilinearly and multiplied with ``region``. Nothing of full size is kept for the gradient
    but the logits, from which the softmax is recomputed. Sums are formed in float32, or in
    float64 for float64 logits: the compute type below.

    The callers have checked the arguments.

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
        with respect to ``logits``; the gradient is of their type and layout. In memory, channels
        are last on a GPU and planes are whole elsewhere.
    """
    check_reverse_mode(logits)
    return _forward_op(logits, region, float(scale_factor))


@torch.library.custom_op("mmseg_rloss::scaled_probabilities", mutates_args=())
def _forward_op(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    backend = backends.select(logits.device).probabilities
    return backend.forward(logits, region, scale_factor).contiguous(memory_format=_layout(logits))


@_forward_op.register_fake
def _(logits: Tensor, region: Tensor, scale_factor: float) -> Tensor:
    num_images, num_channels = logits.shape[:2]
    shape = num_images, 2 if num_channels == 1 else num_channels, *region.shape[1:]
    return torch.empty(
        shape, dtype=region.dtype, device=logits.device, memory_format=_layout(logits)
    )


def _layout(logits: Tensor) -> torch.memory_format:
    on_gpu = logits.device.type == "cuda"
    return torch.channels_last if on_gpu else torch.contiguous_format


@torch.library.custom_op("mmseg_rloss::scaled_probabilities_backward", mutates_args=())
def backward_op(
    grad: Tensor, factors: Tensor | None, logits: Tensor, region: Tensor, scale_factor: float
) -> Tensor:
    """The gradient of the logits from that of the probabilities, ``grad`` times ``factors``."""
    backend = backends.select(logits.device).probabilities
    grad = backend.backward(grad, factors, logits, region, scale_factor)
    return grad.contiguous(memory_format=logits_layout(logits))


@backward_op.register_fake
def _(
    grad: Tensor, factors: Tensor | None, logits: Tensor, region: Tensor, scale_factor: float
) -> Tensor:
    return torch.empty_like(logits, memory_format=logits_layout(logits))


def _save(ctx, inputs: tuple, output: Tensor) -> None:
    logits, region, ctx.scale_factor = inputs
    ctx.save_for_backward(logits, region)


def _differentiate(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
    # A gradient of the gradient may be asked for: the twin has one.
    twin = backends.reference.probabilities.backward
    function: Callable[..., Tensor] = twin if torch.is_grad_enabled() else backward_op
    return function(grad, None, *ctx.saved_tensors, ctx.scale_factor), None, None


_forward_op.register_autograd(_differentiate, setup_context=_save)
