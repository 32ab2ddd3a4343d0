"""Registers a function with torch, with a gradient that is again a call of that function."""

from __future__ import annotations

from collections.abc import Callable

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
    options = {}
    if hasattr(torch.Tag, "cudagraph_unsafe"):
        # On a GPU the size of the lattice comes back to the host, which a CUDA graph cannot hold.
        options["tags"] = (torch.Tag.cudagraph_unsafe,)
    op = torch.library.custom_op(f"mmseg_rloss::{name}", function, mutates_args=(), **options)

    @op.register_fake
    def _(constant: Tensor, values: Tensor, *parameters: object) -> Tensor:
        return torch.empty_like(values, memory_format=torch.contiguous_format)

    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        _save(ctx, *inputs)

    op.register_autograd(_backward_of(adjoint), setup_context=setup_context)
    return op


def autograd_op(
    function: Callable[..., Tensor], adjoint: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """The same as a plain autograd function, for a torch without custom ops."""

    class Filter(torch.autograd.Function):
        @staticmethod
        def forward(ctx, constant: Tensor, values: Tensor, *parameters: object) -> Tensor:
            _save(ctx, constant, values, *parameters)
            return function(constant, values, *parameters)

        backward = staticmethod(_backward_of(adjoint))

    return Filter.apply


def _save(ctx, constant: Tensor, values: Tensor, *parameters: object) -> None:
    ctx.save_for_backward(constant)
    ctx.parameters = parameters
    # A caller may know the gradient already and ask for none: no filtering of zeros then.
    ctx.set_materialize_grads(False)


def _backward_of(adjoint: Callable[..., Tensor]) -> Callable[..., tuple[Tensor | None, ...]]:
    def backward(ctx, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        (constant,) = ctx.saved_tensors
        if grad is not None:
            grad = adjoint(constant, grad, *ctx.parameters)
        return None, grad, *(None for _ in ctx.parameters)

    return backward
