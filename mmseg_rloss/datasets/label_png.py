"""Label maps as palette PNGs, the way PASCAL VOC stores them."""

from pathlib import Path

import numpy as np
from PIL import Image


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


def write_label_png(labels: np.ndarray, path: str | Path) -> None:
    """Write a label map as a PNG that shows VOC's colours and reads back as the labels.

    Args:
        labels (np.ndarray): uint8 of shape (H, W); 255 stands for unlabelled.
        path (str | Path): the file to write.
    """
    image = Image.fromarray(labels)
    image.putpalette(voc_palette().tobytes())
    image.save(path, format="PNG")
