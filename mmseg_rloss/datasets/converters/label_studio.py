"""Label Studio's exports of JSON, with brush strokes, and of brush strokes as PNGs.

See labelstud.io/guide/export.

The brush packs its strokes as github.com/thi-ng/umbrella's rle-pack does: 32 bits for the number of
values, 5 for the bits of a value less one, four times 4 for the bits of a length less one; then
runs, each a bit for whether one value repeats, two that choose the bits of its length, the
length less one, and the value or values. Of the four values of a pixel, the last is its opacity.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import numpy as np

from ..id_list import IMAGE_SUFFIXES
from .files import read_json, sources
from .marks import Annotation, Export, FormatError, Item, Mark, Options, as_points
from .png import opened

UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what the server puts before a file's name
OPAQUE = 128
# A stroke's file: the task, the annotation, who drew it, the tag and its label, and a number.
STROKE = re.compile(r"task-(\d+)-annotation-(\d+)-by-[^-]*-(.+)-(\d+)\.png")


def read(path: Path, options: Options) -> Export:
    """A JSON file (not JSON-MIN), or a folder of some."""
    items = []
    for file in sources(path, ".json"):
        tasks = tasks_of(file)
        if not all("annotations" in task for task in tasks):
            raise FormatError(f"{file}: not JSON of Label Studio: export JSON, not JSON-MIN")
        for task in tasks:
            items.append(Item(f"{file}, task {task.get('id')}", partial(annotation, task)))
    return Export(items)


def tasks_of(file: Path) -> list[dict[str, Any]]:
    """The tasks in a JSON file.

    Raises:
        FormatError: It is not a list of them.
    """
    try:
        tasks = read_json(file)
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise FormatError(f"{file}: not JSON of Label Studio")
    return tasks


def read_brush(path: Path, options: Options) -> Export:
    """The folder of "Brush labels to PNG", with the JSON or JSON-MIN of the project in it.

    The strokes' files do not name the images: the JSON says which image each task is of.
    """
    strokes: dict[int, list[tuple[int, int, str, Path]]] = {}
    for file in sources(path, ".png"):
        parts = STROKE.fullmatch(file.name)
        if not parts:
            raise FormatError(f"{file} is not named as Label Studio names the strokes of a brush")
        task, drawing, label, number = parts.groups()
        strokes.setdefault(int(task), []).append((int(drawing), int(number), label, file))
    try:
        files = sources(path, ".json")
    except FormatError:
        raise FormatError(
            f"{path} does not say which image each task is of: put the project's export as JSON "
            "beside the strokes, or convert that alone, as label-studio: it holds the strokes, too"
        ) from None
    tasks = {task.get("id"): task for file in files for task in tasks_of(file)}
    items = []
    for number, drawn in sorted(strokes.items()):
        read_strokes = partial(brush_annotation, number, tasks.get(number), sorted(drawn))
        items.append(Item(f"{path}, task {number}", read_strokes))
    return Export(items)


def brush_annotation(
    number: int, task: dict[str, Any] | None, drawn: list[tuple[int, int, str, Path]]
) -> Annotation:
    """The strokes of a task, by everyone who drew some.

    Raises:
        FormatError: The JSON has no such task, or the strokes are of different sizes.
    """
    if task is None:
        raise FormatError(f"the JSON beside it has no task {number}")
    tags = tags_of(task)
    masks = [np.asarray(opened(file).convert("L")) >= OPAQUE for *_, file in drawn]
    if len({mask.shape for mask in masks}) > 1:
        raise FormatError("its strokes are of different sizes")
    names = [without_tag(label, tags) for _, _, label, _ in drawn]
    marks = [Mark(name, "mask", mask=mask) for name, mask in zip(names, masks, strict=True)]
    return Annotation(image_of(task), masks[0].shape, marks)


def tags_of(task: dict[str, Any]) -> set[str]:
    """The names of the tags by which a task was labelled, as JSON or JSON-MIN has them."""
    if "annotations" not in task:
        return {key for key, value in task.items() if isinstance(value, (list, dict))}
    results = [result for drawing in task["annotations"] for result in drawing.get("result", [])]
    return {result["from_name"] for result in results if "from_name" in result}


def without_tag(label: str, tags: set[str]) -> str:
    """The name of a class, of TAG-NAME; a tag and a name may hold hyphens."""
    found = [tag for tag in tags if label.startswith(f"{tag}-")]
    return label[len(max(found, key=len)) + 1 :] if found else label.partition("-")[2]


def annotation(task: dict[str, Any]) -> Annotation:
    """What was drawn in a task, by everyone who did not cancel.

    Raises:
        FormatError: It is not one of Label Studio's.
    """
    marks, sizes = [], set()
    for answer in task["annotations"]:
        if answer.get("was_cancelled"):
            continue
        for result in answer.get("result", []):
            if not result.get("type", "").endswith("labels") or "original_width" not in result:
                continue  # choices, text and relations
            size = int(result["original_height"]), int(result["original_width"])
            sizes.add(size)
            marks += marks_of(result, size)
    if len(sizes) > 1:
        raise FormatError(f"its results are of images of different sizes: {sorted(sizes)}")
    return Annotation(image_of(task), sizes.pop() if sizes else None, marks)


def image_of(task: dict[str, Any]) -> str:
    """The name of the file that was uploaded, or its path in the local storage."""
    data = task.get("data") or {  # JSON-MIN has them among other texts
        key: value for key, value in task.items() if str(value).lower().endswith(IMAGE_SUFFIXES)
    }
    texts = [value for value in data.values() if isinstance(value, str)]
    if not texts:
        raise FormatError("its data name no image")
    address = urlparse(texts[0])
    local = parse_qs(address.query).get("d")
    if local:
        return unquote(local[0])
    return UPLOADED.sub("", unquote(address.path).rpartition("/")[2])


def marks_of(result: dict[str, Any], size: tuple[int, int]) -> list[Mark]:
    """A result of Label Studio; its lengths are per cent of the image's."""
    kind, value = result["type"], result["value"]
    try:
        names = value[kind]
        if kind == "brushlabels":
            mask = brush(value["rle"], size)
            return [Mark(name, "mask", mask=mask) for name in names]
        if kind == "polygonlabels":
            form, points = "polygon", as_points(value["points"], "a polygon")
        elif kind == "keypointlabels":
            form, points = "points", as_points([value["x"], value["y"]], "a keypoint")
        elif kind == "vectorlabels":
            corners = [[corner["x"], corner["y"]] for corner in value["vertices"]]
            form, points = "line", as_points(corners, "a vector")
        elif kind == "rectanglelabels" and not value.get("rotation"):
            left, top = value["x"], value["y"]
            right, bottom = left + value["width"], top + value["height"]
            corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
            form, points = "polygon", np.array(corners)
        else:
            raise FormatError(f"a result is of {kind}, which is not read")
    except (KeyError, TypeError) as error:
        raise FormatError(f"a result of {kind} is not as Label Studio's ({error!r})") from None
    pixels = points * [size[1] / 100, size[0] / 100]
    return [Mark(name, form, pixels) for name in names]


