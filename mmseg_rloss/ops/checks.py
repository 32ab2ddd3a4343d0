"""The checks of arguments: once, at the public functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def check_positive(name: str, value: float) -> float:
    """``value`` as a float, if it is a positive, finite number."""
    number = _check_number(name, value)
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be positive and finite, not {value}")
    return number


def check_not_negative(name: str, value: float) -> float:
    """``value`` as a float, if it is a finite number of at least 0."""
    number = _check_number(name, value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be finite and not negative, not {value}")
    return number


def check_share(name: str, value: float) -> float:
    """``value`` as a float, if it is a number from 0 to 1."""
    number = _check_number(name, value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be in [0, 1], not {value}")
    return number


def check_finite(name: str, value: float) -> float:
    """``value`` as a float, if it is a finite number."""
    number = _check_number(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, not {value}")
    return number


def _check_number(name: str, value: float) -> float:
    value = _unwrap(name, value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, not {type(value).__name__} {value!r}")
    try:
        return float(value)
    except OverflowError:  # an int of hundreds of digits
        raise ValueError(f"{name} must be finite, but is beyond what a float holds") from None


def _unwrap(name: str, value: Any) -> Any:
    """The number in a tensor (), anything else as it is."""
    if not isinstance(value, Tensor) or value.ndim != 0:
        return value
    if value.requires_grad:
        raise ValueError(
            f"{name} must not require a gradient: nothing is differentiable in it. "
            f"Pass {name}.item()"
        )
    return value.item()


def check_count(name: str, value: int, *, least: int = 0) -> int:
    """``value`` as an int, if it is an integer of at least ``least``, of 32 bits."""
    value = _unwrap(name, value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, not {type(value).__name__} {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value}")
    if value >= 1 << 31:
        raise ValueError(f"{name} must be below 2^31")
    return int(value)


def check_flag(name: str, value: bool) -> None:
    """Raise unless ``value`` is True or False: the string 'False' would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__} {value!r}")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise unless ``value`` is one of the choices."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__} {value!r}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def check_is_tensor(name: str, value: object) -> None:
    """Raise TypeError unless ``value`` is a tensor."""
    if not isinstance(value, Tensor):
        remedy = f": pass torch.from_numpy({name})" if hasattr(value, "__array__") else ""
        raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}{remedy}")


def check_tensor(name: str, tensor: Tensor, axes: tuple[str, ...]) -> None:
    """Raise unless ``tensor`` is a real tensor with these axes, none of which but N is empty."""
    check_is_tensor(name, tensor)
    shape = tuple(tensor.shape)
    if len(shape) != len(axes):
        raise ValueError(f"{name} must be ({', '.join(axes)}), but its shape is {shape}")
    if 0 in shape[1:]:
        raise ValueError(f"{name} ({', '.join(axes)}) must not be empty, but its shape is {shape}")
    if tensor.is_complex():
        raise TypeError(f"{name} must be real, not {tensor.dtype}")


def check_values(values: Tensor, axes: tuple[str, ...]) -> None:
    """Raise unless ``values`` can be filtered."""
    check_tensor("values", values, axes)
    if not values.is_floating_point():
        raise TypeError(f"values must be of floating point, not {values.dtype}: use values.float()")


def check_same(name: str, first: Tensor, values: Tensor) -> None:
    """Raise unless ``values`` have the batch, the pixels and the device of the ``first``."""
    if (first.shape[0], first.shape[2:]) != (values.shape[0], values.shape[2:]):
        axes = "N, P" if first.ndim == 3 else "N, H and W"
        raise ValueError(
            f"{name} and values must agree in {axes}, but their shapes are "
            f"{tuple(first.shape)} and {tuple(values.shape)}"
        )
    if first.device != values.device:
        raise ValueError(
            f"{name} and values must be on one device, but are on {first.device} and "
            f"{values.device}: move one with .to()"
        )


def check_constant(name: str, tensor: Tensor) -> None:
    """Raise for a tensor that requires a gradient."""
    if tensor.requires_grad:
        raise ValueError(
            f"{name} must not require a gradient: the filter is differentiable in values alone. "
            f"Pass {name}.detach(), or use gaussian_filter_exact"
        )


