"""Readers of what annotation tools export."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import coco, cvat, label_studio, labelme, png, scribbles4all, volume
from .marks import Annotation, Export, FormatError, Item, Mark, Options, draw_marks


class Format(NamedTuple):
    """A format, by the function that reads it."""

    read: Callable[[Path, Options], Export]
    description: str


FORMATS = {
    "labelme": Format(labelme.read, "JSON files of labelme"),
    "cvat": Format(cvat.read, "annotations.xml of CVAT for images 1.1"),
    "cvat-masks": Format(cvat.read_masks, "folder of CVAT's Segmentation mask 1.1"),
    "coco": Format(coco.read, "COCO's JSON: polygons, RLE, polylines, keypoints"),
    "label-studio": Format(label_studio.read, "Label Studio's JSON"),
    "label-studio-png": Format(label_studio.read_brush, "its Brush labels to PNG, beside the JSON"),
    "colours": Format(png.read_colours, "images of coloured strokes, with --palette"),
    "index": Format(png.read_indices, "images of labels, with --classes (napari, ITK-SNAP ...)"),
    "per-class": Format(png.read_per_class, "a folder for each class, of images of its strokes"),
    "scribbles4all": Format(scribbles4all.read, "s4Pascal, s4Cityscapes or s4ADE20K"),
    "volume": Format(volume.read, "NIfTI or h5 volumes, slice by slice, with --classes"),
}

__all__ = [
    "FORMATS",
    "Annotation",
    "Export",
    "Format",
    "FormatError",
    "Item",
    "Mark",
    "Options",
    "draw_marks",
]
