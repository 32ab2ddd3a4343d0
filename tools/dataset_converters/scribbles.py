"""Convert what an annotation tool has exported into the folders of ScribbleDataset.

    python tools/dataset_converters/scribbles.py labelme annotations/ --images images/ \\
        --out data/plants

writes data/plants/images, scribbles, train.txt and classes.txt, and prints the classes and their
colours as the config takes them. The formats, by their first argument:

{formats}

Lines and points are drawn with a brush; polygons and masks are areas. Every file is read and
checked on the way. The result appears as a whole, or not at all.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from rich import box, print
from rich.progress import track
from rich.table import Table

from mmseg_rloss.command_line import at_least, output_folder, say, stop_if_any, written_whole
from mmseg_rloss.datasets.converters import (
    FORMATS,
    Annotation,
    Export,
    FormatError,
    Item,
    Options,
    draw_marks,
)
from mmseg_rloss.datasets.file_check import doubt_about, listed
from mmseg_rloss.datasets.image import image_size, reason
from mmseg_rloss.datasets.image_folder import files_by_id, id_in
from mmseg_rloss.datasets.label_png import UNLABELLED, voc_palette, write_label_png
from mmseg_rloss.datasets.scribble_dataset import ScribbleDataset
from mmseg_rloss.datasets.scribbles import STROKE_WIDTH

__doc__ = __doc__.format(
    formats="\n".join(f"    {name:<14}{form.description}" for name, form in FORMATS.items())
)
LABEL_FOLDERS = ScribbleDataset.LABEL_FOLDERS


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if not args.dry_run and args.out.exists():
        say(f"{args.out} is there: nothing was done. Remove it to convert anew.")
        return
    options = Options(args.classes, args.unlabelled, args.palette, args.images)
    try:
        with as_format_errors(f"{args.annotations}: "):
            export = FORMATS[args.format].read(args.annotations, options)
        with_pictures = args.format == "volume"  # which it holds, or reads itself
        images = None if args.images is None or with_pictures else Images(args.images)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    classes = args.classes or export.classes or classes_in(export)
    if not 0 < len(classes) <= UNLABELLED:
        raise SystemExit(f"{args.annotations} has {len(classes)} classes, not 1 to {UNLABELLED}.")
    conversion = Conversion(args, export, images, classes)
    if args.dry_run:
        for _ in conversion.labelled_images():
            pass
        conversion.report()
        stop_if_any(conversion.problems, "annotations cannot be used")
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(args.out) as unfinished:
        conversion.write(unfinished)
    say(f"{args.out} holds {len(conversion.ids)} images. For the config:")
    say(conversion.metainfo())
    stop_if_any(conversion.problems, "annotations were left out")


class Images:
    """The images of a folder, found by what an export calls them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = [path for paths in files_by_id(folder).values() for path in paths]
        if not files:
            raise FormatError(f"{folder} holds no image")
        # From the surest to the least sure.
        self._ways: list[tuple[Callable[[PurePosixPath], str], dict[str, list[Path]]]] = [
            (key, {})
            for key in (str, without_suffix, lambda path: path.name, lambda path: path.stem)
        ]
        for key, found in self._ways:
            for file in files:
                path = PurePosixPath(file.relative_to(folder).as_posix())
                found.setdefault(key(path), []).append(file)

    def find(self, name: str) -> tuple[str, Path]:
        """The id and the file of an image: by its path, its path without suffix, or its name alone.

        Raises:
            FormatError: There is none, or more than one.
        """
        if not isinstance(name, str):
            raise FormatError(f"its image is called {name!r}, which is not a name")
        path = PurePosixPath(name.replace("\\", "/"))
        for key, files in self._ways:
            found = files.get(key(path), [])
            if len(found) > 1:
                raise FormatError(f"{' and '.join(map(str, found))} may be its image")
            if found:
                return id_in(self._folder, found[0]), found[0]
        raise FormatError(f"{self._folder} holds no image {name}")


def without_suffix(path: PurePosixPath) -> str:
    return str(path.with_suffix(""))


class Labelled(NamedTuple):
    """An image and its labels."""

    name: str  # its id
    image: Path | np.ndarray  # its file, or the picture itself
    labels: np.ndarray  # uint8 (H, W)


