"""What the command-line tools share."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.backend_bases import FigureCanvasBase
from mmengine.config import Config

from .datasets.file_check import listed
from .datasets.image import reason
from .datasets.label_png import UNLABELLED

NEEDS_PKG_RESOURCES = (
    "A config of the form 'mmseg::...' needs pkg_resources, which setuptools 81 dropped: "
    'pip install "setuptools<81".'
)


def output_folder(text: str) -> Path:
    """Argparse's type for a folder to write to, which need not exist.

    Raises:
        argparse.ArgumentTypeError: The folder could not be made.
    """
    path = output_file(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} exists and is not a folder")
    if path.exists() and not os.access(path, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{path} may not be written to")
    return path


def output_picture(text: str) -> Path:
    """Argparse's type for a picture that Matplotlib is to write.

    Raises:
        argparse.ArgumentTypeError: It could not be written, or its name has no known suffix.
    """
    path = output_file(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder, not a picture")
    if path.suffix.lower().lstrip(".") not in FigureCanvasBase.get_supported_filetypes():
        raise argparse.ArgumentTypeError(f"{path} must end in .png, .jpg or .pdf")
    return path


def output_file(text: str) -> Path:
    """Argparse's type for a file to write, whose folder need not exist.

    Raises:
        argparse.ArgumentTypeError: Its folder could not be made.
    """
    path = Path(text)
    for part in (path, *path.parents):
        if part.is_symlink() and not part.exists():
            target = os.readlink(part)
            raise argparse.ArgumentTypeError(
                f"{part} is a link to {target}, which is not there: is its disk mounted?"
            )
        if part != path and part.exists():
            if not part.is_dir():
                raise argparse.ArgumentTypeError(f"{part} exists and is not a folder")
            if not os.access(part, os.W_OK | os.X_OK):
                raise argparse.ArgumentTypeError(f"{part} may not be written to")
            break
    return path


def read_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config, with changes; end the tool if it cannot be read."""
    # MMEngine's way of finding "mmseg::..." causes this warning each time.
    warnings.filterwarnings("ignore", "pkg_resources is deprecated as an API")
    try:
        config = Config.fromfile(path)
        config.merge_from_dict(options or {})
    except Exception as error:  # A config is Python, and may raise anything.
        if isinstance(error, ModuleNotFoundError) and error.name == "pkg_resources":
            raise SystemExit(NEEDS_PKG_RESOURCES) from None
        raise SystemExit(f"{path} cannot be read as a config ({reason(error)})") from None
    return config


def read_network_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read the config of a network, with changes; end the tool if it is not one."""
    config = read_config(path, options)
    if "model" not in config:
        raise SystemExit(f"{path} is not a config of a network: it has no model")
    return config


def visible(paths: Iterable[Path]) -> list[Path]:
    """The paths in order, without hidden ones such as macOS's ``._image.jpg``."""
    return sorted(path for path in paths if not path.name.startswith("."))


def say(text: str) -> None:
    """Print a line that may name files of any encoding, whatever the terminal's is."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def stop_if_any(bad: list[str], title: str) -> None:
    """Exit with the names of the files that could not be used, once all others are done."""
    if bad:
        raise SystemExit(f"{len(bad)} {title}: {listed(bad)}")


@contextlib.contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``out`` at the end; an error or a kill leaves none."""
    unfinished = out.with_name(f"{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    try:
        yield unfinished
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def add_label_options(parser: argparse.ArgumentParser, maps: str, prefix: str = "") -> None:
    """Let a tool read label maps in which another value than 255 stands for unlabelled."""
    parser.add_argument(
        f"--{prefix}ignore-index",
        type=int,
        choices=range(256),
        default=UNLABELLED,
        metavar="LABEL",
        help=f"what stands for unlabelled in the {maps} (default: %(default)s)",
    )
    parser.add_argument(
        f"--{prefix}reduce-zero-label",
        action="store_true",
        help=f"0 stands for unlabelled in the {maps}, and the classes count from 1",
    )


def at_least(smallest: int) -> Callable[[str], int]:
    """Argparse's type for a number with a limit."""

    def integer(text: str) -> int:
        if int(text) < smallest:
            raise argparse.ArgumentTypeError(f"must be {smallest} or more, got {text}")
        return int(text)

    return integer


def finite(text: str) -> float:
    """Argparse's type for a number that is neither NaN nor infinite."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be finite, got {text}")
    return number


def positive(text: str) -> float:
    """Argparse's type for a finite number above 0."""
    number = finite(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return number
