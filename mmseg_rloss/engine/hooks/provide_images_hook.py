"""Provides the losses of a Runner's model with images while it trains."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmseg.registry import HOOKS
from torch.utils.hooks import RemovableHandle

from ...datasets.own_data import check_evaluation_files, has_scribbles
from ...datasets.transforms.pipeline_check import (
    trap_of_size,
    traps_of_pipelines,
    untracked_padding,
)
from ...models.head_check import check_heads, trap_of_heads
from ...models.losses.regularized_loss import losses_by_name, type_names
from ...models.weight_check import doubt_about_weight
from ...ops.ranges import GREY_LEVELS, check_value_range
from ..provide_images import ImageProvider, find_segmentor, provide_images

# Of each segmentor, the one that a hook attached last.
_providers: WeakKeyDictionary[BaseModel, ImageProvider] = WeakKeyDictionary()


@HOOKS.register_module()
class ProvideImagesHook(Hook):
    """Hand every RegularizedLoss the images and their region of interest while training lasts.

    See :func:`~mmseg_rloss.engine.provide_images`. It also stops the training at the start if
    a head cannot use the loss or files cannot be used, warns if padding would count as image, the
    config holds what does not suit scribbles or a weight does not fit the first batch, and stops
    after the first iteration if a loss was never called.

    Args:
        value_range: As in :func:`~mmseg_rloss.engine.provide_images`.

    Raises:
        TypeError: ``value_range`` is not a pair of numbers.
        ValueError: It does not rise.
    """

    def __init__(self, value_range: Sequence[float] | None = GREY_LEVELS) -> None:
        self._value_range = check_value_range(value_range)
        self._provider: ImageProvider | None = None
        self._watches: dict[str, RemovableHandle] = {}

    def before_train(self, runner: Any) -> None:
        """Attach to the model.

        Raises:
            ValueError: A head cannot use its loss, or the region of interest would be wrong.
            DatasetFilesError: It is a ValueError. Files to train or validate on cannot be used.
        """
        self._detach()  # from a training that was interrupted
        segmentor = find_segmentor(runner.model)
        # Another hook's training may have been; its range of images would still be asked for.
        if segmentor in _providers:
            _providers.pop(segmentor).remove()
        check_heads(segmentor)
        losses = losses_by_name(segmentor)
        padding = untracked_padding(runner.train_dataloader.dataset)
        if validation := getattr(runner, "val_loop", None):
            check_evaluation_files(validation)
        if losses and padding:
            print_log(
                f"The padding of {', '.join(padding)} counts as image in {type_names(losses)}. "
                "Add dict(type='LoadRegionOfInterest') after LoadAnnotations and replace "
                "PackSegInputs by dict(type='PackScribbleInputs') in the training pipeline.",
                logger="current",
                level=logging.WARNING,
            )
        if losses:
            _warn_of_traps(segmentor, runner.train_dataloader.dataset)
        self._provider = provide_images(runner.model, value_range=self._value_range)
        _providers[segmentor] = self._provider
        for name, loss in losses.items():
            at_first_call = functools.partial(self._at_first_call, segmentor, name)
            # Not by a decorator: it would have torch.compile imported with this file.
            uncompiled = torch.compiler.disable(at_first_call)
            self._watches[name] = loss.register_forward_pre_hook(uncompiled)

    def before_test(self, runner: Any) -> None:
        """Check that the files to test on can be used.

        Raises:
            DatasetFilesError: It is a ValueError. It names those that cannot.
        """
        check_evaluation_files(runner.test_loop)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """After the first iteration, check that every loss was called.

        Raises:
            RuntimeError: One was not.
        """
        if self._watches:
            segmentor = find_segmentor(runner.model)
            heads = {name: type(_head_of(segmentor, name)).__name__ for name in self._watches}
            uncalled = ", ".join(f"{name} of {head}" for name, head in heads.items())
            loss = type_names({name: segmentor.get_submodule(name) for name in self._watches})
            raise RuntimeError(
                f"The first iteration did not call {loss}: {uncalled}. The head computes its "
                f"losses without the ones listed in its loss_decode: list {loss} in a head "
                "that calls them, such as an auxiliary FCNHead. docs/heads.md has the table"
            )

    def after_train(self, runner: Any) -> None:
        """Detach from the model."""
        self._detach()

    def _detach(self) -> None:
        if self._provider is not None:
            self._provider.remove()
        while self._watches:
            self._unwatch(next(iter(self._watches)))

    def _at_first_call(self, segmentor: BaseModel, name: str, loss: Any, args: tuple) -> None:
        self._unwatch(name)
        if doubt := doubt_about_weight(name, loss, _head_of(segmentor, name)):
            print_log(doubt, logger="current", level=logging.WARNING)

    def _unwatch(self, name: str) -> None:
        self._watches.pop(name).remove()


def _warn_of_traps(segmentor: BaseModel, dataset: Any) -> None:
    """Warn in one message of what in a stock config hurts training from scribbles."""
    traps = traps_of_pipelines(dataset)
    if has_scribbles(dataset) and (trap := trap_of_heads(segmentor)):
        traps.append(trap)
    if trap := trap_of_size(dataset, getattr(segmentor.data_preprocessor, "size", None)):
        traps.append(trap)
    if traps:
        print_log(
            "\n  - ".join(["This config holds what does not suit scribbles:", *traps]),
            logger="current",
            level=logging.WARNING,
        )


def _head_of(segmentor: Any, loss_name: str) -> Any:
    """The module whose ``loss_decode`` is, or holds, the loss of that name."""
    return segmentor.get_submodule(loss_name.rpartition(".loss_decode")[0])