class Conversion:
    """Draws the label maps, counts what is on them and keeps what is wrong."""

    def __init__(
        self, args: argparse.Namespace, export: Export, images: Images | None, classes: list[str]
    ) -> None:
        self._args, self._export, self._images, self.classes = args, export, images, classes
        colours = [export.colours.get(name) for name in classes]
        distinct = None not in colours and len(set(colours)) == len(colours)
        self._palette = np.array(colours, np.uint8) if distinct else voc_palette()[: len(classes)]
        self.ids: dict[str, str] = {}  # and where each was drawn
        self.problems: list[str] = []
        self._marks: Counter[str] = Counter()
        self._pixels = np.zeros(256, dtype=np.int64)
        self._images_of = np.zeros(256, dtype=np.int64)
        self._empty = 0

    def labelled_images(self) -> Iterator[Labelled]:
        """Each image that has marks, with its labels."""
        for item in track(self._export.items, "Converting"):
            try:
                if labelled := self._labelled(item):
                    yield labelled
            except (OSError, ValueError) as error:
                self.problems.append(f"{item.source}: {error}")

    def _labelled(self, item: Item) -> Labelled | None:
        with as_format_errors():
            annotation = item.read()
        if not annotation.marks:
            self._empty += 1
            return None
        name, image, size = self._image_of(annotation)
        if name in self.ids:
            raise FormatError(f"{self.ids[name]} is of an image of the same name, {name!r}")
        if annotation.size and annotation.size != size:
            raise FormatError(
                f"it was drawn on {annotation.size}, but its image has {size} (height, width)"
            )
        labels = draw_marks(annotation.marks, size, self.classes, self._args.width)
        self.ids[name] = item.source
        self._marks.update(mark.name for mark in annotation.marks)
        pixels = np.bincount(labels.ravel(), minlength=256)
        self._pixels += pixels
        self._images_of += pixels > 0
        return Labelled(name, image, labels)

    def _image_of(self, annotation: Annotation) -> tuple[str, Path | np.ndarray, tuple[int, int]]:
        """Id, image and size of what was drawn on."""
        if annotation.picture is not None:
            return annotation.image, annotation.picture, annotation.picture.shape
        if self._images is None:
            raise FormatError("--images names the folder of the images")
        name, file = self._images.find(annotation.image)
        return name, file, image_size(file, LoadImageFromFile())

    def write(self, out: Path) -> None:
        """Write the data set, unless something is wrong and --partial was not given."""
        folder = out / LABEL_FOLDERS["mask" if self._args.masks else "scribble"]
        for name, image, labels in self.labelled_images():
            label_path = folder / f"{name}.png"
            label_path.parent.mkdir(parents=True, exist_ok=True)
            write_label_png(labels, label_path, self._palette)
            suffix = image.suffix if isinstance(image, Path) else ".png"
            self._write_image(image, out / ScribbleDataset.IMAGE_FOLDER / f"{name}{suffix}")
        self.report()
        if self.problems and not self._args.partial:
            raise SystemExit(
                f"{len(self.problems)} annotations cannot be used, nothing was kept (--partial "
                f"leaves them out):\n  {listed(self.problems)}"
            )
        if not self.ids:
            raise SystemExit("Nothing was drawn on any image: nothing was kept.")
        self._write_lists(out)
        text = "".join(f"{name}\n" for name in self.classes)
        (out / "classes.txt").write_text(text, encoding="utf-8")

    def _write_image(self, image: Path | np.ndarray, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(image, np.ndarray):
            path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        elif self._args.link:
            path.symlink_to(image.resolve())
        else:
            shutil.copyfile(image, path)

    def _write_lists(self, out: Path) -> None:
        names, every = sorted(self.ids), self._args.val_every
        val = names[every - 1 :: every] if every else []
        for file, chosen in (
            ("train.txt", [n for n in names if n not in set(val)]),
            ("val.txt", val),
        ):
            if chosen:  # The names of files have the encoding of the locale.
                (out / file).write_bytes(b"".join(os.fsencode(name) + b"\n" for name in chosen))

    def report(self) -> None:
        """Print what was drawn, by class."""
        table = Table(box=box.SIMPLE, title=f"{len(self.ids)} images")
        for column in ("", "images", "marks", "pixels", "of all pixels"):
            table.add_column(column, justify="right" if column else "left")
        total = max(1, self._pixels.sum())
        for label, name in enumerate(self.classes):
            pixels = self._pixels[label]
            counts = f"{self._images_of[label]:,}", f"{self._marks[name]:,}", f"{pixels:,}"
            table.add_row(name, *counts, f"{pixels / total:.2%}")
        print(table)
        if self._empty:
            print(f"{self._empty} images without a mark are left out.")
        if doubt := doubt_about(self._pixels, scribbles=not self._args.masks):
            print(f"Is this what you mean? {doubt}.")

    def metainfo(self) -> str:
        """The classes and their colours as a line of a config."""
        return f"metainfo = dict(classes={tuple(self.classes)!r}, palette={self._palette.tolist()})"


def classes_in(export: Export) -> list[str]:
    """The names of an export that does not list them: the background's, and the others sorted."""
    names: set[str] = set()
    for item in track(export.items, "Looking for classes"):
        try:
            with as_format_errors():
                found = {mark.name for mark in item.read().marks}
        except (OSError, ValueError):
            continue  # It is named when it is converted.
        names |= {name for name in found if isinstance(name, str)}
    return sorted(names, key=lambda name: (name != "background", name))


@contextlib.contextmanager
def as_format_errors(where: str = "") -> Iterator[None]:
    """Raise FormatError for a file whose contents its reader does not expect.

    Raises:
        FormatError: In place of what Python raises.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError) as error:
        raise FormatError(f"{where}not as its format says ({reason(error)})") from None


def class_names(values: list[str]) -> list[str]:
    """The names themselves, or the lines of the one file that they name."""
    if len(values) == 1 and Path(values[0]).is_file():
        lines = Path(values[0]).read_text(encoding="utf-8-sig").splitlines()
        return [line.strip() for line in lines if line.strip()]
    return values


def odd(text: str) -> int:
    """Argparse's type for the width of a brush."""
    width = at_least(1)(text)
    if width % 2 == 0:
        raise argparse.ArgumentTypeError(f"must be odd, got {text}")
    return width


def existing(text: str) -> Path:
    """Argparse's type for what is read."""
    if not (Path(text).is_file() or Path(text).is_dir()):
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return Path(text)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "(default: %(default)s)"
    parser.add_argument("format", choices=list(FORMATS), help="what the tool has exported")
    parser.add_argument("annotations", type=existing, help="the export: a file, or a folder")
    parser.add_argument("--images", type=existing, help="folder of the images; h5 needs none")
    parser.add_argument("--out", type=output_folder, help="folder of the data set")
    parser.add_argument(
        "--dry-run", action="store_true", help="count what was drawn, and write nothing"
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        help="names of the labels in order, or a file with a name a line (default: the export's)",
    )
    parser.add_argument(
        "--palette", type=existing, help="file of lines NAME R G B, for coloured strokes"
    )
    parser.add_argument(
        "--unlabelled",
        metavar="NAME",
        help="the colour's name or the label of what was not drawn on (default: that of "
        "unlabelled or background; in label images 255, in volumes 0)",
    )
    parser.add_argument("--width", type=odd, default=STROKE_WIDTH, help=f"of the brush {default}")
    parser.add_argument("--masks", action="store_true", help="they are full masks: write masks/")
    parser.add_argument(
        "--val-every", type=at_least(2), metavar="N", help="put every Nth image into val.txt"
    )
    parser.add_argument("--link", action="store_true", help="link the images, do not copy them")
    parser.add_argument(
        "--partial", action="store_true", help="leave out annotations that cannot be used"
    )
    args = parser.parse_args(argv)
    if args.classes:
        args.classes = class_names(args.classes)
        if len(set(args.classes)) < len(args.classes):
            parser.error("argument --classes: a name is repeated")
    if not (args.out or args.dry_run):
        parser.error("argument --out: names the folder of the data set; --dry-run needs none")
    return args


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated; nothing was kept."))
    main()
