"""Photos, and label maps over them."""

from numbers import Real

import numpy as np

from ..datasets.label_png import UNLABELLED


def overlay_labels(
    photo: np.ndarray,
    labels: np.ndarray,
    palette: np.ndarray,
    opacity: float = 0.65,
    clear_black: bool = False,
) -> np.ndarray:
    """Lay the colours of a label map over a photo; unlabelled pixels (255) show the photo alone.

    Only the brightness of the photo shines through, so the colours are those of the palette.

    Args:
        photo (np.ndarray): uint8 of shape (H, W, 3), RGB.
        labels (np.ndarray): integers of shape (H, W).
        palette (np.ndarray): uint8 of shape (K, 3), RGB, with a row for every label but 255.
        opacity (float): of the colours, from 0 (the photo) to 1 (the colours alone).
        clear_black (bool): leave the photo alone where the colour is black, the background's in
            most palettes.

    Raises:
        ValueError: the opacity is out of range, or the label map of another size.

    Returns:
        np.ndarray: uint8 of shape (H, W, 3), RGB.
    """
    if not (isinstance(opacity, Real) and 0 <= opacity <= 1):
        raise ValueError(f"opacity must be from 0 to 1, not {opacity!r}")
    if labels.shape != photo.shape[:2]:
        raise ValueError(
            f"labels must be {photo.shape[:2]}, as the photo is, but their shape is {labels.shape}"
        )
    labelled = labels != UNLABELLED
    if clear_black:
        black = ~palette.any(axis=1)  # (K,)
        labelled &= ~black[np.where(labelled, labels, 0)]
    brightness = photo[labelled].mean(axis=-1, keepdims=True)  # (M, 1)
    colours = palette[labels[labelled]]  # (M, 3)
    result = photo.copy()
    result[labelled] = np.round(opacity * colours + (1 - opacity) * brightness)
    return result
