"""Cross entropy alone for the first iterations."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from ...models.losses import losses_by_name
from ...ops.checks import check_count
from ..provide_images import find_segmentor


@HOOKS.register_module()
class RegularizedLossWarmupHook(Hook):
    """Suspend the regularized losses until the network has learnt from the labelled pixels.

    Until then they are 0, also in the log, and filter nothing. While a network knows nothing of the
    classes, these losses pull whole regions towards whichever class happens to be ahead.

    Args:
        iters: Number of iterations by cross entropy alone.

    Raises:
        TypeError: ``iters`` is not an integer.
        ValueError: It is negative.
    """

    def __init__(self, iters: int) -> None:
        self.iters = check_count("iters", iters)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Suspend the losses for this iteration, whether the training was resumed or not."""
        if runner.iter < self.iters:
            for loss in losses_by_name(find_segmentor(runner.model)).values():
                loss.suspend()
