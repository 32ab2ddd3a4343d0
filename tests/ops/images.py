"""Images that are like photographs: neighbouring pixels are similar."""

import torch
from torch import Tensor
from torch.nn import functional as F


def natural_image(height: int, width: int, channels: int = 3, batch: int = 1) -> Tensor:
    """A random image (N, C, H, W) in 0-255 of smooth areas and some noise."""
    coarse = torch.rand(batch, channels, height // 8 + 2, width // 8 + 2) * 255
    image = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return (image + 4 * torch.randn_like(image)).clamp(0, 255).round()
