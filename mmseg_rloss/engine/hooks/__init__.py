"""Hooks for ``custom_hooks``, registered with MMSegmentation."""

from .channels_last_hook import ChannelsLastHook
from .densecrf_visualization_hook import DenseCRFVisualizationHook
from .provide_images_hook import ProvideImagesHook
from .regularized_loss_warmup_hook import RegularizedLossWarmupHook

__all__ = [
    "ChannelsLastHook",
    "DenseCRFVisualizationHook",
    "ProvideImagesHook",
    "RegularizedLossWarmupHook",
]
