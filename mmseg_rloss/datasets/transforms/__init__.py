"""Transforms that carry what the losses need through MMSegmentation's pipelines."""

from .formatting import PackScribbleInputs
from .loading import KeepImage, LoadImageTags, LoadRegionOfInterest
from .processing import CenterCrop, Pad

__all__ = [
    "CenterCrop",
    "KeepImage",
    "LoadImageTags",
    "LoadRegionOfInterest",
    "PackScribbleInputs",
    "Pad",
]
