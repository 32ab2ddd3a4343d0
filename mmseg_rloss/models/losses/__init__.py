"""Losses for ``loss_decode``, registered with MMSegmentation."""

from .densecrf_loss import DenseCRFLoss

__all__ = ["DenseCRFLoss"]
