"""A DeepLab of stock torch modules: ResNet-50 at output stride 16 and atrous pyramid pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DeepLab(nn.Module):
    """Class scores (N, K, H, W) of images (N, 3, H, W); ``width`` 64 is the usual network."""

    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(3, width, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stages = nn.Sequential(
            _stage(width, width, blocks=3, stride=1),
            _stage(4 * width, 2 * width, blocks=4, stride=2),
            _stage(8 * width, 4 * width, blocks=6, stride=2),
            _stage(16 * width, 8 * width, blocks=3, stride=1, dilation=2),
        )
        channels, pooled = 32 * width, 4 * width
        self.pyramid = nn.ModuleList(
            [_convolution(channels, pooled, 1)]
            + [_convolution(channels, pooled, 3, dilation=rate) for rate in (6, 12, 18)]
        )
        self.head = nn.Sequential(
            _convolution(4 * pooled, pooled, 1),
            nn.Dropout2d(0.1),
            nn.Conv2d(pooled, num_classes, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        features = self.stages(self.stem(image))
        features = torch.cat([branch(features) for branch in self.pyramid], dim=1)
        return F.interpolate(self.head(features), size=image.shape[2:], mode="bilinear")


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _convolution(channels, width, 1),
            _convolution(width, width, 3, stride, dilation),
            nn.Conv2d(width, 4 * width, 1, bias=False),
            nn.BatchNorm2d(4 * width),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or channels != 4 * width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.shortcut(features) + self.residual(features), inplace=True)


def _stage(channels: int, width: int, blocks: int, stride: int, dilation: int = 1) -> nn.Sequential:
    first = _Bottleneck(channels, width, stride, dilation)
    rest = (_Bottleneck(4 * width, width, 1, dilation) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


def _convolution(
    channels: int, width: int, size: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(channels, width, size, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
