"""labelme's JSON files, one for each image (github.com/wkentaro/labelme)."""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..image import reason
from .files import read_json, sources
from .marks import Annotation, Export, FormatError, Item, Mark, Options, as_points

KINDS = {
    "line": "line",
    "linestrip": "line",
    "point": "points",
    "points": "points",
    "polygon": "polygon",
}


def read(path: Path, options: Options) -> Export:
    """A folder of JSON files, or one of them."""
    return Export([Item(str(file), partial(annotation, file)) for file in sources(path, ".json")])


def annotation(file: Path) -> Annotation:
    """The annotation of one file.

    Raises:
        ValueError: It is not one of labelme's.
    """
    data = read_json(file)
    if not isinstance(data, dict) or "shapes" not in data or not data.get("imagePath"):
        raise FormatError("not JSON of labelme: it lacks shapes or imagePath")
    height, width = data.get("imageHeight"), data.get("imageWidth")
    size = (int(height), int(width)) if height and width else None
    marks = [mark_of(shape, size) for shape in data["shapes"]]
    return Annotation(data["imagePath"], size, marks)


def mark_of(shape: dict[str, Any], size: tuple[int, int] | None) -> Mark:
    """A shape of labelme: lines, points, areas."""
    name, kind = str(shape.get("label")), shape.get("shape_type", "polygon")
    points = as_points(shape.get("points", []), f"a {kind} of {name!r}")
    if kind in KINDS:
        return Mark(name, KINDS[kind], points)
    if kind == "mask":
        return Mark(name, "mask", mask=mask_of(shape, points, size))
    if kind == "rectangle" and len(points) in (2, 4):
        (left, top), (right, bottom) = points.min(0), points.max(0)
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        return Mark(name, "polygon", np.array(corners))
    if kind == "circle" and len(points) == 2:  # its centre, and a point on it
        radius = np.linalg.norm(points[1] - points[0])
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        return Mark(
            name, "polygon", points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        )
    raise FormatError(f"a shape of {name!r} is a {kind} of {len(points)} points, which is not read")


def mask_of(shape: dict[str, Any], points: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """A PNG in base64 that fills the box between two points, the last one included."""
    if size is None or len(points) != 2:
        raise FormatError(f"a mask of {shape.get('label')!r} lacks its box, or the image its size")
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as image:
            inside = np.asarray(image) != 0
    except Exception as error:  # Pillow raises many types for broken files.
        raise FormatError(f"a mask of {shape.get('label')!r}: {reason(error)}") from None
    left, top = points.min(0).round().astype(int).tolist()
    mask = np.zeros(size, dtype=bool)
    box = mask[max(top, 0) : top + inside.shape[0], max(left, 0) : left + inside.shape[1]]
    if min(left, top) < 0 or box.shape != inside.shape:
        raise FormatError(f"a mask of {shape.get('label')!r} does not lie within its image")
    box[:] = inside
    return mask
