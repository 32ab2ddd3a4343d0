"""Segmentors of MMSegmentation whose predictions the dense CRF refines."""

from .dense_crf_encoder_decoder import (
    DenseCRFCascadeEncoderDecoder,
    DenseCRFEncoderDecoder,
    DenseCRFMixin,
)

__all__ = ["DenseCRFCascadeEncoderDecoder", "DenseCRFEncoderDecoder", "DenseCRFMixin"]
