"""Data sets and transforms, registered with MMSegmentation."""

from .pascal_scribble import DatasetFilesError, DatasetNotFoundError, PascalScribbleDataset
from .transforms import LoadImageTags, LoadRegionOfInterest, PackScribbleInputs

__all__ = [
    "DatasetFilesError",
    "DatasetNotFoundError",
    "LoadImageTags",
    "LoadRegionOfInterest",
    "PackScribbleInputs",
    "PascalScribbleDataset",
]
