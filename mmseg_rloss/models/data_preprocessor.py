"""Computes images back from what a data preprocessor made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..ops import Scene
from ..ops.checks import check_finite

GREY_LEVELS = (0.0, 255.0)

# Grey levels that are not whole and never above this: images of 0-1, of -1 to 1, or z-scored.
_DARKEST = 16.0

_WRONG_RANGE = """\
The images have values from {least:.4g} to {most:.4g},
but sigma_rgb counts grey levels from {low:g} to {high:g}.
Leave the images as they are loaded (uint8) and let data_preprocessor normalise them with mean and
std in grey levels; drop the transform that divides them by 255 or normalises them. If they have
another range from the start (16 bits, reflectances), name it: ProvideImagesHook(value_range=(0,
65535)), or value_range=None for any, and give sigma_rgb in the same units."""


def scene_of(
    inputs: Tensor,
    region_of_interest: Tensor,
    data_preprocessor: nn.Module,
    image_tags: Tensor | None = None,
) -> Scene:
    """The scene of a batch that a data preprocessor has made.

    Args:
        inputs: (N, C, H, W) batch as the network gets it.
        region_of_interest: (N, H, W), 1 on the pixels that show an image, 0 elsewhere.
        data_preprocessor: That of MMSegmentation or MMEngine.
        image_tags: As in :class:`~mmseg_rloss.ops.Scene`.

    Returns:
        The images in the range in which they were loaded, RGB if C is 3.
    """
    statistics: dict[str, Any] = {}
    if getattr(data_preprocessor, "mean", None) is not None:
        statistics = dict(mean=data_preprocessor.mean, std=data_preprocessor.std)  # (C, 1, 1)
    if inputs.shape[1] == 3 and not _converts_to_rgb(data_preprocessor):  # MMCV loads BGR.
        inputs = inputs.flip(1)
        statistics = {name: statistic.flip(0) for name, statistic in statistics.items()}
    return Scene(inputs, region_of_interest, **statistics, image_tags=image_tags)


class RangeCheck:
    """Refuses images of another range than the bandwidth of the colours is meant for.

    Wrong are values outside by more than the width of the range. Of 0-255, so are small ones that
    are not whole: dark images have whole grey levels, images of 0-1 and normalised ones have not.
    On a GPU nothing waits for the device: what is wrong with a batch is told when the next comes.

    Args:
        value_range: The least and the largest value; None lets everything pass.
    """

    def __init__(self, value_range: Sequence[float] | None = GREY_LEVELS) -> None:
        if value_range is not None:
            low, high = value_range
            check_finite("value_range[0]", low)
            check_finite("value_range[1]", high)
            if not low < high:
                raise ValueError(f"value_range must rise, but is {tuple(value_range)}")
        self._range = value_range
        self._pending: tuple[Tensor, torch.cuda.Event | None] | None = None

    def __call__(self, image: Tensor, region: Tensor) -> None:
        """Look at the images (N, C, h, w) within their region (N, h, w).

        Raises:
            ValueError: With the remedy; on a GPU, it is about the batch before.
        """
        if self._range is None:
            return
        self.tell()
        inside = region.unsqueeze(1) > 0
        fraction = torch.where(inside, (image - image.round()).abs(), 0)
        extremes = torch.stack(
            (
                torch.where(inside, image, torch.inf).amin(),
                torch.where(inside, image, -torch.inf).amax(),
                fraction.amax(),
            )
        )
        ready = None
        if extremes.is_cuda:
            on_host = torch.empty(3, dtype=extremes.dtype, pin_memory=True)
            extremes = on_host.copy_(extremes, non_blocking=True)
            ready = torch.cuda.Event()
            ready.record()
        self._pending = extremes, ready
        if ready is None:
            self.tell()

    def tell(self) -> None:
        """Raise for what was wrong with the last batch, if it has not been told yet.

        Raises:
            ValueError: With the remedy.
        """
        if self._pending is None:
            return
        (extremes, ready), self._pending = self._pending, None
        if ready is not None:
            ready.synchronize()  # of the batch before: it is long over
        least, most, fraction = extremes.tolist()
        assert self._range is not None  # or there would be nothing to tell
        low, high = self._range
        span = high - low  # augmentations that leave the range a little are let pass
        outside = not (least >= low - span and most <= high + span)
        rounding_error = 0.01  # of a grey level, after normalising in float32 and back
        dark = (low, high) == GREY_LEVELS and most <= _DARKEST and fraction > rounding_error
        if outside or dark:
            raise ValueError(_WRONG_RANGE.format(least=least, most=most, low=low, high=high))


def _converts_to_rgb(data_preprocessor: nn.Module) -> bool:
    # The official stack has the name without the underscore, MMEngine and the fork the other. It
    # stands for rgb_to_bgr as well; the colours' distances are the same in either order.
    return any(
        getattr(data_preprocessor, flag, False)
        for flag in ("channel_conversion", "_channel_conversion")
    )
