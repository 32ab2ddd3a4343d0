"""Label maps as palette PNGs, the way PASCAL VOC stores them."""

from numbers import Integral
from pathlib import Path

import numpy as np
from PIL import Image

from .image import check_regular, reason

UNLABELLED = 255
LOSSY = ("JPEG", "MPO")


def voc_palette() -> np.ndarray:
    """The colours of PASCAL VOC's development kit, for all 256 labels.

    The three lowest bits of a label are the highest bits of red, green and blue, the next three
    bits the next ones, and so on. Label 255, unlabelled, comes out as a pale cream.

    Returns:
        (256, 3) of uint8, RGB.
    """
    labels = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((labels >> channel) & 1) << (7 - bit)).astype(np.uint8)
        labels >>= 3
    return palette


def full_palette(palette: np.ndarray | None = None) -> np.ndarray:
    """A colour for every label: those of a palette (K, 3), and VOC's for the others.

    Returns:
        (256, 3) of uint8, RGB.
    """
    colours = voc_palette()
    if palette is not None:
        colours[: len(palette)] = palette
    return colours


def write_label_png(
    labels: np.ndarray, path: str | Path, palette: np.ndarray | None = None
) -> None:
    """Write a label map as a PNG that shows colours and reads back as the labels.

    The file appears when it is whole, so that an interruption never leaves half of one.

    Args:
        labels: (H, W) of uint8; 255 stands for unlabelled.
        path: The file to write.
        palette: (K, 3) of uint8, RGB, the colours of the first K labels; the others keep VOC's, as
            all of them do without it.
    """
    image = Image.fromarray(labels)
    image.putpalette(full_palette(palette).tobytes())
    unfinished = Path(path).with_suffix(".unfinished")
    image.save(unfinished, format="PNG")
    unfinished.replace(path)


def read_label_png(
    path: str | Path, ignore_index: int = UNLABELLED, reduce_zero_label: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map and its colours.

    Args:
        path: A one-channel PNG, with a palette or grey.
        ignore_index: What stands for unlabelled in the file.
        reduce_zero_label: Whether 0 stands for unlabelled, and the classes count from 1.

    Returns:
        The labels, (H, W) of uint8, where 255 stands for unlabelled, and the colours, (256, 3) of
        uint8, RGB: the file's, or VOC's for a grey one.

    Raises:
        OSError: The file is missing.
        ValueError: It cannot be read, has more than one channel or holds no labels.
    """
    check_regular(path)
    colours = voc_palette()
    try:
        image = Image.open(path)
        image.load()
    except Exception as error:  # Pillow raises many types for broken files.
        raise ValueError(f"{path}: unreadable ({reason(error)})") from error
    with image:
        if len(image.getbands()) != 1:
            raise ValueError(f"{path}: {image.mode} where a label map has one channel of 8 bits")
        labels = labels_of(image, path)
        if image.mode == "P":
            own = np.array(image.getpalette("RGB")).reshape(-1, 3)
            colours[: len(own)] = own
    if reduce_zero_label:
        colours = np.concatenate([colours[1:], colours[:1]])
    return standardize(labels, ignore_index, reduce_zero_label), colours


def check_label(name: str, value: int) -> None:
    """Raise ValueError unless a value can be a label."""
    number = isinstance(value, Integral) and not isinstance(value, bool)
    if not (number and 0 <= value <= UNLABELLED):
        raise ValueError(f"{name} must be a label from 0 to 255, got {value!r}")


def labels_of(image: Image.Image, name: str | Path) -> np.ndarray:
    """The labels of a decoded image of one channel, uint8 (H, W), as MMSeg's LoadAnnotations.

    Raises:
        ValueError: Its values do not fit 8 bits, to which LoadAnnotations would cut them, or it was
            a JPEG.
    """
    if image.format in LOSSY:
        raise ValueError(f"{name}: a JPEG, which blends labels into others: draw it as a PNG anew")
    values = np.asarray(image)
    with np.errstate(invalid="ignore"):
        labels = values.astype(np.uint8)
    if not np.array_equal(labels, values):
        wrong = values[labels != values][0]
        raise ValueError(f"{name}: label {wrong}, where labels are whole numbers from 0 to 255")
    return labels


def standardize(labels: np.ndarray, ignore_index: int, reduce_zero_label: bool) -> np.ndarray:
    """Labels that count from 0, with 255 for unlabelled, whichever way the file has them."""
    unlabelled = labels == ignore_index
    if reduce_zero_label:
        unlabelled |= (labels == 0) | (labels == UNLABELLED)
        labels = labels - np.uint8(1)
    return np.where(unlabelled, np.uint8(UNLABELLED), labels)
