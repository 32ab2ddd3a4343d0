"""Data sets and transforms, registered with MMSegmentation."""

from .pascal_scribble import DatasetFilesError, DatasetNotFoundError, PascalScribbleDataset
from .transforms import LoadRegionOfInterest, PackScribbleInputs

__all__ = [
    "DatasetFilesError",
    "DatasetNotFoundError",
    "LoadRegionOfInterest",
    "PackScribbleInputs",
    "PascalScribbleDataset",
]
