"""The files of an export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..image_folder import regular_files
from .marks import FormatError


def sources(path: Path, *suffixes: str) -> list[Path]:
    """The files of some suffixes below a folder, or the one file.

    Raises:
        FormatError: There is no such file.
    """
    if path.is_file():
        return [path]
    found = [
        file
        for file in sorted(regular_files(path))
        if file.name.lower().endswith(suffixes) and not file.name.startswith(".")
    ]
    if not found:
        raise FormatError(f"{path} holds no {' or '.join(suffixes)}")
    return found


def read_json(file: Path) -> Any:
    """The contents of a JSON file in UTF-8.

    Raises:
        FormatError: It is not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # of the text's encoding, too
        raise FormatError(f"not JSON: {error}") from None


def number_of(value: Any, what: str) -> float:
    """A number that a file holds as a number or as text.

    Raises:
        FormatError: It is not a number.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise FormatError(f"{what} is {value!r}, not a number") from None


def read_palette(file: Path) -> dict[str, tuple[int, int, int]]:
    """A colour for each name: lines of a name and red, green and blue from 0 to 255.

    Raises:
        FormatError: A line has another form, or repeats a name or a colour.
    """
    palette: dict[str, tuple[int, int, int]] = {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: not in UTF-8 ({error})") from None
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        name, *colour = line.strip().rsplit(maxsplit=3)
        add_colour(palette, name, colour, f"{file}: {line!r}")
    return palette


def add_colour(
    palette: dict[str, tuple[int, int, int]], name: str, colour: list[str], where: str
) -> None:
    """Add a class and its colour, once each.

    Raises:
        FormatError: The colour is not three such numbers, or the name or the colour is taken.
    """
    if not (len(colour) == 3 and all(part.isdigit() and int(part) < 256 for part in colour)):
        raise FormatError(f"{where} is not a name with red, green and blue from 0 to 255")
    red, green, blue = map(int, colour)
    if name in palette or (red, green, blue) in palette.values():
        raise FormatError(f"{where} repeats a name or a colour")
    palette[name] = (red, green, blue)
