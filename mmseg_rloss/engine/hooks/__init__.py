"""Hooks for ``custom_hooks``, registered with MMSegmentation."""

from .densecrf_visualization_hook import DenseCRFVisualizationHook
from .provide_images_hook import ProvideImagesHook

__all__ = ["DenseCRFVisualizationHook", "ProvideImagesHook"]
