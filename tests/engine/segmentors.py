"""Small real segmentors and batches for the tests of the training path."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from torch import Tensor

import mmseg_rloss  # noqa: F401

# isort: split
# Under the official stack, MMSegmentation can be imported only now.
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

DENSECRF = dict(
    type="DenseCRFLoss", loss_weight=1e-6, sigma_rgb=15.0, sigma_xy=20.0, scale_factor=0.5
)
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
BATCH_SIZE_DIVISOR = dict(type="SegDataPreProcessor", size_divisor=8)


def segmentor_config(bands: int = 3, losses: list[dict] | None = None, **preprocessor) -> dict:
    """The smallest EncoderDecoder that MMSeg builds: one residual stage and an FCN head."""
    cross_entropy = dict(type="CrossEntropyLoss", avg_non_ignore=True)
    return dict(
        type="EncoderDecoder",
        data_preprocessor=BATCH_SIZE_DIVISOR | preprocessor,
        backbone=dict(
            type="ResNet",
            depth=18,
            in_channels=bands,
            num_stages=1,
            strides=(1,),
            dilations=(1,),
            out_indices=(0,),
            stem_channels=4,
            base_channels=4,
        ),
        decode_head=dict(
            type="FCNHead",
            in_channels=4,
            channels=4,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0,
            num_classes=3,
            loss_decode=[cross_entropy, *([DENSECRF] if losses is None else losses)],
        ),
        train_cfg=dict(),
        test_cfg=dict(mode="whole"),
    )


def build_segmentor(*args, **kwargs) -> torch.nn.Module:
    """Build :func:`segmentor_config` with the same weights at every call."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    return MODELS.build(ConfigDict(segmentor_config(*args, **kwargs))).train()


def packed_batch(images: list[np.ndarray], regions: list[np.ndarray] | None = None) -> dict:
    """A batch as a data loader of MMSeg collates it, from (H, W, C) images as MMCV loads them."""
    samples = []
    for i, image in enumerate(images):
        height, width = image.shape[:2]
        sample = SegDataSample(metainfo=dict(img_shape=(height, width)))
        label = torch.from_numpy(np.random.RandomState(i).randint(0, 3, (1, height, width)))
        sample.gt_sem_seg = PixelData(data=label)
        if regions is not None:
            sample.gt_roi = PixelData(data=torch.from_numpy(regions[i])[None])
        samples.append(sample)
    inputs = [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in images]
    return dict(inputs=inputs, data_samples=samples)


def random_images(*sizes: tuple[int, int], bands: int = 3) -> list[np.ndarray]:
    """Random (H, W, C) uint8 images."""
    random = np.random.RandomState(0)
    return [random.randint(0, 256, (*size, bands), dtype=np.uint8) for size in sizes]


def losses_of(model: torch.nn.Module, batch: dict) -> dict[str, Tensor]:
    """The losses of one training forward."""
    return model(**model.data_preprocessor(batch, True), mode="loss")
