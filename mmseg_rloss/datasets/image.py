"""Images as the network gets them: one reader for the data set, the tools and the pictures."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import ExifTags, Image

UPRIGHT = 1  # the value of EXIF's orientation


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as MMSeg's LoadImageFromFile does: upright, 16 bits a channel scaled to 8.

    Args:
        path: The file.

    Returns:
        (H, W, 3) of uint8, RGB.

    Raises:
        OSError: The file is missing, truncated, or not an image.
    """
    return np.ascontiguousarray(_load(path, LoadImageFromFile())[..., ::-1])


def shown(name: str) -> str:
    """The name of a file as a picture can show it, whatever its encoding and the locale's."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def image_size(path: str | Path, loader: LoadImageFromFile) -> tuple[int, int]:
    """Height and width of an image as a pipeline's loader makes it, from the header if possible.

    Raises:
        OSError: As :func:`read_image`.
    """
    _check_whole(path)
    # Pillow gives another size for a turned image, and cannot open all that OpenCV can.
    with contextlib.suppress(Exception), Image.open(path) as image:
        if image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) == UPRIGHT:
            return image.height, image.width
    return _load(path, loader).shape[:2]


def _load(path: str | Path, loader: LoadImageFromFile) -> np.ndarray:
    _check_whole(path)
    try:
        return loader.transform(dict(img_path=str(path)))["img"]
    except Exception as error:  # Each decoder raises its own types.
        raise OSError(f"{path}: unreadable ({reason(error)})") from error


def _check_whole(path: str | Path) -> None:
    check_regular(path)
    if ends_early(path):
        raise OSError(f"{path}: truncated")


def check_regular(path: str | Path) -> None:
    """Refuse what is not a file: opening a pipe would block forever.

    Raises:
        FileNotFoundError: Nothing is there.
        OSError: It is something other than a file.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: missing (No such file or directory)")
    if not Path(path).is_file():
        raise OSError(f"{path}: not a file, but a folder, a pipe or a device")


def ends_early(path: str | Path) -> bool:
    """Whether a JPEG, PNG, WebP or BMP lacks its end, which OpenCV would fill with grey.

    Some cameras add a few bytes after it.
    """
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        head = file.read(12)
        file.seek(-min(size, 1024), 2)
        tail = file.read()
    if head.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in tail
    if head.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if head.startswith(b"RIFF"):
        return size < int.from_bytes(head[4:8], "little") + 8
    if head.startswith(b"BM"):
        return size < int.from_bytes(head[2:6], "little")
    return False


def reason(error: Exception) -> str:
    """An error of another library on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
