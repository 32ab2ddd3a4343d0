"""COCO's JSON (cocodataset.org/#format-data), as many tools export it."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .files import read_json, sources
from .marks import Annotation, Export, FormatError, Item, Mark, Options, as_points, runs_to_mask


def read(path: Path, options: Options) -> Export:
    """A JSON file, or a folder of some."""
    items: list[Item] = []
    names: dict[int, str] = {}
    for file in sources(path, ".json"):
        try:
            data = read_json(file)
            categories = {category["id"]: category for category in data["categories"]}
            if not all(isinstance(category["name"], str) for category in categories.values()):
                raise FormatError("a category has no name")
            drawn = defaultdict(list)
            for entry in data["annotations"]:
                drawn[entry["image_id"]].append(entry)
            for image in data["images"]:
                source = f"{file}, image {image['file_name']}"
                entries = drawn.pop(image["id"], [])
                items.append(Item(source, partial(annotation, image, entries, categories)))
        except FormatError as error:
            raise FormatError(f"{file}: {error}") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{file}: not JSON of COCO ({error!r})") from None
        if drawn:
            raise FormatError(f"{file}: annotations of images that are not listed: {[*drawn]}")
        names |= {key: category["name"] for key, category in categories.items()}
    return Export(items, list(dict.fromkeys(names[key] for key in sorted(names))))


def annotation(
    image: dict[str, Any], entries: list[dict[str, Any]], categories: dict[int, dict]
) -> Annotation:
    """What was drawn on an image.

    Raises:
        FormatError: It is not one of COCO's.
    """
    try:
        size = int(image["height"]), int(image["width"])
        marks = [mark for entry in entries for mark in marks_of(entry, categories, size)]
    except (KeyError, TypeError) as error:
        raise FormatError(f"no annotation of COCO ({error!r})") from None
    return Annotation(image["file_name"], size, marks)


def marks_of(
    entry: dict[str, Any], categories: dict[int, dict], size: tuple[int, int]
) -> list[Mark]:
    """An annotation: polygons of two points are lines, and keypoints go along their skeleton."""
    category = categories[entry["category_id"]]
    name, segmentation = category["name"], entry.get("segmentation") or []
    marks = []
    if isinstance(segmentation, dict):
        marks.append(Mark(name, "mask", mask=mask_of(segmentation, size)))
    else:
        for polygon in segmentation:
            points = as_points(polygon, f"a polygon of {name!r}")
            marks.append(Mark(name, "polygon" if len(points) > 2 else "line", points))
    if entry.get("polyline"):
        lines = entry["polyline"]
        for line in lines if isinstance(lines[0], (list, tuple)) else [lines]:
            marks.append(Mark(name, "line", as_points(line, f"a polyline of {name!r}")))
    if entry.get("keypoints"):
        marks += keypoints_of(entry["keypoints"], category)
    if not marks:
        raise FormatError(f"an annotation of {name!r} has no segmentation, polyline or keypoints")
    return marks


def keypoints_of(values: list[float], category: dict[str, Any]) -> list[Mark]:
    """Dots, and lines between those that the skeleton joins; v = 0 is for points not labelled."""
    triples = np.array(values, dtype=float).reshape(-1, 3)
    points = as_points(triples[:, :2].tolist(), f"an annotation of {category['name']!r}")
    labelled = triples[:, 2] > 0
    edges = np.array(category.get("skeleton") or np.empty((0, 2)), dtype=int) - 1
    marks = [Mark(category["name"], "line", points[edge]) for edge in edges if labelled[edge].all()]
    return [
        *marks,
        *([Mark(category["name"], "points", points[labelled])] if any(labelled) else []),
    ]


def mask_of(rle: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """Runs along the columns, as numbers or packed into a text."""
    if tuple(rle["size"]) != size:
        raise FormatError(f"a mask is {tuple(rle['size'])}, its image {size} (height, width)")
    counts = rle["counts"]
    return runs_to_mask(unpacked(counts) if isinstance(counts, str) else counts, size, order="F")


def unpacked(text: str) -> list[int]:
    """The runs of a text of pycocotools: numbers of 5 bits a letter, from the third on differences.

    The lowest bits come first. Bit 6 means that more follow, bit 5 of the last is the sign.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) and 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts
