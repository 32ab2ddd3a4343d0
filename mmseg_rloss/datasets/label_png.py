"""Label maps as palette PNGs, the way PASCAL VOC stores them."""

from pathlib import Path

import numpy as np
from PIL import Image

UNLABELLED = 255


def voc_palette() -> np.ndarray:
    """The colours of PASCAL VOC's development kit, for all 256 labels.

    The three lowest bits of a label are the highest bits of red, green and blue, the next three
    bits the next ones, and so on. Label 255, unlabelled, comes out as a pale cream.

    Returns:
        np.ndarray: uint8 of shape (256, 3), RGB.
    """
    labels = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((labels >> channel) & 1) << (7 - bit)).astype(np.uint8)
        labels >>= 3
    return palette


def write_label_png(
    labels: np.ndarray, path: str | Path, palette: np.ndarray | None = None
) -> None:
    """Write a label map as a PNG that shows colours and reads back as the labels.

    The file appears when it is whole, so that an interruption never leaves half of one.

    Args:
        labels (np.ndarray): uint8 of shape (H, W); 255 stands for unlabelled.
        path (str | Path): the file to write.
        palette (np.ndarray): uint8 of shape (K, 3), RGB, the colours of the first K labels; the
            others keep VOC's, as all of them do without it.
    """
    colours = voc_palette()
    if palette is not None:
        colours[: len(palette)] = palette
    image = Image.fromarray(labels)
    image.putpalette(colours.tobytes())
    unfinished = Path(path).with_suffix(".unfinished")
    image.save(unfinished, format="PNG")
    unfinished.replace(path)


def read_label_png(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map and its colours.

    Args:
        path (str | Path): a one-channel PNG, with a palette or grey.

    Returns:
        tuple[np.ndarray, np.ndarray]: the labels, uint8 of shape (H, W), and the colours, uint8 of
        shape (256, 3), RGB: the file's, or VOC's for a grey one.

    Raises:
        ValueError: the file has more than one channel.
    """
    with Image.open(path) as image:
        if image.mode not in ("P", "L"):
            raise ValueError(f"{path}: {image.mode} where a label map has one channel of 8 bits")
        colours = voc_palette()
        if image.mode == "P":
            own = np.reshape(image.getpalette("RGB"), (-1, 3))
            colours[: len(own)] = own
        return np.array(image), colours
