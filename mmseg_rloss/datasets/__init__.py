"""Data sets and transforms, registered with MMSegmentation."""

import mmseg  # noqa: F401  # before this package: it has all of them imported

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
