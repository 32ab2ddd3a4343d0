"""Registers a function with torch, with a gradient that is again a call of that function."""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor


def differentiable_op(
    name: str, function: Callable[..., Tensor], adjoint: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """Make ``function(constant, values, *parameters)`` an op, linear in ``values``.

    ``adjoint(constant, grad, *parameters)`` is its transpose. Where torch has custom ops (2.4 and
    later), the result is ``torch.ops.mmseg_rloss.<name>``, which ``torch.compile`` takes as a
    whole; before that, it is a plain autograd function.
    """
    if hasattr(torch.library, "custom_op"):
        return _library_op(name, function, adjoint)
    return autograd_op(function, adjoint)


def _library_op(
    name: str, function: Callable[..., Tensor], adjoint: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    op = torch.library.custom_op(f"mmseg_rloss::{name}", function, mutates_args=())

    @op.register_fake
    def _(constant: Tensor, values: Tensor, *parameters: object) -> Tensor:
        return torch.empty_like(values, memory_format=torch.contiguous_format)

    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        constant, _, *ctx.parameters = inputs
        ctx.save_for_backward(constant)

    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (constant,) = ctx.saved_tensors
        return None, adjoint(constant, grad, *ctx.parameters), *(None for _ in ctx.parameters)

    op.register_autograd(backward, setup_context=setup_context)
    return op


def autograd_op(
    function: Callable[..., Tensor], adjoint: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """The same as a plain autograd function, for a torch without custom ops."""

    class Filter(torch.autograd.Function):
        @staticmethod
        def forward(ctx, constant: Tensor, values: Tensor, *parameters: object) -> Tensor:
            ctx.save_for_backward(constant)
            ctx.parameters = parameters
            return function(constant, values, *parameters)

        @staticmethod
        def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
            (constant,) = ctx.saved_tensors
            return None, adjoint(constant, grad, *ctx.parameters), *(None for _ in ctx.parameters)

    return Filter.apply
