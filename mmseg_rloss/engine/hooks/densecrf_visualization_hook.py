"""Shows during training what the regularized losses ask of the network."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from ...models.logits import to_probabilities
from ...models.losses import RegularizedLoss, losses_by_name
from ...ops.checks import check_count
from ..provide_images import find_segmentor


@HOOKS.register_module()
class DenseCRFVisualizationHook(Hook):
    """Show a figure of every RegularizedLoss in the Runner's visualizer, at regular intervals.

    It is :func:`~mmseg_rloss.visualization.draw_densecrf` of the first image of the batch as the
    loss got it: cropped, mirrored, with the region of interest. The visualizer's backends decide
    where it goes: LocalVisBackend writes ``vis_data/vis_image``, TensorboardVisBackend shows it
    among the images.

    Args:
        interval: Iterations from one figure to the next.

    Raises:
        TypeError: ``interval`` is not an integer.
        ValueError: It is below 1.
    """

    def __init__(self, interval: int = 500) -> None:
        self.interval = check_count("interval", interval, least=1)
        self._recording = False
        self._handles: list[RemovableHandle] = []
        self._calls: dict[str, tuple[RegularizedLoss, Any]] = {}  # and what it was called with

    def before_train(self, runner: Any) -> None:
        """Hook into the losses; a compiled network would not notice it later."""
        self._detach()  # from a training that was interrupted
        if is_main_process():
            for name, loss in losses_by_name(find_segmentor(runner.model)).items():
                # Not by a decorator: it would have torch.compile imported with this file.
                record = torch.compiler.disable(functools.partial(self._record, name))
                self._handles.append(loss.register_forward_hook(record, with_kwargs=True))

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Record this iteration, if it is to be drawn."""
        self._recording = self.every_n_train_iters(runner, self.interval)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw what was recorded."""
        self._recording = False
        if self._calls:
            self._draw(runner)
            self._calls.clear()

    def _draw(self, runner: Any) -> None:
        # Here, since Matplotlib takes long to import, and most trainings draw nothing.
        from ...visualization.densecrf import draw_densecrf, figure_to_array

        metainfo = runner.train_dataloader.dataset.metainfo
        palette = np.array(metainfo["palette"], dtype=np.uint8)
        classes = metainfo["classes"]
        for name, (loss, (image, probabilities, region, label, tags)) in self._calls.items():
            maps = image, probabilities, region
            figure = draw_densecrf([loss.layer], *maps, classes, palette, label, tags)
            # MLflow takes the format from the name.
            array = figure_to_array(figure)
            runner.visualizer.add_image(f"{name}.png", array, step=runner.iter + 1)

    def after_train(self, runner: Any) -> None:
        """Detach from the losses."""
        self._detach()

    def _detach(self) -> None:
        while self._handles:
            self._handles.pop().remove()
        self._recording = False
        self._calls.clear()

    @torch.no_grad()
    def _record(
        self, name: str, loss: RegularizedLoss, args: tuple, kwargs: dict[str, Any], output: Tensor
    ) -> None:
        # Once: an interrupted training leaves the recording on.
        if self._recording and name not in self._calls:
            call = inspect.signature(loss.forward).bind(*args, **kwargs)
            call.apply_defaults()
            logits = call.arguments["seg_logits"][:1].float()  # (1, K, h, w)
            label = call.arguments["seg_label"][:1]
            scene = loss.scene
            assert scene is not None  # without one, the loss has raised an error
            if logits.shape[2:] != scene.size:
                logits = F.interpolate(logits, scene.size, mode="bilinear")
            label = loss.layer_label(label, call.arguments["ignore_index"], scene.size)
            self._calls[name] = (
                loss,
                (
                    scene.image()[0],
                    to_probabilities(logits)[0],
                    scene.region_of_interest[0],
                    None if label is None else label[0],
                    None if scene.image_tags is None else scene.image_tags[0],
                ),
            )
