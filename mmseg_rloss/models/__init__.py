"""What MMSegmentation builds into a network."""

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
