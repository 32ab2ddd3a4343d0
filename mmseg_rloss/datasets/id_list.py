"""Lists of images, in the forms in which those of PASCAL VOC are published."""

import codecs
import os
import re
from pathlib import Path, PurePosixPath

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Between two paths, each of which may hold spaces.
BETWEEN_PATHS = re.compile(
    rf"(?:{'|'.join(f'(?<={re.escape(suffix)})' for suffix in IMAGE_SUFFIXES)})\s+", re.IGNORECASE
)


def read_id_list(path: str | Path) -> list[str]:
    """Read the ids of a list: one a line, or the paths of the image and of its labels.

    ``2007_000032``, ``JPEGImages/2007_000032.jpg`` and rloss's and DeepLab's
    ``/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png`` name the same image.
    The list does not decide which labels are read. Blank lines and a byte order mark are ignored.

    Args:
        path: The file, in UTF-8.

    Returns:
        The ids, in order.

    Raises:
        ValueError: It is not text, or a line pairs an image with the labels of another.
    """
    data = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a list in UTF-8 ({error})") from None
    # The names of files have the encoding of the locale, which may be ASCII.
    lines = [os.fsdecode(line.strip()) for line in data.splitlines()]
    return [id_of(line, path) for line in lines if line]


def id_of(line: str, path: str | Path) -> str:
    """The id that a line of a list names."""
    columns = BETWEEN_PATHS.split(line)
    if not all(column.lower().endswith(IMAGE_SUFFIXES) for column in columns):
        return line
    ids = list(dict.fromkeys(map(name_in_folder, columns)))
    if len(ids) > 1:
        raise ValueError(f"{path}: {line!r} pairs an image with labels of another name")
    return ids[0]


def name_in_folder(column: str) -> str:
    """The path of a file within the data set's folder of its kind, without suffix."""
    path = PurePosixPath(column.lstrip("/"))
    parts = path.with_suffix("").parts
    return "/".join(parts[1:] or parts)
