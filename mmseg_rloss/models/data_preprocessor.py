"""Computes images back from what a data preprocessor made of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ops import Scene

_FRACTIONAL_IMAGES = """\
The images have values from 0 to 1, but sigma_rgb counts grey levels from 0 to 255.
Leave the images as they are loaded (uint8) and let data_preprocessor normalise them with mean and
std in grey levels; drop the transform that divides them by 255."""


def scene_of(inputs: Tensor, region_of_interest: Tensor, data_preprocessor: nn.Module) -> Scene:
    """The scene of a batch that a data preprocessor has made.

    Args:
        inputs: (N, C, H, W) batch as the network gets it.
        region_of_interest: (N, H, W), 1 on the pixels that show an image, 0 elsewhere.
        data_preprocessor: That of MMSegmentation or MMEngine.

    Returns:
        The images in the range in which they were loaded, RGB if C is 3.
    """
    statistics = {}
    if getattr(data_preprocessor, "mean", None) is not None:
        statistics = dict(mean=data_preprocessor.mean, std=data_preprocessor.std)  # (C, 1, 1)
    if inputs.shape[1] == 3 and not _converts_to_rgb(data_preprocessor):  # MMCV loads BGR.
        inputs = inputs.flip(1)
        statistics = {name: statistic.flip(0) for name, statistic in statistics.items()}
    return Scene(inputs, region_of_interest, **statistics)


def check_grey_levels(image: Tensor) -> None:
    """Refuse images of 0-1, but not dark ones of 0-255: those hold whole grey levels.

    Raises:
        ValueError: With the remedy.
    """
    rounding_error = 0.01  # of a grey level, after normalising in float32 and back
    whole = torch.all((image - image.round()).abs() < rounding_error)
    if image.max() <= 1 + rounding_error and not whole:
        raise ValueError(_FRACTIONAL_IMAGES)


def _converts_to_rgb(data_preprocessor: nn.Module) -> bool:
    # The official stack has the name without the underscore, MMEngine and the fork the other. It
    # stands for rgb_to_bgr as well; the colours' distances are the same in either order.
    return any(
        getattr(data_preprocessor, flag, False)
        for flag in ("channel_conversion", "_channel_conversion")
    )
