"""What connects a network's losses with the images during training."""

from .hooks import DenseCRFVisualizationHook, ProvideImagesHook
from .provide_images import ImageProvider, provide_images

__all__ = ["DenseCRFVisualizationHook", "ImageProvider", "ProvideImagesHook", "provide_images"]
