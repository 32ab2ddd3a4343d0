"""What connects a network's losses with the images during training."""

import mmseg  # noqa: F401  # before this package: it has all of them imported

from .hooks import (
    ChannelsLastHook,
    DenseCRFVisualizationHook,
    ProvideImagesHook,
    RegularizedLossWarmupHook,
)
from .provide_images import ImageProvider, provide_images

__all__ = [
    "ChannelsLastHook",
    "DenseCRFVisualizationHook",
    "ImageProvider",
    "ProvideImagesHook",
    "RegularizedLossWarmupHook",
    "provide_images",
]