def brush(packed: list[int], size: tuple[int, int]) -> np.ndarray:
    """The pixels that a brush has covered, bool (H, W)."""
    values = unpacked(packed)
    if len(values) != size[0] * size[1] * 4:
        raise FormatError(f"a brush has {len(values)} values, not 4 for each of {size} pixels")
    return values.reshape(*size, 4)[..., 3] >= OPAQUE


def unpacked(packed: list[int]) -> np.ndarray:
    """The values of rle-pack, uint8 or, where they have more bits, int64.

    Raises:
        FormatError: The data are truncated, or not such data.
    """
    try:
        bits = np.unpackbits(np.array(packed, dtype=np.uint8))
    except (TypeError, ValueError, OverflowError):
        raise FormatError("a brush is not a list of bytes") from None
    place = 0

    def take(count: int) -> int:
        nonlocal place
        part = bits[place : place + count]
        if len(part) < count:
            raise FormatError("a brush broke off")
        place += count
        return int("".join(map(str, part.tolist())), 2)

    total, word = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    kind = np.uint8 if word <= 8 else np.int64
    runs, found = [], 0
    while found < total:
        repeats = take(1)
        length = take(lengths[take(2)]) + 1
        found += length
        if repeats:
            runs.append(np.full(length, take(word), dtype=kind))
            continue
        end = place + length * word
        if end > len(bits):
            raise FormatError("a brush broke off")
        words = bits[place:end].reshape(length, word).astype(np.int64)
        runs.append((words @ (1 << np.arange(word)[::-1])).astype(kind))
        place = end
    return np.concatenate(runs)[:total] if runs else np.zeros(0, dtype=kind)
