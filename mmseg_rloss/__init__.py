"""Train MMSegmentation networks from scribbles with the DenseCRF loss."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import registration
from .ops import functional, layers
from .ops.functional import *  # noqa: F403
from .ops.layers import *  # noqa: F403

if TYPE_CHECKING:
    from .engine import provide_images  # noqa: F401

__version__ = "0.1.0"

__all__ = [*functional.__all__, *layers.__all__]

_SUBPACKAGES = ("datasets", "engine", "models", "visualization")


def __getattr__(name: str) -> Any:
    """Import what needs MMSegmentation when it is first used."""
    if name == "provide_images":
        return import_module(".engine", __name__).provide_images
    if name in _SUBPACKAGES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


registration.register_with_mmseg()
