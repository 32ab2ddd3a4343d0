"""What connects a network's losses with the images during training."""

from .hooks import ProvideImagesHook
from .provide_images import ImageProvider, provide_images

__all__ = ["ImageProvider", "ProvideImagesHook", "provide_images"]
