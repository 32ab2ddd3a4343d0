"""The golden vectors of the original, as tensors."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

PATHS = sorted((Path(__file__).parents[1] / "data").glob("*.npz"))
NAMES = [path.stem for path in PATHS]


class Golden(NamedTuple):
    """What went into the original's layer and what came out of it."""

    image: Tensor  # (N, 3, H, W) uint8
    segmentation: Tensor  # (N, K, H, W)
    roi: Tensor  # (N, H, W) uint8
    weight: float
    sigma_rgb: float
    sigma_xy: float
    scale_factor: float
    loss: float
    grad: Tensor  # (N, K, H, W): -2 A S of the original's A, which is not symmetric

    @property
    def parameters(self) -> dict[str, float]:
        names = ("weight", "sigma_rgb", "sigma_xy", "scale_factor")
        return {name: getattr(self, name) for name in names}

    def scaled(self) -> tuple[Tensor, Tensor]:
        """Image (N, 3, h, w) and segmentation inside the region, at the scale of the filter."""
        image, region = self.image.float(), self.roi.float().unsqueeze(1)
        segmentation = self.segmentation
        if self.scale_factor != 1:
            scale = {"scale_factor": self.scale_factor}
            image, region = F.interpolate(image, **scale), F.interpolate(region, **scale)
            segmentation = F.interpolate(segmentation, **scale, mode="bilinear")
        return image, segmentation * region


def load(name: str) -> Golden:
    arrays = np.load(PATHS[NAMES.index(name)])
    values = {
        key: array.item() if array.ndim == 0 else torch.from_numpy(array)
        for key, array in arrays.items()
    }
    return Golden(**values)


def relative_error(result: Tensor, expected: Tensor) -> float:
    return ((result - expected).norm() / expected.norm()).item()