def check_reverse_mode(tensor: Tensor) -> None:
    """Raise for a tensor that torch.func differentiates.

    An op would drop the tangent of the forward mode silently, and fails in the reverse mode
    of torch.func with a message about autograd.Function.
    """
    if torch.compiler.is_compiling():
        return
    if forward_ad.unpack_dual(tensor).tangent is not None:
        raise NotImplementedError(
            "forward-mode differentiation (torch.func.jvp) is not supported: use reverse mode, "
            "torch.autograd.grad; the filter is linear, so the tangent of what it returns is the "
            "filtered tangent"
        )
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        if torch._C._functorch.is_gradtrackingtensor(tensor):
            raise NotImplementedError(
                "torch.func.grad, vjp and jacrev are not supported: use torch.autograd.grad, with "
                "create_graph=True for higher derivatives (torch.autograd.functional has vjp, "
                "jacobian and hessian); it gives the gradients of all images of a batch at once"
            )
        tensor = torch._C._functorch.get_unwrapped(tensor)  # torch.vmap is supported


def check_energy_parameters(
    sigma_rgb: float, sigma_xy: float, scale_factor: float
) -> tuple[float, float, float]:
    """The parameters of an energy as floats, if they are in their ranges."""
    sigma_rgb = check_positive("sigma_rgb", sigma_rgb)
    sigma_xy = check_positive("sigma_xy", sigma_xy)
    return sigma_rgb, sigma_xy, check_scale_factor(scale_factor)


def check_scale_factor(scale_factor: float) -> float:
    """``scale_factor`` as a float, if it is in (0, 1]."""
    scale_factor = check_positive("scale_factor", scale_factor)
    if scale_factor > 1:
        raise ValueError(f"scale_factor must be in (0, 1], not {scale_factor}")
    return scale_factor


def check_energy_maps(maps: Mapping[str, Tensor], scale_factor: float) -> None:
    """Check what an energy is computed from.

    Args:
        maps: By the name of the argument, the image (N, C, H, W), the segmentation (N, K, H, W),
            then maps (N, H, W).
        scale_factor: Must leave a pixel.

    Raises:
        TypeError: A tensor has the wrong type.
        ValueError: Sizes do not match.
    """
    for name, tensor in maps.items():
        check_is_tensor(name, tensor)
    image_name, segmentation_name, *_ = maps
    image, segmentation, *_ = maps.values()
    shape = tuple(segmentation.shape)
    axes = {image_name: "(N, C, H, W)", segmentation_name: "(N, K, H, W)"}
    for name, tensor in maps.items():
        expected = axes.get(name, "(N, H, W)")
        if tensor.ndim != expected.count(",") + 1:
            raise ValueError(f"{name} must be {expected}, but its shape is {tuple(tensor.shape)}")
        if (tensor.shape[0], *tensor.shape[-2:]) != (shape[0], *shape[-2:]):
            raise ValueError(
                f"{name} {tuple(tensor.shape)} must agree in N, H and W with {segmentation_name} "
                f"{shape}: resize it to the segmentation's size"
            )
    if not segmentation.is_floating_point():
        raise TypeError(
            f"{segmentation_name} must hold probabilities of floating point, not "
            f"{segmentation.dtype}: pass logits.softmax(dim=1)"
        )
    if 0 in shape[1:] or image.shape[1] == 0:
        raise ValueError(
            f"{image_name} {tuple(image.shape)} and {segmentation_name} {shape} must not be "
            "empty: both need a channel and a pixel"
        )
    height, width = shape[-2:]
    if int(height * scale_factor) == 0 or int(width * scale_factor) == 0:
        raise ValueError(
            f"scale_factor {scale_factor} leaves no pixel of {height}x{width}: use a larger one"
        )


def check_tags(image_tags: Tensor, segmentation: Tensor) -> None:
    """Raise unless the tags say of each image and class whether the image may show the class."""
    if not isinstance(image_tags, Tensor) or image_tags.dtype != torch.bool:
        kind = getattr(image_tags, "dtype", type(image_tags).__name__)
        raise TypeError(f"image_tags must be a torch.Tensor of bool, not {kind}")
    if image_tags.shape != segmentation.shape[:2]:
        raise ValueError(
            f"image_tags must be (N, K) as the segmentation {tuple(segmentation.shape)}, but their "
            f"shape is {tuple(image_tags.shape)}"
        )
