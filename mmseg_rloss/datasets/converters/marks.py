"""What annotators drew, in one form for all formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from ..label_png import UNLABELLED
from ..scribbles import STROKE_WIDTH, draw_stroke

FARTHEST = 1e6  # pixels; OpenCV's integers end beyond it
MAX_PIXELS = 1 << 30  # of an image that OpenCV reads


class FormatError(ValueError):
    """A file is not what its format says."""


class Mark(NamedTuple):
    """One thing that was drawn.

    Its points are (M, 2), x and y, where x from 0 to 1 is the first column of pixels. A mask is
    bool, (H, W) of the image.
    """

    name: str  # of its class
    kind: str  # 'line', 'points', 'polygon' or 'mask'
    points: np.ndarray | None = None
    mask: np.ndarray | None = None


class Annotation(NamedTuple):
    """All that was drawn on one image."""

    image: str  # path or name of its file, as the export has it
    size: tuple[int, int] | None  # height and width, where the export has them
    marks: list[Mark]  # later ones over earlier ones
    picture: np.ndarray | None = None  # the image itself, uint8 (H, W), if it lies in a volume


class Item(NamedTuple):
    """An annotation that is still to be read."""

    source: str  # the file, and the image in it, as a message names them
    read: Callable[[], Annotation]  # raises ValueError or OSError, with what is wrong


class Export(NamedTuple):
    """All that a tool has exported."""

    items: list[Item]
    classes: list[str] | None = None  # in order, where the export lists them
    colours: dict[str, tuple[int, int, int]] = {}  # of those that have one  # noqa: RUF012


class Options(NamedTuple):
    """How to read an export."""

    classes: list[str] | None = None  # the names of the labels, where the export has none
    unlabelled: str | None = None  # the class or value that stands for it
    palette: Path | None = None  # a file of names and colours
    images: Path | None = None  # the folder of the images


def draw_marks(
    marks: Iterable[Mark], size: tuple[int, int], classes: Sequence[str], width: int = STROKE_WIDTH
) -> np.ndarray:
    """Draw a label map, uint8 (H, W), 255 where nothing was drawn.

    Lines and points have a square brush. Polygons are filled, with their border.

    Args:
        marks: What was drawn, later ones over earlier ones.
        size: Height and width.
        classes: The labels' names.
        width: Of the brush in pixels, odd.

    Raises:
        FormatError: The class of a mark is not one of those, or its points or mask do not fit.
    """
    labels = np.full(size, UNLABELLED, dtype=np.uint8)
    for mark in marks:
        if mark.name not in classes:
            raise FormatError(f"the class {mark.name!r} is not one of {', '.join(classes)}")
        labels[_covered(mark, size, width)] = classes.index(mark.name)
    return labels


def _covered(mark: Mark, size: tuple[int, int], width: int) -> np.ndarray:
    """The pixels of a mark, bool (H, W)."""
    if mark.mask is not None:
        if mark.mask.shape != size:
            raise FormatError(f"a mask of {mark.name!r} is {mark.mask.shape}, its image {size}")
        return mark.mask
    if mark.points is None or not len(mark.points):
        raise FormatError(f"a {mark.kind} of {mark.name!r} has no points")
    pixels = np.clip(np.floor(mark.points), 0, [size[1] - 1, size[0] - 1]).astype(np.int32)
    if mark.kind == "line":
        return draw_stroke(pixels, size, width)
    canvas = np.zeros(size, dtype=np.uint8)
    if mark.kind == "polygon":
        return cv2.fillPoly(canvas, [pixels], 1) == 1
    canvas[pixels[:, 1], pixels[:, 0]] = 1
    return cv2.dilate(canvas, np.ones((width, width), dtype=np.uint8)) == 1


def as_points(values: Sequence, what: str) -> np.ndarray:
    """(M, 2) of pairs of numbers, or of x and y in turn.

    Raises:
        FormatError: They are not such numbers, or lie far outside of any image.
    """
    try:
        points = np.array(values, dtype=float).reshape(-1, 2)
    except (TypeError, ValueError):
        raise FormatError(f"{what} has points that are not pairs of numbers") from None
    if not (np.abs(points) < FARTHEST).all():  # NaN is not, either
        raise FormatError(f"{what} has points that lie in no image")
    return points


def runs_to_mask(
    counts: Sequence[int], size: tuple[int, int], order: Literal["C", "F"]
) -> np.ndarray:
    """The mask, bool (H, W), of the lengths of its runs of zeros and ones in turn.

    Args:
        counts: Zeros come first.
        size: Height and width.
        order: 'C' if the runs go along the rows, 'F' if along the columns.

    Raises:
        FormatError: They are another number of pixels.
    """
    if size[0] * size[1] > MAX_PIXELS:
        raise FormatError(f"a mask is {size[0]}x{size[1]}, which no image is")
    lengths = np.array(counts, dtype=np.int64)
    if lengths.sum() != size[0] * size[1] or (lengths < 0).any():
        raise FormatError(f"the runs of a mask are {lengths.sum()} pixels, not {size[0]}x{size[1]}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(size, order=order)
