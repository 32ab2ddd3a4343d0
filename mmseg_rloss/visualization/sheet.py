"""Sheets of pictures: one row for each image, one column for each kind of picture."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from .overlay import overlay_labels, overlay_scribbles

COLUMN_WIDTH = 2.1  # inches
TITLE_HEIGHT = 0.3
LEGEND_WIDTH = 1.3  # of an entry
SCRIBBLES = "scribbles"  # the title of their column


def pictures_of(
    image: np.ndarray, maps: Mapping[str, np.ndarray], palette: np.ndarray
) -> dict[str, np.ndarray]:
    """The row of an image in a sheet: the image and its label maps over it.

    Args:
        image: (H, W, 3) of uint8, RGB.
        maps: (H, W) labels by the title of their column; "scribbles" are drawn as strokes.
        palette: (K, 3) of uint8, RGB, with a row for every label but 255.

    Returns:
        By title, with "image" the first, uint8 (H, W, 3) RGB.
    """
    row = {"image": image}
    for title, labels in maps.items():
        overlay = overlay_scribbles if title == SCRIBBLES else overlay_labels
        row[title] = overlay(image, labels, palette)
    return row


def draw_sheet(
    rows: Mapping[str, Mapping[str, np.ndarray]], legend: Sequence[Patch] = ()
) -> Figure:
    """Draw pictures side by side, without axes; a picture that a row lacks leaves a gap.

    Args:
        rows: For each image's name its pictures by the title of their column, uint8 (H, W, 3) RGB.
            An empty name is not written.
        legend: What :func:`class_legend` makes.
    """
    titles = list(dict.fromkeys(title for pictures in rows.values() for title in pictures))
    heights = [_relative_height(pictures) for pictures in rows.values()]
    size = COLUMN_WIDTH * len(titles), COLUMN_WIDTH * sum(heights) + TITLE_HEIGHT * 2
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=size, layout=layout)
    axes = figure.subplots(len(rows), len(titles), squeeze=False, height_ratios=heights)
    for row, (name, pictures) in zip(axes, rows.items(), strict=True):
        bare_axes(row)
        for axis, title in zip(row, titles, strict=True):
            if title in pictures:
                axis.imshow(pictures[title])
        row[0].set_ylabel(name)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    if legend:
        draw_legend(figure, legend)
    return figure


def bare_axes(axes: Sequence[Axes]) -> None:
    """Strip axes to what a picture needs: titles and labels."""
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)


def _relative_height(pictures: Mapping[str, np.ndarray]) -> float:
    height, width = next(iter(pictures.values())).shape[:2]
    return height / width


def names_of(labels: Iterable[int], classes: Sequence[str]) -> dict[int, str]:
    """The names of labels, by label; "label N" for those of no class."""
    return {label: classes[label] if label < len(classes) else f"label {label}" for label in labels}


def class_legend(classes: Mapping[int, str], palette: np.ndarray) -> list[Patch]:
    """A patch for each class, by label, in its colour."""
    return [
        Patch(facecolor=palette[label] / 255, edgecolor="grey", label=name)
        for label, name in classes.items()
    ]


def draw_legend(figure: Figure, patches: Sequence[Patch]) -> None:
    """Below the figure, in as many lines as it takes."""
    columns = max(1, int(figure.get_figwidth() / LEGEND_WIDTH))
    lines = max(1, math.ceil(len(patches) / columns))
    columns = max(1, math.ceil(len(patches) / lines))  # of about equal length
    figure.legend(handles=patches, loc="outside lower center", ncols=columns, frameon=False)
