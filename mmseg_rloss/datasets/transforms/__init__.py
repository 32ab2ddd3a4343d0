"""Transforms that carry the region of interest through MMSegmentation's pipelines."""

from .formatting import PackScribbleInputs
from .loading import LoadImageTags, LoadRegionOfInterest
from .processing import CenterCrop, Pad

__all__ = ["CenterCrop", "LoadImageTags", "LoadRegionOfInterest", "PackScribbleInputs", "Pad"]
