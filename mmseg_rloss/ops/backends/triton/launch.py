"""How the kernels of this package are launched, and what happens where they cannot be."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

try:
    import triton
except ImportError:
    triton = None

failed_devices: set[torch.device] = set()


class CannotLaunch(RuntimeError):
    """Triton could not compile a kernel, or the device cannot run it."""


def is_available() -> bool:
    """Whether Triton is installed."""
    return triton is not None


def is_supported(tensor: Tensor) -> bool:
    """Whether kernels for float32 can run where ``tensor`` is."""
    return tensor.dtype != torch.float64 and tensor.device not in failed_devices


@contextlib.contextmanager
def launching(device: torch.device) -> Iterator[None]:
    """Launch on ``device``. If that is impossible, warn, and leave the block without an error."""
    try:
        with torch.cuda.device(device if device.type == "cuda" else -1):
            yield
    except CannotLaunch as error:
        failed_devices.add(device)
        warnings.warn(
            f"mmseg_rloss runs in plain PyTorch on {device}, several times slower: "
            f"Triton needs a C compiler and a GPU that it supports ({error})",
            stacklevel=4,
        )


def registers(most: int) -> dict[str, int]:
    """The option that leaves a thread so many registers, so that more threads share them.

    NVIDIA's alone: Triton has no such option for other GPUs.
    """
    return {} if torch.version.hip else {"maxnreg": most}


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Launch ``kernel``, which compiles it at its first use; nothing here runs on the host."""
    try:
        kernel[grid](*arguments, **options)
    except Exception as error:  # compiler, assembler, linker and driver fail in types of their own
        raise CannotLaunch(f"{kernel.__name__}: {error}") from error
