"""Images, and label maps over them."""

from collections.abc import Sequence
from numbers import Real

import numpy as np

from ..datasets.label_png import UNLABELLED


def overlay_labels(
    image: np.ndarray,
    labels: np.ndarray,
    palette: np.ndarray,
    opacity: float = 0.65,
) -> np.ndarray:
    """Lay the colours of a label map over an image, but for the background.

    The image alone shows where the colour is black, the background's in most palettes, and where
    nothing is labelled (255). Elsewhere only its brightness shines through, so the colours are
    those of the palette.

    Args:
        image: (H, W, 3) of uint8, RGB.
        labels: (H, W) integers.
        palette: (K, 3) of uint8, RGB, with a row for every label but 255.
        opacity: Of the colours, from 0 (the image) to 1 (the colours alone).

    Raises:
        ValueError: The opacity is out of range, or the label map of another size.

    Returns:
        (H, W, 3) of uint8, RGB.
    """
    if not (isinstance(opacity, Real) and 0 <= opacity <= 1):
        raise ValueError(f"opacity must be from 0 to 1, not {opacity!r}")
    if labels.shape != image.shape[:2]:
        raise ValueError(
            f"labels must be {image.shape[:2]}, as the image is, but their shape is {labels.shape}"
        )
    coloured = labels != UNLABELLED
    black = ~palette.any(axis=1)  # (K,)
    coloured &= ~black[np.where(coloured, labels, 0)]
    brightness = image[coloured].mean(axis=-1, keepdims=True)  # (M, 1)
    colours = palette[labels[coloured]]  # (M, 3)
    result = image.copy()
    result[coloured] = np.round(opacity * colours + (1 - opacity) * brightness)
    return result


def clear_background(palette: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """The palette with black, which leaves the image clear, for the class ``background``.

    Args:
        palette: (K, 3) of uint8, RGB.
        classes: The names of the first labels; the others have none.

    Returns:
        (K, 3) of uint8, RGB.
    """
    named = [label for label, name in enumerate(classes) if name == "background"]
    cleared = palette.copy()
    cleared[named] = 0
    return cleared


def overlay_scribbles(image: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Draw scribbles over a pale image, on which dark colours show, the background's black too.

    Args:
        image: (H, W, 3) of uint8, RGB.
        labels: (H, W) integers, 255 beside the scribbles.
        palette: As in :func:`overlay_labels`.

    Returns:
        (H, W, 3) of uint8, RGB.
    """
    drawn = labels != UNLABELLED
    result = image // 2 + 127
    result[drawn] = palette[labels[drawn]]
    return result
