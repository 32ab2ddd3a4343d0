"""What the command-line tools share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from .datasets.file_check import listed
from .datasets.label_png import UNLABELLED


def output_folder(text: str) -> Path:
    """Argparse's type for a folder to write to, which need not exist.

    Raises:
        argparse.ArgumentTypeError: the folder could not be made.
    """
    path = output_file(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is there, and is no folder")
    return path


def output_file(text: str) -> Path:
    """Argparse's type for a file to write, whose folder need not exist.

    Raises:
        argparse.ArgumentTypeError: its folder could not be made.
    """
    path = Path(text)
    for part in (path, *path.parents):
        if part.is_symlink() and not part.exists():
            target = os.readlink(part)
            raise argparse.ArgumentTypeError(
                f"{part} is a link to {target}, which is not there: is its disk mounted?"
            )
        if part != path and part.exists():
            if part.is_dir():
                break
            raise argparse.ArgumentTypeError(f"{part} is there, and is no folder")
    return path


def visible(paths: Iterable[Path]) -> list[Path]:
    """The paths in order, without hidden ones such as macOS's ``._photo.jpg``."""
    return sorted(path for path in paths if not path.name.startswith("."))


def shown(name: str) -> str:
    """The name of a file as a picture can show it, whatever its encoding and the locale's."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def stop_if_any(bad: list[str], title: str) -> None:
    """End a tool that has finished all other files with those that it could not use, by name."""
    if bad:
        raise SystemExit(f"{len(bad)} {title}: {listed(bad)}")


def add_label_options(parser: argparse.ArgumentParser, maps: str) -> None:
    """Let a tool read label maps in which another value than 255 stands for unlabelled."""
    parser.add_argument(
        "--ignore-index",
        type=int,
        choices=range(256),
        default=UNLABELLED,
        metavar="LABEL",
        help=f"what stands for unlabelled in the {maps} (default: %(default)s)",
    )
    parser.add_argument(
        "--reduce-zero-label",
        action="store_true",
        help=f"0 stands for unlabelled in the {maps}, and the classes count from 1",
    )


def at_least(smallest: int) -> Callable[[str], int]:
    """Argparse's type for a number with a limit."""

    def number(text: str) -> int:
        if int(text) < smallest:
            raise argparse.ArgumentTypeError(f"must be {smallest} or more, got {text}")
        return int(text)

    return number
