"""What MMSegmentation builds into a network."""

from .losses import DenseCRFLoss

__all__ = ["DenseCRFLoss"]
