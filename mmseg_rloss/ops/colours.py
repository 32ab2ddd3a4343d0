"""Colours as the eye tells them apart."""

from __future__ import annotations

import torch
from torch import Tensor

from .ranges import GREY_LEVELS

_MOST_LIGHTNESS = 100


def to_lab(image: Tensor, value_range: tuple[float, float] | None = GREY_LEVELS) -> Tensor:
    """CIE L*a*b* (CIE 15) of sRGB images, scaled so that the lightness spans their range.

    Equal distances in it are about equal differences to the eye, which those in RGB are not.

    Args:
        image: (N, C, H, W) of floating point with values in the range. Images of other than three
            channels, or of no known range, come back as they are.
        value_range: The least and the largest value of the images; None where it is not known.

    Returns:
        (N, 3, H, W): the lightness, from 0 to 255 for images of 0-255, and two opponent colours,
        about -275 to 250 then, both 0 for grey.
    """
    if image.shape[1] != 3 or value_range is None:
        return image
    low, high = value_range
    rgb = (image - low).clamp(min=0) / (high - low)
    rgb = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    red, green, blue = rgb.unbind(1)  # (N, H, W), of sRGB made linear (IEC 61966-2-1)
    # CIE XYZ as shares of the white D65. Numbers, not a matrix: a GPU would wait for its copy.
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    xyz = torch.stack((x, y, z), 1)
    x, y, z = torch.where(xyz > 216 / 24389, xyz ** (1 / 3), xyz * (841 / 108) + 4 / 29).unbind(1)
    lab = torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)
    return (high - low) / _MOST_LIGHTNESS * lab
