"""The scene of a batch: images computed back from what a data preprocessor made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..ops import Scene
from ..ops.ranges import GREY_LEVELS, RangeCheck

_ADVICE = """\
Leave the images as they are loaded (uint8) and let data_preprocessor normalise them with mean and
std in grey levels; drop the transform that divides them by 255 or normalises them."""


def scene_of(
    inputs: Tensor,
    region_of_interest: Tensor,
    data_preprocessor: nn.Module,
    image_tags: Tensor | None = None,
    kept_images: Tensor | None = None,
    value_range: tuple[float, float] | None = GREY_LEVELS,
) -> Scene:
    """The scene of a batch that a data preprocessor has made.

    Args:
        inputs: (N, C, H, W) batch as the network gets it.
        region_of_interest: (N, H, W), 1 on the pixels that show an image, 0 elsewhere.
        data_preprocessor: That of MMSegmentation or MMEngine.
        image_tags: As in :class:`~mmseg_rloss.ops.Scene`.
        kept_images: (N, C, H, W) as they were loaded, where the network's have other colours.
        value_range: As in :class:`~mmseg_rloss.ops.Scene`.

    Returns:
        The images in the range in which they were loaded, RGB if C is 3.
    """
    known: dict[str, Any] = dict(image_tags=image_tags, value_range=value_range)
    if kept_images is not None:
        images = kept_images.flip(1) if kept_images.shape[1] == 3 else kept_images  # from BGR
        return Scene(images, region_of_interest, **known)
    statistics: dict[str, Any] = {}
    if getattr(data_preprocessor, "mean", None) is not None:
        statistics = dict(mean=data_preprocessor.mean, std=data_preprocessor.std)  # (C, 1, 1)
    if inputs.shape[1] == 3 and not _converts_to_rgb(data_preprocessor):  # MMCV loads BGR.
        inputs = inputs.flip(1)
        statistics = {name: statistic.flip(0) for name, statistic in statistics.items()}
    return Scene(inputs, region_of_interest, **statistics, **known)


class LoadedRangeCheck(RangeCheck):
    """A RangeCheck that knows where the images come from.

    Args:
        value_range: As in :class:`~mmseg_rloss.ops.ranges.RangeCheck`.
    """

    def __init__(self, value_range: Sequence[float] | None = GREY_LEVELS) -> None:
        super().__init__(value_range, image_name="The batch of images", advice=_ADVICE)


def _converts_to_rgb(data_preprocessor: nn.Module) -> bool:
    # The official stack has the name without the underscore, MMEngine and the fork the other. It
    # stands for rgb_to_bgr as well; the colours' distances are the same in either order.
    return any(
        getattr(data_preprocessor, flag, False)
        for flag in ("channel_conversion", "_channel_conversion")
    )
