"""Images of strokes: of a colour for each class, of its index, or an image for each class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ..image import check_regular, reason
from ..label_png import UNLABELLED, check_label, labels_of
from .files import read_palette, sources
from .marks import Annotation, Export, FormatError, Item, Mark, Options

# Names of a palette's line for what was not drawn on.
NOT_DRAWN = ("unlabelled", "unlabeled", "ignore", "void", "none")
LABEL_IMAGES = (".png", ".tif", ".tiff", ".bmp")


def read_colours(path: Path, options: Options) -> Export:
    """Images of strokes in the colours of a palette file, and of transparent pixels.

    Its line "unlabelled", or whichever is named, has the colour of what was not drawn on.
    """
    if options.palette is None:
        raise FormatError("strokes in colours need a palette: lines of a name and its r g b")
    palette = read_palette(options.palette)
    names = [options.unlabelled] if options.unlabelled else NOT_DRAWN
    unlabelled = next((name for name in names if name in palette), None)
    if options.unlabelled and not unlabelled:
        raise FormatError(f"{options.palette} has no colour for {options.unlabelled!r}")
    return coloured_items(sources(path, *LABEL_IMAGES), palette, unlabelled, path)


def coloured_items(
    files: list[Path],
    palette: dict[str, tuple[int, int, int]],
    unlabelled: str | None,
    root: Path,
) -> Export:
    """The annotations of images of colours, all of which the palette has."""
    items = [Item(str(file), partial(coloured, file, palette, unlabelled, root)) for file in files]
    colours = {name: colour for name, colour in palette.items() if name != unlabelled}
    return Export(items, list(colours), colours)


def coloured(
    file: Path, palette: dict[str, tuple[int, int, int]], unlabelled: str | None, root: Path
) -> Annotation:
    """The annotation in an image of colours.

    Raises:
        FormatError: A pixel has none of the colours.
    """
    image = np.asarray(opened(file).convert("RGBA"))
    colours = image[..., :3] @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)  # (H, W)
    known = image[..., 3] == 0
    marks = []
    for name, (red, green, blue) in palette.items():
        mask = (colours == (red << 16 | green << 8 | blue)) & ~known
        known |= mask
        if name != unlabelled and mask.any():
            marks.append(Mark(name, "mask", mask=mask))
    if not known.all():
        row, column = np.argwhere(~known)[0]
        red, green, blue = image[row, column, :3].tolist()
        raise FormatError(
            f"{np.count_nonzero(~known)} pixels have none of the palette's colours, such as "
            f"{red} {green} {blue} at x={column}, y={row}: draw without smoothing, and name every "
            "colour, that of the paper as unlabelled"
        )
    return Annotation(name_in(root, file), known.shape, marks)


def read_indices(path: Path, options: Options) -> Export:
    """Images whose pixels are labels.

    255 stands for unlabelled, or another value that is named. Where it is 0, as in ITK-SNAP and
    napari, the classes count from 1.
    """
    classes = options.classes
    if not classes:
        raise FormatError("label images carry no class names: pass them with --classes")
    unlabelled = unlabelled_value(options, UNLABELLED)
    items = [
        Item(str(file), partial(indexed, file, classes, unlabelled, path))
        for file in sources(path, *LABEL_IMAGES)
    ]
    return Export(items, classes)


def unlabelled_value(options: Options, default: int) -> int:
    """The label that stands for unlabelled.

    Raises:
        FormatError: What was named is not a label.
    """
    if options.unlabelled is None:
        return default
    try:
        value = int(options.unlabelled)
        check_label("unlabelled", value)
    except ValueError:
        raise FormatError(f"{options.unlabelled!r} is not a label from 0 to 255") from None
    return value


def indexed(file: Path, classes: list[str], unlabelled: int, root: Path) -> Annotation:
    """The annotation in an image of labels."""
    image = opened(file)
    if len(image.getbands()) != 1:
        raise FormatError(f"{len(image.getbands())} channels where a label image has one")
    labels = labels_of(image, file.name)
    return Annotation(
        name_in(root, file), labels.shape, marks_of_labels(labels, classes, unlabelled)
    )


def marks_of_labels(labels: np.ndarray, classes: list[str], unlabelled: int) -> list[Mark]:
    """A mark for each class of a label map, (H, W).

    Raises:
        FormatError: A label has no class.
    """
    first = 1 if unlabelled == 0 else 0
    marks = []
    for label in np.unique(labels).tolist():
        if label in (unlabelled, UNLABELLED):
            continue
        if label - first >= len(classes):
            raise FormatError(
                f"label {label}, where the {len(classes)} classes are {first} to "
                f"{len(classes) - 1 + first} and {unlabelled} stands for unlabelled"
            )
        marks.append(Mark(classes[label - first], "mask", mask=np.equal(labels, label)))
    return marks


def read_per_class(path: Path, options: Options) -> Export:
    """A folder for each class, of images that are not black where it was drawn."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    files: dict[str, list[tuple[str, Path]]] = {}
    for folder in folders:
        for file in sources(folder, *LABEL_IMAGES):
            files.setdefault(name_in(folder, file), []).append((folder.name, file))
    if not files:
        raise FormatError(f"{path} holds no folder for each class, with images in it")
    items = [
        Item(" and ".join(str(file) for _, file in parts), partial(joined, name, parts))
        for name, parts in sorted(files.items())
    ]
    return Export(items, [folder.name for folder in folders])


def joined(name: str, parts: list[tuple[str, Path]]) -> Annotation:
    """The annotation in an image for each class."""
    masks = [(kind, np.asarray(opened(file).convert("RGB")).max(-1) > 0) for kind, file in parts]
    if len({mask.shape for _, mask in masks}) > 1:
        raise FormatError("they are of different sizes")
    marks = [Mark(kind, "mask", mask=mask) for kind, mask in masks]
    return Annotation(name, masks[0][1].shape, marks)


def opened(file: Path) -> Image.Image:
    """A decoded image.

    Raises:
        FormatError: It cannot be decoded.
        OSError: It is missing, or not a file.
    """
    check_regular(file)
    try:
        image = Image.open(file)
        image.load()
    except Exception as error:  # Pillow raises many types for broken files.
        raise FormatError(f"unreadable ({reason(error)})") from None
    return image


def name_in(root: Path, file: Path) -> str:
    """The path of a file in its folder."""
    if not root.is_dir():
        return file.name
    path = file.relative_to(root)
    parts = path.parts
    return "/".join(parts[1:] if parts[0] == "SegmentationClass" else parts)
