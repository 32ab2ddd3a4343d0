"""MMSegmentation's segmentors with a dense CRF behind the network when they predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import torch
from mmseg.models.decode_heads import Mask2FormerHead, MaskFormerHead, SideAdapterCLIPHead
from mmseg.models.segmentors import CascadeEncoderDecoder, EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...ops import dense_crf_inference
from ...ops.ranges import GREY_LEVELS
from ..logits import to_logits, to_probabilities
from ..scene_of_batch import LoadedRangeCheck, scene_of

_PREDICT_SCORES = (MaskFormerHead, Mask2FormerHead, SideAdapterCLIPHead)


class DenseCRFMixin:
    """Refines the logits that a segmentor of MMSegmentation infers, before it scales them back.

    The CRF works at the size at which the network sees the image; padding is left out. It has no
    weights: any checkpoint of the segmentor without it loads, and the training is the same. What
    :func:`~mmseg_rloss.ops.dense_crf_inference` returns becomes the ``seg_logits``: the
    logarithms of the probabilities, or the log-odds of a head with one channel.

    Args:
        dense_crf: Keyword arguments of :func:`~mmseg_rloss.ops.dense_crf_inference`; its defaults
            stand for those that are missing. The bandwidths of the position count pixels of the
            network's input.
        value_range: As in :func:`~mmseg_rloss.engine.provide_images`.
        *args: Those of the segmentor.
        **kwargs: Those of the segmentor.

    Raises:
        TypeError: A parameter of the CRF is unknown or has the wrong type.
        ValueError: A parameter is out of its range, or the head does not predict logits.
    """

    decode_head: nn.Module
    data_preprocessor: nn.Module

    def __init__(
        self,
        *args: Any,
        dense_crf: dict[str, Any] | None = None,
        value_range: Sequence[float] | None = GREY_LEVELS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.decode_head, _PREDICT_SCORES):
            raise ValueError(
                f"the decode_head {type(self.decode_head).__name__} predicts scores of masks, and "
                f"{type(self).__name__} needs logits of classes: use model.type=EncoderDecoder"
            )
        if not isinstance(dense_crf, (Mapping, NoneType)):
            raise TypeError(f"dense_crf must be a dict or None, not {dense_crf!r}")
        self.dense_crf = dict(dense_crf or {})
        # A mistake in the parameters fails now, not after an epoch, at the first prediction.
        dense_crf_inference(torch.zeros(1, 1, 1, 1), torch.ones(1, 2, 1, 1) / 2, **self.dense_crf)
        self._check_range = LoadedRangeCheck(value_range)

    def inference(self, inputs: Tensor, batch_img_metas: list[dict[str, Any]]) -> Tensor:
        """Infer as the segmentor does, whole or by sliding, and refine.

        Args:
            inputs: (N, C, H, W) batch as the network gets it.
            batch_img_metas: The metainfo of the N images.

        Returns:
            (N, K, H, W) logits of float32 (float64 for float64 logits), refined but for those of
            the padding.
        """
        seg_logits = super().inference(inputs, batch_img_metas)  # type: ignore[misc]
        refined = seg_logits.to(torch.promote_types(seg_logits.dtype, torch.float32), copy=True)
        everywhere = inputs.new_ones(len(inputs), *inputs.shape[2:])
        images = scene_of(inputs, everywhere, self.data_preprocessor).image()
        for image, logits, metainfo in zip(images, refined, batch_img_metas, strict=True):
            rows, columns = _extent_of_image(metainfo, inputs.shape[2:])
            inside = slice(None), rows, columns
            logits[inside] = self._refine(image[inside][None], logits[inside][None])[0]
        return refined

    def _refine(self, image: Tensor, logits: Tensor) -> Tensor:
        """(1, K, h, w) of an image (1, C, h, w) without padding."""
        self._check_range(image, torch.ones_like(image[:, 0]))
        self._check_range.raise_pending(wait=True)
        probabilities = dense_crf_inference(
            image, to_probabilities(logits), value_range=None, **self.dense_crf
        )
        return to_logits(probabilities, num_channels=logits.shape[1])


def _extent_of_image(metainfo: dict[str, Any], size: Sequence[int]) -> tuple[slice, slice]:
    """The rows and columns that ``BaseSegmentor.postprocess_result`` will keep."""
    padding = metainfo.get("img_padding_size", metainfo.get("padding_size", (0, 0, 0, 0)))
    left, right, top, bottom = padding
    height, width = size
    return slice(top, height - bottom), slice(left, width - right)


@MODELS.register_module()
class DenseCRFEncoderDecoder(DenseCRFMixin, EncoderDecoder):
    """``EncoderDecoder`` with a dense CRF behind it; see :class:`DenseCRFMixin`."""


@MODELS.register_module()
class DenseCRFCascadeEncoderDecoder(DenseCRFMixin, CascadeEncoderDecoder):
    """``CascadeEncoderDecoder`` with a dense CRF behind it; see :class:`DenseCRFMixin`."""
