"""What is measured: the batch, the loss, and the images."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_rloss.ops import DenseCRFLoss


class Setting(NamedTuple):
    """The batch and the loss that are measured."""

    batch: int
    classes: int
    size: int  # side of the square images in pixels
    scale_factor: float
    sigma_rgb: float
    sigma_xy: float

    def layer(self) -> DenseCRFLoss:
        return DenseCRFLoss(2e-9, self.sigma_rgb, self.sigma_xy, self.scale_factor)


PUBLISHED = Setting(12, 21, 513, 0.5, 15.0, 100.0)  # rloss's own on PASCAL VOC
TINY = Setting(1, 2, 17, 0.5, 15.0, 30.0)  # for the interpreter


def load_images(folder: Path, setting: Setting) -> Tensor:
    """The first images of a folder, by name, scaled to squares (N, 3, size, size)."""
    from ..images import read_images, to_tensor  # of more packages than the drawn ones

    images = read_images(folder, setting.batch)
    squares = [to_tensor(image, setting.size, setting.size) for image in images]
    return torch.cat([squares[i % len(squares)] for i in range(setting.batch)]).float()


def draw_images(setting: Setting) -> Tensor:
    """Images (N, 3, size, size) of smooth areas, edges and noise, each of other content."""
    batch, size = setting.batch, setting.size
    coarse = torch.rand(batch, 3, size // 16 + 2, size // 16 + 2) * 255
    image = F.interpolate(coarse, size=(size, size), mode="bicubic")
    patches = F.interpolate(coarse, size=(size, size), mode="nearest")
    image = torch.where(torch.rand(batch, 1, 1, 1) < 0.5, image, 0.5 * (image + patches))
    return (image + 3 * torch.randn_like(image)).clamp(0, 255).round()


def scribbles_for(setting: Setting, image: Tensor) -> Tensor:
    """Labels (N, H, W) of 3 % of the pixels."""
    shape = len(image), *image.shape[2:]
    scribbles = torch.randint(setting.classes, shape, device=image.device)
    scribbles[torch.rand(shape, device=image.device) > 0.03] = 255
    return scribbles
