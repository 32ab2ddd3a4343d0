"""What MMSegmentation builds into a network."""

import mmseg  # noqa: F401  # before this package: it has all of them imported

from . import losses
from .losses import *  # noqa: F403
from .segmentors import DenseCRFCascadeEncoderDecoder, DenseCRFEncoderDecoder

__all__ = [
    *losses.__all__,
    "DenseCRFCascadeEncoderDecoder",
    "DenseCRFEncoderDecoder",
]
