"""Trains a network in the memory layout that is fastest for convolutions."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the weights of a network with their channels last in memory.

    Feature maps follow the weights. Nothing but the speed changes: convolutions on the CPU, and
    those of tensor cores in mixed precision, take this layout as it is.
    """

    def before_train(self, runner: Any) -> None:
        """Rearrange the weights in place, before the first iteration."""
        runner.model.to(memory_format=torch.channels_last)
