"""What MMSegmentation builds into a network."""

import mmseg  # noqa: F401  # before this package: it has all of them imported

from .losses import (
    DenseCRFLoss,
    DenseEnergyLoss,
    KernelCutLoss,
    NormalizedCutLoss,
    RegularizedLoss,
    SelfLabelLoss,
)
from .segmentors import DenseCRFCascadeEncoderDecoder, DenseCRFEncoderDecoder

__all__ = [
    "DenseCRFCascadeEncoderDecoder",
    "DenseCRFEncoderDecoder",
    "DenseCRFLoss",
    "DenseEnergyLoss",
    "KernelCutLoss",
    "NormalizedCutLoss",
    "RegularizedLoss",
    "SelfLabelLoss",
]
