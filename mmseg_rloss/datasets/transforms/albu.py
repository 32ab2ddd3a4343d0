"""What the Albumentations within MMSeg's Albu do to label maps and the region of interest.

Albumentations is an option of MMSeg: nothing is imported from it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmseg.datasets.transforms import Albu

# The names that versions of Albumentations have for a mask's fill value and for its borders.
_MASK_FILLINGS = (
    "fill_mask",
    "mask_fill_value",
    "mask_value",
    "mask_drop_value",
    "cval_mask",
    "pad_cval_mask",
    "mask_pad_val",
)
_BORDERS = ("border_mode", "pad_mode", "mode")
_CONSTANT = 0  # cv2.BORDER_CONSTANT
_NEAREST = (0, 6)  # cv2.INTER_NEAREST and INTER_NEAREST_EXACT
_BLENDING = {"Morphological"}


def changes_colours_alone(albu: Albu) -> bool:
    """Whether only colours change: no pixel moves, is added or is painted over in the label map."""
    return all(_is_a(leaf, "ImageOnlyTransform") for leaf in _leaves(albu.aug))


def filled_label(albu: Albu) -> float | None:
    """The least label that a transform gives to pixels outside the image; None if none."""
    fillings = [_filling(leaf) for leaf in _leaves(albu.aug)]
    return min((value for value in fillings if value is not None), default=None)


def blending(albu: Albu) -> str | None:
    """The name of the first transform that would blend neighbouring labels into others."""
    for leaf in _leaves(albu.aug):
        name = type(leaf).__name__
        if name in _BLENDING or getattr(leaf, "mask_interpolation", 0) not in _NEAREST:
            return name
    return None


def _filling(leaf: Any) -> float | None:
    given = [getattr(leaf, name, None) for name in _MASK_FILLINGS]
    values = [value for value in given if isinstance(value, (int, float, list, tuple))]
    borders = [getattr(leaf, name, None) for name in _BORDERS]
    borders = [border for border in borders if isinstance(border, int)]
    if not values or (borders and borders[0] != _CONSTANT):
        return None
    return float(np.min(values[0]))


def _leaves(transform: Any) -> Iterator[Any]:
    """The transforms within Compose, OneOf and the like."""
    if _is_a(transform, "BaseCompose"):
        for inner in transform.transforms:
            yield from _leaves(inner)
    else:
        yield transform


def _is_a(transform: Any, name: str) -> bool:
    return name in {kind.__name__ for kind in type(transform).__mro__}
