"""Lets the cross entropy go first."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from ...models.head_check import losses_by_name
from ..provide_images import find_segmentor


@HOOKS.register_module()
class RegularizedLossWarmupHook(Hook):
    """Hold back the losses over all pixels until the network has learnt from the labelled ones.

    Up to then their weight is 0, nothing is filtered, and the log tells so. As long as a network
    knows nothing of the classes, these losses pull whole regions towards whichever class happens
    to be ahead.

    Args:
        iters: Number of iterations by cross entropy alone.

    Raises:
        ValueError: ``iters`` is negative.
    """

    def __init__(self, iters: int) -> None:
        if iters < 0:
            raise ValueError(f"iters must be 0 iterations or more, not {iters}")
        self.iters = iters
        self._weights: dict[str, float] = {}

    def before_train(self, runner: Any) -> None:
        """Note the weights of the config."""
        losses = losses_by_name(find_segmentor(runner.model))
        self._weights = {name: loss.loss_weight for name, loss in losses.items()}

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the weights of this iteration, whether the training was resumed or not."""
        self._set_weights(runner, 0.0 if runner.iter < self.iters else 1.0)

    def after_train(self, runner: Any) -> None:
        """Leave the weights as they were."""
        self._set_weights(runner, 1.0)

    def _set_weights(self, runner: Any, factor: float) -> None:
        for name, loss in losses_by_name(find_segmentor(runner.model)).items():
            loss.loss_weight = factor * self._weights[name]
