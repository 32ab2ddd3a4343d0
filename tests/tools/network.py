"""A config and a checkpoint of the smallest network, as the tools take them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from tests.engine.segmentors import IMAGENET, build_segmentor, segmentor_config

CLASSES = ("sky", "grass", "bird")
PALETTE = [[10, 20, 30], [40, 250, 60], [250, 80, 90]]


class Network(NamedTuple):
    config: str
    checkpoint: str
    segmentor: torch.nn.Module

    def logits(self, image: np.ndarray) -> Tensor:
        """(3, H, W) of an image (H, W, 3), RGB, by the segmentor itself."""
        mean, std = torch.tensor(IMAGENET["mean"]), torch.tensor(IMAGENET["std"])
        inputs = ((torch.from_numpy(image).float() - mean) / std).permute(2, 0, 1)[None]
        with torch.no_grad():
            return self.segmentor.encode_decode(inputs, [dict(img_shape=image.shape[:2])])[0]


def write_network(folder: Path) -> Network:
    """Write both files; the config's DenseCRFLoss has sigmas of 15 and 20."""
    segmentor = build_segmentor(**IMAGENET).eval()
    with torch.no_grad():
        segmentor.decode_head.conv_seg.weight.normal_(std=0.5)  # so that all classes occur
    config = Config(
        dict(
            default_scope="mmseg",
            model=segmentor_config(**IMAGENET),
            test_pipeline=[dict(type="LoadImageFromFile"), dict(type="PackSegInputs")],
        )
    )
    config.dump(folder / "network.py")
    meta = dict(dataset_meta=dict(classes=CLASSES, palette=PALETTE))
    torch.save(dict(state_dict=segmentor.state_dict(), meta=meta), folder / "network.pth")
    return Network(str(folder / "network.py"), str(folder / "network.pth"), segmentor)


def write_image(path: Path, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """Write an image of patches, in a lossless format, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.stem.encode()))
    patches = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    image = cv2.resize(patches, size[::-1], interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(path), image[..., ::-1])
    return image
