"""Images of a validation set with what networks predict."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from ..datasets.config_data import LabelMaps, data_of
from ..datasets.image import read_image, shown
from ..datasets.label_png import UNLABELLED, voc_palette
from .sheet import SCRIBBLES, class_legend, draw_sheet, names_of, pictures_of


def draw_examples(config: Config, predictions: Mapping[str, Path], count: int) -> Figure:
    """Draw images of a validation set: scribbles, predictions and mask, where they exist.

    Args:
        config: Names the data sets, their classes and their colours.
        predictions: Folders of label maps, ``<id>.png``, by the title of their column.
        count: How many images, evenly from the set.
    """
    data = data_of(config, "val")
    sources = {
        SCRIBBLES: data_of(config, "train").maps,
        **{title: LabelMaps(folder) for title, folder in predictions.items()},
        "mask": data.maps,
    }
    palette = voc_palette()
    palette[: len(data.palette)] = data.palette
    names = list(data.images)
    rows: dict[str, dict[str, np.ndarray]] = {}
    present: set[int] = set()
    for i in np.linspace(0, len(names) - 1, min(count, len(names)), dtype=int).tolist():
        maps = {
            title: source.read(names[i])[0]
            for title, source in sources.items()
            if source.path(names[i]).exists()
        }
        present.update(*(np.unique(labels).tolist() for labels in maps.values()))
        rows[shown(names[i])] = pictures_of(read_image(data.images[names[i]]), maps, palette)
    labels = sorted(present - {UNLABELLED})
    return draw_sheet(rows, class_legend(names_of(labels, data.classes), palette))
