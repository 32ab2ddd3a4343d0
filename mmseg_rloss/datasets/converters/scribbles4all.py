"""The data sets of Scribbles for All (Boettcher et al., NeurIPS 2024).

See github.com/wbkit/Scribbles4All, whose published generator this reader follows. It draws label
images of grey levels in three channels, under the name of the mask, and writes an h5 file of the
lines beside each, which is not read.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmseg.datasets import ADE20KDataset, BaseSegDataset, CityscapesDataset, PascalVOCDataset

from .files import sources
from .marks import Annotation, Export, FormatError, Item, Mark, Options
from .png import name_in, opened

# Of Cityscapes' ids, those that its evaluation counts, in the order of its classes.
COUNTED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
HIGHEST_ID = 33


class Labels(NamedTuple):
    """How one of the data sets names its files, and what their values mean."""

    dataset: type[BaseSegDataset]  # of MMSeg, whose classes they are
    name: re.Pattern[str]  # of a label image
    image: str  # of its image, by the groups of that
    values: dict[int, int]  # the class of each
    unlabelled: frozenset[int]


KINDS = {
    "s4Pascal": Labels(
        PascalVOCDataset,
        re.compile(r"(\d{4}_\d{6})\.png"),
        r"\1",
        {label: label for label in range(21)},
        frozenset({255}),
    ),
    "s4Cityscapes": Labels(
        CityscapesDataset,
        re.compile(r"(\w+)_gtFine_labelIds\.png"),
        r"\1_leftImg8bit",
        {value: label for label, value in enumerate(COUNTED_IDS)},
        frozenset(range(HIGHEST_ID)) - frozenset(COUNTED_IDS),
    ),
    "s4ADE20K": Labels(
        ADE20KDataset,
        re.compile(r"(ADE_train_\d{8})\.png"),
        r"\1",
        {label + 1: label for label in range(150)},
        frozenset({0}),
    ),
}


def read(path: Path, options: Options) -> Export:
    """A folder of one of the data sets; the names of the files say which."""
    files = sources(path, ".png")
    found = [kind for kind in KINDS.values() if kind.name.fullmatch(files[0].name)]
    if not found:
        raise FormatError(
            f"{files[0]} is named as in none of {', '.join(KINDS)}: name the folder of one of them"
        )
    (kind,) = found
    classes, palette = (kind.dataset.METAINFO[key] for key in ("classes", "palette"))
    colours = {name: tuple(colour) for name, colour in zip(classes, palette, strict=True)}
    items = [Item(str(file), partial(annotation, file, path, kind)) for file in files]
    return Export(items, list(classes), colours)


def annotation(file: Path, root: Path, kind: Labels) -> Annotation:
    """The scribbles of one image.

    Raises:
        FormatError: It is not a label image of that data set.
    """
    name = kind.name.fullmatch(file.name)
    if not name:
        raise FormatError("it is not named as the first file is")
    levels = np.asarray(opened(file))
    if levels.ndim == 3:
        if (levels != levels[..., :1]).any():
            raise FormatError("it holds colours, where labels are grey levels")
        levels = levels[..., 0]
    classes = kind.dataset.METAINFO["classes"]
    marks = []
    for value in np.unique(levels).tolist():
        if value in kind.unlabelled:
            continue
        if value not in kind.values:
            raise FormatError(f"label {value}, which the data set does not have")
        marks.append(Mark(classes[kind.values[value]], "mask", mask=np.equal(levels, value)))
    folder = Path(name_in(root, file)).parent
    return Annotation((folder / name.expand(kind.image)).as_posix(), levels.shape, marks)
