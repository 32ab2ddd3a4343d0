"""Data sets and transforms, registered with MMSegmentation."""

import mmseg  # noqa: F401  # before this package: it has all of them imported

from .file_check import DatasetFilesError
from .pascal_scribble import PascalScribbleDataset
from .scribble_dataset import DatasetNotFoundError, ScribbleDataset
from .transforms import KeepImage, LoadImageTags, LoadRegionOfInterest, PackScribbleInputs

__all__ = [
    "DatasetFilesError",
    "DatasetNotFoundError",
    "KeepImage",
    "LoadImageTags",
    "LoadRegionOfInterest",
    "PackScribbleInputs",
    "PascalScribbleDataset",
    "ScribbleDataset",
]
