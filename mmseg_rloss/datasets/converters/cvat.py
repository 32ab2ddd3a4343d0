"""CVAT's exports "CVAT for images 1.1" and "Segmentation mask 1.1" (docs.cvat.ai)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from .files import add_colour, number_of, sources
from .marks import Annotation, Export, FormatError, Item, Mark, Options, as_points, runs_to_mask
from .png import coloured_items

KINDS = {"polyline": "line", "points": "points", "polygon": "polygon"}
OTHERS = ("tag", "attribute")  # of an image, which mark nothing
LABEL_MAP = "labelmap.txt"
BACKGROUND = "background"  # what was not drawn on, in masks


def read(path: Path, options: Options) -> Export:
    """annotations.xml, or a folder that holds it."""
    items: list[Item] = []
    colours: dict[str, tuple[int, int, int]] = {}
    classes: list[str] = []
    for file in sources(path, ".xml"):
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            raise FormatError(f"{file}: the XML is broken: {error}") from None
        if root.tag != "annotations":
            raise FormatError(f"{file}: no XML of CVAT, whose root is <annotations>")
        for label in root.iterfind("meta//label"):
            name, colour = label.findtext("name", ""), label.findtext("color", "")
            if name not in classes:
                classes.append(name)
                if len(colour) == 7:
                    red, green, blue = bytes.fromhex(colour[1:])
                    colours[name] = red, green, blue
        for image in root.iterfind("image"):
            items.append(Item(f"{file}, image {image.get('name')}", partial(annotation, image)))
    return Export(items, classes or None, colours)


def annotation(image: ElementTree.Element) -> Annotation:
    """What was drawn on an image.

    Raises:
        FormatError: It is not one of CVAT's.
    """
    height, width = (round(number_of(image.get(key), key)) for key in ("height", "width"))
    shapes = [shape for shape in image if shape.tag not in OTHERS]
    shapes.sort(key=lambda shape: int(shape.get("z_order", 0)))  # a stable order
    marks = [mark_of(shape, (height, width)) for shape in shapes]
    return Annotation(image.get("name", ""), (height, width), marks)


def mark_of(shape: ElementTree.Element, size: tuple[int, int]) -> Mark:
    """A shape of CVAT: lines, points, areas."""
    name = shape.get("label", "")
    if shape.tag in KINDS:
        pairs = [point.split(",") for point in shape.get("points", "").split(";")]
        return Mark(name, KINDS[shape.tag], as_points(pairs, f"a {shape.tag} of {name!r}"))
    if shape.tag == "box":
        left, top, right, bottom = (
            number_of(shape.get(key), key) for key in ("xtl", "ytl", "xbr", "ybr")
        )
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        return Mark(name, "polygon", np.array(corners))
    if shape.tag == "mask":
        return Mark(name, "mask", mask=mask_of(shape, size))
    raise FormatError(f"a shape of {name!r} is <{shape.tag}>, which is not read")


def mask_of(shape: ElementTree.Element, size: tuple[int, int]) -> np.ndarray:
    """Runs along the rows of a box, beginning with those outside the mask."""
    left, top, width, height = (
        round(number_of(shape.get(key), key)) for key in ("left", "top", "width", "height")
    )
    counts = [round(number_of(count, "rle")) for count in shape.get("rle", "").split(",")]
    inside = runs_to_mask(counts, (height, width), order="C")
    mask = np.zeros(size, dtype=bool)
    if min(left, top) < 0 or left + width > size[1] or top + height > size[0]:
        raise FormatError(f"a mask of {shape.get('label')!r} does not lie within its image")
    mask[top : top + height, left : left + width] = inside
    return mask


def read_masks(path: Path, options: Options) -> Export:
    """The folder of an export of masks: labelmap.txt and SegmentationClass.

    What was not drawn on has the colour of the class "background", unless another is named.
    """
    file = path / LABEL_MAP
    if not file.is_file():
        raise FormatError(f"{path} holds no {LABEL_MAP}: is it CVAT's Segmentation mask 1.1?")
    palette: dict[str, tuple[int, int, int]] = {}
    for line in file.read_text(encoding="utf-8-sig").splitlines():
        if line.strip() and not line.startswith("#"):
            # A label may hold colons; its colour, parts and actions do not.
            name, *rest = line.rsplit(":", 3)
            colour = rest[0].split(",") if rest else []
            add_colour(palette, name, colour, f"{file}: {line!r}")
    unlabelled = options.unlabelled or BACKGROUND
    return coloured_items(sources(path / "SegmentationClass", ".png"), palette, unlabelled, path)
