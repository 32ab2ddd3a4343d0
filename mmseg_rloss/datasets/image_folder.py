"""The images of a folder by their ids, whatever their suffixes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .id_list import IMAGE_SUFFIXES


def regular_files(root: Path) -> Iterator[Path]:
    """The files below a folder, behind links too, without pipes and devices."""
    seen = set()  # A folder that links lead to again is walked again only under another name.
    for folder, subfolders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder), os.path.basename(folder)
        if place in seen:
            subfolders.clear()
            continue
        seen.add(place)
        yield from filter(Path.is_file, (Path(folder, name) for name in names))


def files_by_id(folder: Path) -> dict[str, list[Path]]:
    """The images of a folder and its subfolders, by their path in it without the suffix.

    Ids may hold spaces and dots: of ``a b.v2.png`` it is ``a b.v2``. Hidden files, such as macOS's
    ``._image.jpg``, are left out.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(regular_files(folder)):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            files.setdefault(id_in(folder, path), []).append(path)
    return files


def ids_by_suffix(folder: Path, suffix: str) -> list[str]:
    """The ids of a folder's files that end in a suffix, such as ``.png`` or ``_mask.png``."""
    paths = sorted(path for path in regular_files(folder) if not path.name.startswith("."))
    names = [path.relative_to(folder).as_posix() for path in paths]
    return [name[: -len(suffix)] for name in names if name.lower().endswith(suffix.lower())]


def id_in(folder: Path, path: Path) -> str:
    """The id of a file below a folder."""
    return path.relative_to(folder).with_suffix("").as_posix()


def only_image(images: dict[str, list[Path]], name: str, folder: Path) -> Path:
    """The one image of an id, among those that :func:`files_by_id` found in the folder.

    Raises:
        ValueError: There is none, or more than one; the message names them.
    """
    found = images.get(name, [])
    if not found:
        others = ", ".join(suffix for suffix in IMAGE_SUFFIXES if suffix != ".jpg")
        raise ValueError(f"{folder / name}.jpg: missing, and so are {others} of this name")
    if len(found) > 1:
        both = " and ".join(map(str, found))
        raise ValueError(f"{both} would share the labels of {name!r}: rename or remove one")
    return found[0]
